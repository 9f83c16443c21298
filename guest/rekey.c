// SPDX-License-Identifier: Apache-2.0
/*
 * rekey.c - The sessions of a VM that was set back, or cloned
 *
 *	read what is said -> rename databases -> one transaction -> memory
 *
 * Databases are renamed first.  Should the guest end before the transaction is
 * stored, it still is the old VM to the host, which says the same again, and
 * finds them renamed.
 */
#include "guest/rekey.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/db.h"
#include "core/log.h"
#include "core/time.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "guest/session.h"
#include "guest/sqldb.h"
#include "guest/sqlops.h"

#define LOG_COMPONENT "rekey"

struct rekey {
	struct store_rekey store;
	struct guest *guest;
	char vm[ID_MAX]; /* "": it is no clone. */
	bool warm;
	unsigned renaming; /* Databases, and who starts that. */
	struct err err;
	rekey_cb cb;
	void *arg;
};

static void rekey_free(struct rekey *k)
{
	for (size_t i = 0; i < k->store.n; i++)
		event_list_free(&k->store.v[i].tail.events);
	free(k->store.v);
	free(k);
}

/*
 * What is said.
 */

static int wrong(const char *session, const char *what, struct err *e)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "sessions: %s: %s", session,
		       what);
}

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "sessions: out of memory");
}

/* The next of k->store.v, of a session that is called @id afterwards. */
static struct store_rekey_one *next_one(struct rekey *k, const char *id)
{
	struct store_rekey_one *o = &k->store.v[k->store.n++];

	TAILQ_INIT(&o->tail.events);
	memcpy(o->tail.session, id, ID_MAX);
	return o;
}

/* The snapshot that the host names, or none. */
static void put_snapshot(struct jv said, struct jw *w)
{
	char id[ID_MAX];

	if (jv_strcpy(jv_get(said, "snapshot"), id, sizeof(id)) > 0 &&
	    id_is(id, "snp"))
		jw_kstr(w, "snapshot", id);
}

/* Add what the log goes on with. */
static int add_event(struct store_rekey_one *o, const struct session_brief *b,
		     const struct event_spec *spec, const struct jw *data,
		     struct err *e)
{
	struct event_spec s = *spec;
	struct event *ev;

	s.session = o->tail.session;
	s.turn = b->open_turn;
	s.ts_ms = now_ms();
	s.data = data->buf;
	s.data_len = data->len;
	ev = data->failed ? NULL : event_new(&s);
	if (ev == NULL)
		return out_of_memory(e);
	TAILQ_INSERT_TAIL(&o->tail.events, ev, link);
	return 0;
}

/* The host has more than we: add the event that says so.  Return: 0; 1 when it
 * has not; an error. */
static int add_rewound(struct store_rekey_one *o, const struct session_brief *b,
		       struct jv said, int64_t epoch, struct err *e)
{
	int64_t next = jv_int(jv_get(said, "next_seq"), 0);
	autojw struct jw w = {0};

	if (next <= b->last_seq + 1)
		return 1;
	o->tail.rewinds = true;
	o->tail.chain_before = jv_int(jv_get(said, "chain"), 0);
	jw_obj(&w);
	jw_kint(&w, "to_seq", b->last_seq);
	jw_key(&w, "abandoned");
	jw_arr(&w);
	jw_int(&w, b->last_seq + 1);
	jw_int(&w, next - 1);
	jw_arr_end(&w);
	put_snapshot(said, &w);
	jw_obj_end(&w);
	return add_event(o, b,
			 &(struct event_spec){.type = "session.rewound",
					      .seq = next,
					      .epoch = epoch},
			 &w, e);
}

static int64_t epoch_of(const struct session_brief *b, struct jv said)
{
	int64_t epoch = jv_int(jv_get(said, "epoch"), 0);

	return epoch > b->epoch ? epoch : b->epoch + 1;
}

static int add_set_back(struct rekey *k, const struct session_brief *b,
			struct jv said, struct err *e)
{
	struct store_rekey_one *o;
	int r;

	if (jv_int(jv_get(said, "next_seq"), 0) < 1 ||
	    !jv_is(jv_get(said, "chain"), JV_NUMBER))
		return wrong(b->id, "next_seq and chain", e);
	if (jv_int(jv_get(said, "next_seq"), 0) <= b->last_seq)
		return 0; /* It is said again. */
	o = next_one(k, b->id);
	r = add_rewound(o, b, said, epoch_of(b, said), e);
	if (r > 0)
		o->epoch = epoch_of(b, said);
	return r < 0 ? r : 0;
}

static void write_forked(const struct rekey *k, const struct session_brief *b,
			 struct jv said, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "from", b->id);
	jw_kint(w, "at", b->last_seq);
	jw_kstr(w, "vm", k->vm);
	put_snapshot(said, w);
	if (k->warm)
		jw_kbool(w, "warm", true);
	if (k->warm && b->suspended_from[0] != '\0')
		jw_kstr(w, "suspended_from", b->suspended_from);
	jw_obj_end(w);
}

/* One that has been this clone before, and was lost, is set back first. */
static int add_forked(struct rekey *k, const struct session_brief *b,
		      struct jv said, struct err *e)
{
	struct event_spec spec = {.type = "session.forked",
				  .seq = b->last_seq + 1,
				  .epoch = epoch_of(b, said)};
	struct store_rekey_one *o;
	autojw struct jw w = {0};
	char id[ID_MAX];
	int r;

	if (jv_strcpy(jv_get(said, "id"), id, sizeof(id)) < 0 ||
	    !id_is(id, "ses"))
		return wrong(b->id, "id is none of a session", e);
	o = next_one(k, id);
	o->how = STORE_RENAME;
	memcpy(o->from, b->id, ID_MAX);
	r = add_rewound(o, b, said, spec.epoch, e);
	if (r < 0)
		return r;
	if (r == 0)
		spec.seq = TAILQ_FIRST(&o->tail.events)->seq + 1;
	write_forked(k, b, said, &w);
	return add_event(o, b, &spec, &w, e);
}

static int add_purge(struct rekey *k, const char *session)
{
	next_one(k, session)->how = STORE_PURGE;
	return 0;
}

static int add_one(struct rekey *k, const char *id, struct jv said,
		   struct err *e)
{
	struct session_brief b;
	int r = reader_session(k->guest->reader, id, &b, e);

	if (r == -FAULT_SESSION_NOT_FOUND)
		return 0; /* It is said again. */
	if (r < 0)
		return r;
	if (jv_is(said, JV_NULL))
		return add_purge(k, id);
	if (!jv_is(said, JV_OBJECT))
		return wrong(id, "no object", e);
	return k->vm[0] != '\0' ? add_forked(k, &b, said, e)
				: add_set_back(k, &b, said, e);
}

static int add_said(struct rekey *k, struct jv sessions, struct err *e)
{
	char id[ID_MAX];
	int r = 0;

	for (struct jv it = jv_first(sessions); r == 0 && jv_has(it);
	     it = jv_next(sessions, it)) {
		if (jv_strcpy(it, id, sizeof(id)) < 0 || !id_is(id, "ses"))
			return wrong("a name", "none of a session", e);
		r = add_one(k, id, jv_value(it), e);
	}
	return r;
}

/* Those that a clone is not told of. */
struct unnamed {
	struct rekey *rekey;
	struct jv sessions;
};

static int add_unnamed(const struct session_brief *b, void *arg)
{
	struct unnamed *u = arg;

	return jv_has(jv_get(u->sessions, b->id)) ? 0
						  : add_purge(u->rekey, b->id);
}

static int count_one(const struct session_brief *b, void *arg)
{
	(void)b;
	++*(size_t *)arg;
	return 0;
}

/* Each session that is here has at most one place. */
static int read_all(struct rekey *k, struct jv sessions, struct err *e)
{
	struct unnamed u = {k, sessions};
	size_t n = 0;
	int r = reader_sessions(k->guest->reader, NULL, count_one, &n, e);

	n += jv_count(sessions);
	if (r < 0)
		return r;
	k->store.v = calloc(n + 1, sizeof(*k->store.v));
	if (k->store.v == NULL)
		return out_of_memory(e);
	r = add_said(k, sessions, e);
	if (r == 0 && k->vm[0] != '\0')
		r = reader_sessions(k->guest->reader, NULL, add_unnamed, &u, e);
	return r;
}

/*
 * The transaction.
 */

/* Last: all is undone if the databases could not be renamed. */
static int store_vm(struct sqlite3 *db, struct store_rekey *s, struct err *e)
{
	const struct rekey *k = container_of(s, struct rekey, store);
	int r = 0;

	if (k->err.code < 0)
		return err_set(e, k->err.code, "%s", k->err.msg);
	if (k->vm[0] != '\0')
		r = db_run(db, e,
			   "INSERT INTO meta(k, v) VALUES('vm_id', ?1)"
			   " ON CONFLICT(k) DO UPDATE SET v=excluded.v",
			   "s", k->vm);
	return r < 0 ? r : 0;
}

static struct session *in_memory(const struct guest *g, const char *id)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (strcmp(session_journal(s)->session, id) == 0)
			break;
	return s;
}

/* The databases of one that is gone are removed when there is time. */
static void drop_databases(struct guest *g, const char *session)
{
	const struct sql_ask drop = {.verb = SQL_DO_REMOVE,
				     .params = {.i = -1}};

	(void)sqlops_ask(g->sql, session, &drop, NULL, NULL, NULL, NULL);
}

static void follow_one(struct guest *g, const struct store_rekey_one *o)
{
	const char *id = o->tail.session;
	const char *old = o->how == STORE_RENAME ? o->from : id;
	const struct event *last = TAILQ_LAST(&o->tail.events, event_list);
	struct session *s = in_memory(g, old);

	if (strcmp(old, id) != 0) {
		outbox_forget(g->outbox, old);
		session_rename_files(g, old, id);
	}
	if (o->how == STORE_PURGE) {
		outbox_forget(g->outbox, id);
		drop_databases(g, id);
		if (s != NULL)
			session_disown(s);
	} else if (s != NULL) {
		session_rekey(s, id,
			      last != NULL ? last->seq
					   : session_journal(s)->last_seq,
			      last != NULL ? last->epoch : o->epoch);
	}
}

static void rekey_on_stored(struct store_rekey *s, const struct err *e)
{
	struct rekey *k = container_of(s, struct rekey, store);
	struct guest *g = k->guest;

	if (e->code < 0) {
		k->cb(e, k->arg);
		rekey_free(k);
		return;
	}
	for (size_t i = 0; i < s->n; i++)
		follow_one(g, &s->v[i]);
	if (k->vm[0] != '\0')
		memcpy(g->vm, k->vm, ID_MAX);
	k->cb(NULL, k->arg);
	rekey_free(k);
}

/*
 * Databases.
 */

static void renaming_ends(struct rekey *k)
{
	if (--k->renaming == 0)
		store_rekey(k->guest->store, &k->store);
}

static void rekey_on_renamed(const char *json, const struct err *e, void *arg)
{
	struct rekey *k = arg;

	(void)json;
	if (e != NULL)
		k->err = *e;
	renaming_ends(k);
}

static bool has_databases(const struct guest *g, const char *session)
{
	char path[PATH_MAX];

	sqldb_folder(g->opt->state, session, path);
	return access(path, F_OK) == 0;
}

static void rename_databases(struct rekey *k)
{
	struct guest *g = k->guest;

	for (size_t i = 0; i < k->store.n; i++) {
		const struct store_rekey_one *o = &k->store.v[i];
		const struct sql_ask ask = {.verb = SQL_DO_RENAME,
					    .params = {.i = -1},
					    .to = o->tail.session};

		if (o->how != STORE_RENAME || !has_databases(g, o->from))
			continue;
		if (sqlops_ask(g->sql, o->from, &ask, rekey_on_renamed, k, NULL,
			       &k->err) == 0)
			k->renaming++;
	}
}

/*
 * Beginning.
 */

static int check_quiet(const struct guest *g, struct err *e)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (!journal_is_quiet(session_journal(s)))
			return err_set(e, -FAULT_NOT_READY,
				       "%s is being written to",
				       session_journal(s)->session);
	return 0;
}

static int check_spec(const struct rekey_spec *spec, struct err *e)
{
	if (spec->vm != NULL && !id_is(spec->vm, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "vm is no id of a VM");
	if (jv_has(spec->sessions) && !jv_is(spec->sessions, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "sessions is no object");
	return 0;
}

int rekey_begin(struct guest *g, const struct rekey_spec *spec, rekey_cb cb,
		void *arg, struct err *e)
{
	struct rekey *k;
	int r = check_spec(spec, e);

	if (r == 0)
		r = check_quiet(g, e);
	if (r < 0)
		return r;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return out_of_memory(e);
	k->guest = g;
	k->warm = spec->warm;
	k->cb = cb;
	k->arg = arg;
	k->store.also = store_vm;
	k->store.done = rekey_on_stored;
	if (spec->vm != NULL && strcmp(spec->vm, g->vm) != 0)
		strcpy(k->vm, spec->vm); /* It is an id. */
	r = read_all(k, spec->sessions, e);
	if (r < 0) {
		rekey_free(k);
		return r;
	}
	k->renaming = 1;
	rename_databases(k);
	renaming_ends(k);
	return 0;
}
