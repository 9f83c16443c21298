// SPDX-License-Identifier: Apache-2.0
/*
 * lineage.c - The logs of a VM that is set back to a snapshot, or cloned from one
 *
 * A clone is one transaction.  Its rows are those of forks from the beginning, but
 * for the event that says so: forked_from and forked_seq tell which session the
 * guest still calls by another name.  Without memory the host adds that event, and
 * ends in another one what had been open.
 *
 * Setting back takes two: what a session was at s is known once its rows follow
 * from the log without the rest.  Then what cannot go on without its process is
 * ended.
 */
#include "host/daemon/lineage.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/vault.h"

#define LOG_COMPONENT "lineage"

struct lineage {
	struct store_rekey store;
	struct hibd *d;
	char vm[ID_MAX], snapshot[ID_MAX];
	struct json cursors;
	bool warm, cold;
	struct change *more; /* Of the transaction under way; or NULL. */
	struct err err;	     /* Why there is none. */
	lineage_done_cb cb;
	void *arg;
};

static void drop_entries(struct lineage *l)
{
	for (size_t i = 0; i < l->store.n; i++)
		event_list_free(&l->store.v[i].tail.events);
	l->store.n = 0;
	free(l->store.v);
	l->store.v = NULL;
	if (l->more != NULL)
		change_free(take_ptr(l->more));
}

static void lineage_end(struct lineage *l, const struct err *e)
{
	drop_entries(l);
	json_done(&l->cursors);
	l->cb(e, l->arg);
	free(l);
}

static void lineage_on_stored(struct store_rekey *s, const struct err *e)
{
	lineage_end(container_of(s, struct lineage, store), e);
}

static int also(struct sqlite3 *db, struct store_rekey *s, struct err *e)
{
	const struct lineage *l = container_of(s, struct lineage, store);

	if (l->err.code < 0)
		return err_set(e, l->err.code, "%s", l->err.msg);
	return l->more != NULL ? change_apply(l->more, db, e) : 0;
}

/* An error so far fails the transaction, so that it is told as others are. */
static void store_all(struct lineage *l,
		      void (*done)(struct store_rekey *s, const struct err *e))
{
	l->store.also = also;
	l->store.done = done;
	store_rekey(l->d->store, &l->store);
}

/* Places for so many sessions.  (They stay where they are: lists begin in
 * them.) */
static int make_room(struct lineage *l, size_t n)
{
	l->store.v = calloc(n + 1, sizeof(*l->store.v));
	if (l->store.v == NULL)
		return err_set(&l->err, -ENOMEM, "sessions: out of memory");
	return 0;
}

static struct store_rekey_one *next_one(struct lineage *l, const char *session)
{
	struct store_rekey_one *o = &l->store.v[l->store.n++];

	TAILQ_INIT(&o->tail.events);
	memcpy(o->tail.session, session, ID_MAX);
	return o;
}

static struct lineage *lineage_new(const struct lineage_spec *spec,
				   lineage_done_cb cb, void *arg)
{
	struct lineage *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL)
		abort(); /* As change_new(). */
	l->d = spec->d;
	l->cb = cb;
	l->arg = arg;
	strcpy(l->vm, spec->vm);
	strcpy(l->snapshot, spec->snapshot);
	r = json_parse(&l->cursors, spec->cursors, strlen(spec->cursors),
		       &l->err);
	if (r == 0 && !jv_is(json_root(&l->cursors), JV_OBJECT))
		r = err_set(&l->err, -FAULT_STORE_CORRUPT, "no object");
	if (r < 0)
		err_wrap(&l->err, "%s: cursors", spec->snapshot);
	return l;
}

/* The next event of a session's tail.  @b: its row before. */
static void add_event(struct lineage *l, struct store_rekey_one *o,
		      const struct session_brief *b,
		      const struct event_spec *spec, const struct jw *data)
{
	const struct event *last = TAILQ_LAST(&o->tail.events, event_list);
	struct event_spec s = *spec;
	struct event *ev;

	s.session = b->id;
	s.seq = last != NULL ? last->seq + 1 : b->last_seq + 1;
	s.epoch = b->epoch + 1;
	s.ts_ms = now_ms();
	s.data = data->buf;
	s.data_len = data->len;
	ev = data->failed ? NULL : event_new(&s);
	if (ev == NULL) {
		err_set(&l->err, -ENOMEM, "%s: out of memory", b->id);
		return;
	}
	TAILQ_INSERT_TAIL(&o->tail.events, ev, link);
}

/*
 * Clones.
 */

static const char make_fork[] =
	"UPDATE session SET vm_id=?2, forked_from=?3, forked_seq=last_seq,"
	" root_id=id, parent_id=NULL, usage='{}', expires_ms=NULL"
	" WHERE id=?1";
static const char keep_tail[] =
	"UPDATE mirror SET tail_complete=1 WHERE session_n="
	"(SELECT n FROM session WHERE id=?1)";

/* The servers' row names the VM that they are for. */
static int rename_vm(const char *mcp, const char *vm, struct jw *w,
		     struct err *e)
{
	autojson struct json j = {0};
	int r = json_parse(&j, mcp, strlen(mcp), e);
	struct jv root = json_root(&j);

	if (r < 0)
		return r;
	jw_obj(w);
	jw_kstr(w, "vm", vm);
	for (struct jv k = jv_first(root); jv_has(k); k = jv_next(root, k)) {
		if (jv_eq(k, "vm"))
			continue;
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
	jw_obj_end(w);
	return w->failed ? err_set(e, -ENOMEM, "mcp: out of memory") : 0;
}

/* One of the sealed values, for the fork. */
static int reseal(struct lineage *l, const char *from, const char *to,
		  const char *name)
{
	struct hibd *d = l->d;
	autojw struct jw mcp = {0};
	char *value = NULL;
	int r = vault_get(d->vault, d->reader, from, name, &value, &l->err);

	if (r <= 0)
		return r;
	if (strcmp(name, "mcp") == 0)
		r = rename_vm(value, l->vm, &mcp, &l->err);
	if (r >= 0)
		r = vault_put(d->vault, l->more, to, name,
			      mcp.len > 0 ? mcp.buf : value, &l->err);
	vault_wipe(value);
	if (mcp.len > 0)
		explicit_bzero(mcp.buf, mcp.len);
	return r;
}

/* What a guest would say of a fork whose agent it has. */
static void add_forked(struct lineage *l, struct store_rekey_one *o,
		       const struct session_brief *source)
{
	struct session_brief b = *source;
	autojw struct jw data = {0};

	memcpy(b.id, o->tail.session, ID_MAX);
	b.last_seq = o->to;
	jw_obj(&data);
	jw_kstr(&data, "from", source->id);
	jw_kint(&data, "at", o->to);
	jw_kstr(&data, "vm", l->vm);
	jw_kstr(&data, "snapshot", l->snapshot);
	jw_obj_end(&data);
	add_event(l, o, &b, &(struct event_spec){.type = "session.forked"},
		  &data);
}

static int copy_session(struct lineage *l, const struct session_brief *b,
			int64_t to)
{
	static const char *const sealed[] = {"env", "mcp", "agent"};
	struct store_rekey_one *o;
	char id[ID_MAX];
	int r = 0;

	id_new(id, "ses");
	o = next_one(l, id);
	o->how = STORE_COPY;
	o->to = to < b->last_seq ? to : b->last_seq;
	memcpy(o->from, b->id, ID_MAX);
	if (l->cold)
		add_forked(l, o, b);
	else
		change_add(l->more, make_fork, 3, id, l->vm, b->id);
	change_add(l->more, keep_tail, 1, id);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(sealed); i++)
		r = reseal(l, b->id, id, sealed[i]);
	return r;
}

static int copy_all(struct lineage *l)
{
	struct jv cursors = json_root(&l->cursors);
	int r = make_room(l, jv_count(cursors));

	for (struct jv k = jv_first(cursors); r >= 0 && jv_has(k);
	     k = jv_next(cursors, k)) {
		int64_t to = jv_int(jv_value(k), 0);
		struct session_brief b;
		char id[ID_MAX];

		if (jv_strcpy(k, id, sizeof(id)) < 0 || !id_is(id, "ses") ||
		    to < 1)
			return err_set(&l->err, -FAULT_STORE_CORRUPT,
				       "%s: cursors", l->snapshot);
		r = reader_session(l->d->reader, id, &b, &l->err);
		if (r == 0)
			r = copy_session(l, &b, to);
		else if (r == -FAULT_SESSION_NOT_FOUND)
			r = l->err.code = 0; /* It was destroyed. */
	}
	return r;
}

/*
 * What cannot go on without its process is ended.
 */

static bool is_alive(const struct session_brief *b)
{
	static const char *const states[] = {"starting", "idle", "running",
					     "waiting", "closing"};

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(b->state, states[i]) == 0)
			return true;
	return false;
}

/* Its open questions, each with who it is about. */
static void cancel_requests(struct lineage *l, struct store_rekey_one *o,
			    const struct session_brief *b)
{
	const char *args[] = {b->id, NULL};
	autojson struct json j = {0};
	autojw struct jw rows = {0}, data = {0};
	struct jv list;

	jw_arr(&rows);
	if (reader_rows(l->d->reader,
			"SELECT iif(tool_call_id IS NULL,"
			" json_object('req', id),"
			" json_object('req', id, 'tool', tool_call_id))"
			" AS ctx, kind||'.resolved' AS type FROM request"
			" WHERE session_id=?1 AND state='pending'"
			" ORDER BY asked_seq",
			args, &rows, &l->err) < 0)
		return;
	jw_arr_end(&rows);
	jw_lit(&data, "{\"outcome\":\"cancelled\",\"by\":\"cancel\"}", 37);
	if (rows.failed || json_parse(&j, rows.buf, rows.len, &l->err) < 0)
		return;
	list = json_root(&j);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		struct event_spec ev = {.turn = b->open_turn};
		char type[EVENT_TYPE_MAX];

		ev.ctx = jv_raw(jv_get(v, "ctx"), &ev.ctx_len);
		if (jv_strcpy(jv_get(v, "type"), type, sizeof(type)) < 0)
			continue;
		ev.type = type;
		add_event(l, o, b, &ev, &data);
	}
}

static void end_turn(struct lineage *l, struct store_rekey_one *o,
		     const struct session_brief *b)
{
	autojw struct jw ctx = {0}, data = {0};

	jw_obj(&ctx);
	if (b->open_turn_input[0] != '\0')
		jw_kstr(&ctx, "input", b->open_turn_input);
	jw_obj_end(&ctx);
	jw_obj(&data);
	jw_kstr(&data, "reason", l->cold ? "vm_lost" : "rewind");
	jw_obj_end(&data);
	data.failed |= ctx.failed;
	add_event(l, o, b,
		  &(struct event_spec){.type = "turn.interrupted",
				       .turn = b->open_turn,
				       .ctx = ctx.buf,
				       .ctx_len = ctx.len},
		  &data);
}

static void end_state(struct lineage *l, struct store_rekey_one *o,
		      const struct session_brief *b)
{
	bool closing = strcmp(b->state, "closing") == 0;
	autojw struct jw data = {0};

	jw_obj(&data);
	jw_kstr(&data, "from", b->state);
	jw_kstr(&data, "to", closing ? "closed" : "suspended");
	jw_kstr(&data, "reason", "rewind");
	if (!closing)
		jw_kstr(&data, "suspended_from", "idle");
	jw_obj_end(&data);
	add_event(l, o, b, &(struct event_spec){.type = "session.state"},
		  &data);
	if (!closing)
		return;
	jw_reset(&data);
	jw_lit(&data, "{\"reason\":\"rewind\"}", 19);
	add_event(l, o, b, &(struct event_spec){.type = "session.closed"},
		  &data);
}

static int settle_one(const struct session_brief *b, void *arg)
{
	struct lineage *l = arg;
	struct store_rekey_one *o;

	if (l->warm && jv_has(jv_get(json_root(&l->cursors), b->id)))
		return 0; /* Its agent is there again. */
	if (!is_alive(b) && b->open_turn[0] == '\0' && b->pending == 0)
		return 0;
	o = next_one(l, b->id);
	if (b->pending > 0)
		cancel_requests(l, o, b);
	if (b->open_turn[0] != '\0')
		end_turn(l, o, b);
	if (is_alive(b))
		end_state(l, o, b);
	return l->err.code;
}

static int count_one(const struct session_brief *b, void *arg)
{
	(void)b;
	++*(size_t *)arg;
	return 0;
}

/* Have @each look at the sessions of the VM, and store what it adds. */
static void store_each(struct lineage *l,
		       int (*each)(const struct session_brief *b, void *arg),
		       void (*done)(struct store_rekey *s, const struct err *e))
{
	struct reader *r = l->d->reader;
	size_t n = 0;

	if (l->err.code == 0 &&
	    reader_sessions(r, l->vm, count_one, &n, &l->err) >= 0 &&
	    make_room(l, n) == 0)
		(void)reader_sessions(r, l->vm, each, l, &l->err);
	if (l->err.code < 0)
		drop_entries(l);
	store_all(l, done);
}

/* The VM is there, whatever becomes of this: else its guest does it, at its first
 * start. */
static void lineage_on_settled(struct store_rekey *s, const struct err *e)
{
	static const struct err none;
	struct lineage *l = container_of(s, struct lineage, store);

	if (e->code < 0)
		log_warn("%s: %s", l->vm, e->msg);
	lineage_end(l, &none);
}

static void lineage_on_cloned(struct store_rekey *s, const struct err *e)
{
	struct lineage *l = container_of(s, struct lineage, store);

	if (e->code < 0 || !l->cold) {
		lineage_end(l, e);
		return;
	}
	drop_entries(l);
	store_each(l, settle_one, lineage_on_settled);
}

void lineage_clone(const struct lineage_spec *spec, struct change *more,
		   bool cold, lineage_done_cb cb, void *arg)
{
	struct lineage *l = lineage_new(spec, cb, arg);

	l->more = more;
	l->cold = cold;
	if (l->err.code == 0)
		(void)copy_all(l);
	if (l->err.code < 0)
		drop_entries(l);
	store_all(l, lineage_on_cloned);
}

/*
 * Setting back: what is abandoned.
 */

static int rewind_one(const struct session_brief *b, void *arg)
{
	struct lineage *l = arg;
	int64_t to = jv_int(jv_get(json_root(&l->cursors), b->id), 0);
	autojw struct jw data = {0};

	if (to < 1 || to >= b->last_seq)
		return 0;
	jw_obj(&data);
	jw_kint(&data, "to_seq", to);
	jw_key(&data, "abandoned");
	jw_arr(&data);
	jw_int(&data, to + 1);
	jw_int(&data, b->last_seq);
	jw_arr_end(&data);
	jw_kstr(&data, "snapshot", l->snapshot);
	jw_obj_end(&data);
	add_event(l, next_one(l, b->id), b,
		  &(struct event_spec){.type = "session.rewound"}, &data);
	return l->err.code;
}

static void lineage_on_rewound(struct store_rekey *s, const struct err *e)
{
	struct lineage *l = container_of(s, struct lineage, store);

	if (e->code < 0) {
		lineage_end(l, e);
		return;
	}
	drop_entries(l);
	l->more = change_new();
	change_add(l->more,
		   "UPDATE mirror SET tail_complete=1 WHERE session_n IN"
		   " (SELECT n FROM session WHERE vm_id=?1)",
		   1, l->vm);
	store_each(l, settle_one, lineage_on_stored);
}

void lineage_rewind(const struct lineage_spec *spec, bool warm,
		    lineage_done_cb cb, void *arg)
{
	struct lineage *l = lineage_new(spec, cb, arg);

	l->warm = warm;
	if (warm)
		store_all(l, lineage_on_rewound); /* The guest says it. */
	else
		store_each(l, rewind_one, lineage_on_rewound);
}

/*
 * What a thaw says.
 */

/* Where the log goes on. */
static void write_end(const struct lineage_spec *spec,
		      const struct session_brief *b, struct jw *w)
{
	jw_kint(w, "next_seq", b->last_seq + 1);
	jw_kint(w, "chain", b->chain);
	jw_kint(w, "epoch", b->epoch + 1);
	jw_kstr(w, "snapshot", spec->snapshot);
}

/* The fork of a session in the new VM.  Return: 0; -FAULT_SESSION_NOT_FOUND. */
static int find_fork(const struct lineage_spec *spec, const char *from,
		     int64_t at, struct session_brief *out, struct err *e)
{
	char seq[24];
	const char *args[] = {spec->vm, from, seq, NULL};
	autofree char *id = NULL;
	int r;

	snprintf(seq, sizeof(seq), "%lld", (long long)at);
	r = reader_value(spec->d->reader,
			 "SELECT id FROM session WHERE vm_id=?1 AND"
			 " forked_from=?2 AND forked_seq=CAST(?3 AS INTEGER)"
			 " ORDER BY n LIMIT 1",
			 args, &id, e);
	if (r < 0)
		return r;
	return r == 0 ? -FAULT_SESSION_NOT_FOUND
		      : reader_session(spec->d->reader, id, out, e);
}

/* What a thaw says of a session that the snapshot has at event @at. */
typedef int (*write_cb)(const struct lineage_spec *spec, const char *id,
			int64_t at, struct jw *w, struct err *e);

static int write_clone(const struct lineage_spec *spec, const char *id,
		       int64_t at, struct jw *w, struct err *e)
{
	struct session_brief b;
	int r = find_fork(spec, id, at, &b, e);

	if (r < 0)
		return r;
	jw_key(w, id);
	jw_obj(w);
	jw_kstr(w, "id", b.id);
	write_end(spec, &b, w);
	jw_obj_end(w);
	return 0;
}

static int write_rewind(const struct lineage_spec *spec, const char *id,
			int64_t at, struct jw *w, struct err *e)
{
	struct session_brief b;
	int r = reader_session(spec->d->reader, id, &b, e);

	(void)at;
	if (r < 0)
		return r;
	jw_key(w, id);
	jw_obj(w);
	write_end(spec, &b, w);
	jw_obj_end(w);
	return 0;
}

static int write_one(const struct lineage_spec *spec, struct jv key,
		     write_cb write, struct jw *w, struct err *e)
{
	char id[ID_MAX];
	int r;

	if (jv_strcpy(key, id, sizeof(id)) < 0 || !id_is(id, "ses"))
		return err_set(e, -FAULT_STORE_CORRUPT, "%s: cursors",
			       spec->snapshot);
	r = write(spec, id, jv_int(jv_value(key), 0), w, e);
	if (r != -FAULT_SESSION_NOT_FOUND)
		return r;
	jw_key(w, id);
	jw_null(w);
	return 0;
}

static int write_all(const struct lineage_spec *spec, write_cb write,
		     struct jw *w, struct err *e)
{
	autojson struct json j = {0};
	int r = json_parse(&j, spec->cursors, strlen(spec->cursors), e);
	struct jv cursors = json_root(&j);

	jw_obj(w);
	for (struct jv k = jv_first(cursors); r >= 0 && jv_has(k);
	     k = jv_next(cursors, k))
		r = write_one(spec, k, write, w, e);
	jw_obj_end(w);
	return r < 0 ? r : 0;
}

int lineage_write_clone(const struct lineage_spec *spec, struct jw *w,
			struct err *e)
{
	return write_all(spec, write_clone, w, e);
}

int lineage_write_rewind(const struct lineage_spec *spec, struct jw *w,
			 struct err *e)
{
	return write_all(spec, write_rewind, w, e);
}
