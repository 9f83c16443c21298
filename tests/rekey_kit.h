/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekey_kit.h - Logs of a VM on both sides, for tests of rewinds and clones
 *
 * Both sides are real stores.  What a guest has is brought to the host as a link
 * does it: from where the host's log ends, line by line.
 */
#ifndef TESTS_REKEY_KIT_H
#define TESTS_REKEY_KIT_H

#include "core/messages.h"
#include "guest/guest.h"
#include "guest/rekey.h"
#include "guest/session.h"
#include "guest/sqlops.h"
#include "tests/store_kit.h"

#define VM_OLD "vm_0123456789abcdef0123456789abcdef" /* As log_create(). */

/* First column of the first row, owned by the caller; "" if there is none. */
static inline char *kit_text(const struct kit *k, const char *sql,
			     const char *session)
{
	autoreader struct reader *r = NULL;
	const char *args[] = {session, NULL};
	char *s = NULL;
	struct err e = {0};

	if (reader_open(k->db, &r, &e) < 0 ||
	    reader_value(r, sql, args, &s, &e) < 0)
		FAIL("%s: %s", sql, e.msg);
	return s != NULL ? s : strdup("");
}

static inline int64_t kit_int(const struct kit *k, const char *sql,
			      const char *session)
{
	autofree char *s = kit_text(k, sql, session);

	return atoll(s);
}

static inline int64_t last_seq(const struct kit *k, const char *session)
{
	return kit_int(k, "SELECT last_seq FROM session WHERE id=?1", session);
}

static inline int64_t last_chain(const struct kit *k, const char *session)
{
	return kit_int(k,
		       "SELECT chain FROM event e JOIN session s ON"
		       " s.n=e.session_n AND e.seq=s.last_seq WHERE s.id=?1",
		       session);
}

/*
 * From one store to another.
 */

struct copying {
	struct kit *to;
	struct event_list events;
};

static inline int copy_one(const struct event *ev, void *arg)
{
	struct copying *c = arg;
	struct event *copy;
	struct err e = {0};

	if (event_parse(ev->line, ev->len - 1, &copy, &e) < 0)
		FAIL("%s", e.msg);
	TAILQ_INSERT_TAIL(&c->events, copy, link);
	return 0;
}

/* What @to lacks of a log, from @from.  Return: what the store said. */
static inline int64_t bring(const struct kit *from, struct kit *to,
			    const char *session, struct err *e)
{
	struct copying c = {.to = to};
	struct event_query q = {.session = session,
				.since = last_seq(to, session)};
	autoreader struct reader *r = NULL;

	TAILQ_INIT(&c.events);
	if (reader_open(from->db, &r, e) < 0 ||
	    reader_each_event(r, &q, copy_one, &c, e) < 0)
		FAIL("%s", e->msg);
	if (TAILQ_EMPTY(&c.events))
		return q.since;
	return kit_append_list(to, session, &c.events, e);
}

static inline void sync_log(const struct kit *guest, struct kit *host,
			    const char *session)
{
	struct err e = {0};

	if (bring(guest, host, session, &e) < 0)
		FAIL("the host refuses: %s", e.msg);
	EQ(last_seq(host, session), last_seq(guest, session));
	EQ(last_chain(host, session), last_chain(guest, session));
}

/* A snapshot: the store as it is, in a folder of its own. */
static inline void kit_copy(const struct kit *k, struct kit *out)
{
	char cmd[256];

	*out = (struct kit){.role = k->role, .dir = "/tmp/hib-store-XXXXXX"};
	OK(mkdtemp(out->dir) != NULL);
	snprintf(out->db, sizeof(out->db), "%s/s.db", out->dir);
	snprintf(cmd, sizeof(cmd), "cp -r %s/. %s", k->dir, out->dir);
	EQ(system(cmd), 0);
}

/*
 * Rows.
 */

/* Everything that is a function of a log, of one session. */
static const char *const row_queries[] = {
	"SELECT json_array(vm_id, agent, state, suspended_from, wait_kind,"
	" epoch, cwd, config, env_names, hex(create_hash), acp_session_id,"
	" agent_info, agent_caps, features, parent_id, root_id, forked_from,"
	" forked_seq, last_seq, turn_count, usage, last_error, title, tags,"
	" created_ms, updated_ms, closed_ms, archived_ms, expires_ms)"
	" FROM session WHERE id=?1",
	"SELECT json_group_array(json_array(id, n, state, input_id, idem_key,"
	" hex(idem_hash), stop_reason, error, usage, first_seq, last_seq,"
	" started_ms, ended_ms)) FROM"
	" (SELECT * FROM turn WHERE session_id=?1 ORDER BY n)",
	"SELECT json_group_array(json_array(id, turn_id, kind, state,"
	" tool_call_id, body, answer, answered_by, asked_seq, resolved_seq,"
	" created_ms, deadline_ms, resolved_ms)) FROM"
	" (SELECT * FROM request WHERE session_id=?1 ORDER BY asked_seq)",
	"SELECT json_group_array(json_array(turn_id, path, kind, old_oid,"
	" new_oid, patch, seq)) FROM"
	" (SELECT * FROM diff WHERE session_id=?1 ORDER BY turn_id, path)",
	"SELECT json_group_array(json_array(id, turn_id, name, path,"
	" media_type, size, hex(sha256), created_ms)) FROM"
	" (SELECT * FROM artifact WHERE session_id=?1 ORDER BY id)",
	"SELECT json_group_array(json_array(key, value, created_ms,"
	" updated_ms)) FROM (SELECT * FROM kv WHERE session_id=?1"
	" ORDER BY key)",
	"SELECT json_group_array(json_array(key, value, meta, created_ms,"
	" updated_ms)) FROM (SELECT * FROM memory WHERE session_id=?1"
	" ORDER BY key)",
	"SELECT json_group_array(json_array(key, value, meta, rev,"
	" created_ms, updated_ms)) FROM (SELECT * FROM memory_shared"
	" WHERE session_id=?1 ORDER BY key)",
	"SELECT json_group_array(json_array(to_seq, from_seq, text, tokens,"
	" model, created_ms)) FROM (SELECT * FROM summary WHERE session_id=?1"
	" ORDER BY to_seq)",
	"SELECT json_group_array(json_array(name, transport, spec, state, pid,"
	" exit_code, exit_signal, error, era, version, server, hash, tools,"
	" updated_ms)) FROM (SELECT * FROM mcp_server WHERE session_id=?1"
	" ORDER BY name)",
	"SELECT json_group_array(json_array(from_seq, to_seq, by_epoch,"
	" snapshot_id)) FROM (SELECT * FROM abandoned WHERE session_id=?1"
	" ORDER BY from_seq)",
	"SELECT json_group_array(json_array(seq, epoch, ts_ms, type, turn_id,"
	" ctx, data, chain)) FROM (SELECT * FROM v_active WHERE session_id=?1"
	" ORDER BY seq)",
};

static inline void rows_are_equal(const struct kit *a, const struct kit *b,
				  const char *session)
{
	for (size_t i = 0; i < ARRAY_LEN(row_queries); i++) {
		autofree char *x = kit_text(a, row_queries[i], session);
		autofree char *y = kit_text(b, row_queries[i], session);

		STR_EQ(x, y);
	}
}

/* Both sides of a log: no number twice, the same chain, the same rows, and
 * nothing that is damaged. */
static inline void sides_are_equal(const struct kit *guest,
				   const struct kit *host, const char *session)
{
	static const char twice[] =
		"SELECT count(*)-count(DISTINCT seq) FROM event WHERE"
		" session_n=(SELECT n FROM session WHERE id=?1)";
	static const char gaps[] =
		"SELECT max(seq)-count(*) FROM event WHERE"
		" session_n=(SELECT n FROM session WHERE id=?1)";

	EQ(last_chain(guest, session), last_chain(host, session));
	EQ(kit_int(guest, twice, session), 0);
	EQ(kit_int(host, twice, session), 0);
	EQ(kit_int(host, gaps, session), 0);
	rows_are_equal(guest, host, session);
	EQ(kit_check(guest), 0);
	EQ(kit_check(host), 0);
}

/*
 * What happens in a session.
 */

static inline void log_state(struct kit *k, struct log *l, const char *from,
			     const char *to)
{
	char data[160];
	int n = snprintf(data, sizeof(data), "{\"from\":\"%s\",\"to\":\"%s\"",
			 from, to);

	if (strcmp(to, "suspended") == 0)
		n += snprintf(data + n, sizeof(data) - (size_t)n,
			      ",\"suspended_from\":\"%s\"", from);
	if (strcmp(to, "waiting") == 0)
		n += snprintf(data + n, sizeof(data) - (size_t)n,
			      ",\"wait_kind\":\"permission\"");
	strcpy(data + n, "}");
	log_write(k, l, "session.state", NULL, data);
}

/* A session that is ready, with an agent. */
static inline struct log log_ready(struct kit *k)
{
	struct log l = log_new();

	log_create(k, &l);
	log_write(k, &l, "mcp.starting", NULL,
		  "{\"name\":\"a\",\"transport\":\"stdio\"}");
	log_write(k, &l, "mcp.ready", NULL, "{\"name\":\"a\",\"pid\":7}");
	log_write(k, &l, "session.ready", NULL,
		  "{\"restore\":\"new\",\"acp_session_id\":\"acp-1\","
		  "\"agent_info\":{\"name\":\"echo\"}}");
	log_state(k, &l, "starting", "idle");
	return l;
}

static inline void log_say(struct kit *k, struct log *l, const char *text)
{
	char data[256];

	snprintf(data, sizeof(data),
		 "{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":"
		 "\"session/update\",\"params\":{\"update\":{"
		 "\"sessionUpdate\":\"agent_message_chunk\",\"content\":{"
		 "\"type\":\"text\",\"text\":\"%s\"}}}}}",
		 text);
	log_write(k, l, "acp.update", NULL, data);
}

static inline void log_end(struct kit *k, struct log *l)
{
	log_write(k, l, "turn.completed", NULL,
		  "{\"stop_reason\":\"end_turn\",\"usage\":{\"tokens\":5},"
		  "\"text_preview\":\"done\"}");
	l->turn[0] = '\0';
	log_state(k, l, "running", "idle");
}

static inline void log_begin(struct kit *k, struct log *l, int n)
{
	log_prompt(k, l, n);
	log_state(k, l, "idle", "running");
}

static inline void log_whole_turn(struct kit *k, struct log *l, int n,
				  const char *text)
{
	log_begin(k, l, n);
	log_say(k, l, text);
	log_end(k, l);
}

/* Of everything that makes a row. */
static inline void log_mixture(struct kit *k, struct log *l, int n)
{
	char req[ID_MAX], ctx[96], art[ID_MAX], data[256];

	id_new(req, "req");
	id_new(art, "art");
	snprintf(ctx, sizeof(ctx), "{\"req\":\"%s\"}", req);
	log_begin(k, l, n);
	log_write(k, l, "permission.requested", ctx, "{\"options\":[]}");
	log_state(k, l, "running", "waiting");
	log_write(k, l, "permission.resolved", ctx,
		  "{\"outcome\":\"selected\",\"by\":\"client\"}");
	log_state(k, l, "waiting", "running");
	log_write(k, l, "kv.set", NULL, "{\"key\":\"a\",\"value\":\"2\"}");
	log_write(k, l, "kv.deleted", NULL, "{\"key\":\"b\"}");
	log_write(k, l, "memory.set", NULL,
		  "{\"key\":\"m\",\"value\":\"2\",\"scope\":\"vm\",\"rev\":2}");
	log_write(k, l, "session.config", NULL,
		  "{\"title\":\"other\",\"model\":\"m2\",\"ttl_ms\":99}");
	log_write(k, l, "turn.diff", NULL,
		  "{\"files\":[{\"path\":\"f\",\"kind\":\"add\"}]}");
	snprintf(
		data, sizeof(data),
		"{\"id\":\"%s\",\"name\":\"n\",\"size\":1,\"sha256\":\"%064d\"}",
		art, 1);
	log_write(k, l, "artifact.created", NULL, data);
	log_write(k, l, "mcp.exited", NULL, "{\"name\":\"a\",\"code\":1}");
	log_write(k, l, "session.error", NULL, "{\"code\":\"internal\"}");
	log_end(k, l);
	log_write(k, l, "summary.created", NULL,
		  "{\"from_seq\":1,\"to_seq\":3,\"text\":\"s\"}");
	log_write(k, l, "session.archived", NULL, "{}");
}

/*
 * Guests.
 */

/* A guest that is paused: its store, and the sessions that it has in memory. */
struct vm {
	struct kit k;
	struct guest_options opt;
	struct guest g;
	uv_timer_t
		alive; /* Keeps the loop waiting, as a daemon's socket does. */
};

static inline void on_too_late(uv_timer_t *t)
{
	(void)t;
	FAIL("nothing happens");
}

static inline void vm_begin(struct vm *v)
{
	struct err e = {0};

	v->opt = (struct guest_options){.state = v->k.dir, .fuse_fd = -1};
	v->g = (struct guest){.loop = &v->k.loop,
			      .opt = &v->opt,
			      .store = v->k.store,
			      .cgroups = {.root = -1}};
	TAILQ_INIT(&v->g.sessions);
	TAILQ_INIT(&v->g.feeds);
	EQ(reader_open(v->k.db, &v->g.reader, &e), 0);
	v->g.outbox = outbox_new(v->g.reader);
	store_subscribe(v->g.store, outbox_on_stored, v->g.outbox);
	journal_hub_init(&v->g.hub, v->g.store);
	EQ(sqlops_open(v->g.loop, v->opt.state, &v->g.sql), 0);
	strcpy(v->g.vm, VM_OLD);
	uv_timer_init(&v->k.loop, &v->alive);
	uv_timer_start(&v->alive, on_too_late, 1000 * CASE_SECONDS, 0);
}

static inline void vm_new(struct vm *v)
{
	kit_open(&v->k, STORE_GUEST);
	vm_begin(v);
}

/* A VM that goes on from a snapshot. */
static inline void vm_from(struct vm *v, const struct kit *snapshot)
{
	kit_copy(snapshot, &v->k);
	EQ(uv_loop_init(&v->k.loop), 0);
	kit_start(&v->k);
	vm_begin(v);
}

static inline void vm_end(struct vm *v)
{
	while (session_first(&v->g) != NULL)
		session_abandon(session_first(&v->g));
	sqlops_close(v->g.sql);
	outbox_free(v->g.outbox);
	reader_close(v->g.reader);
	journal_hub_done(&v->g.hub);
	uv_close((uv_handle_t *)&v->alive, NULL);
	kit_close(&v->k);
}

static inline void on_rekeyed(const struct err *e, void *arg)
{
	struct appended *a = arg;

	a->done = true;
	if (e != NULL)
		a->e = *e;
}

/* @vm: of a clone, or NULL.  Return: 0 or the error. */
static inline int rekey(struct vm *v, const char *vm, const char *sessions)
{
	autojson struct json j = {0};
	struct rekey_spec spec = {.vm = vm, .warm = true};
	struct appended a = {0};
	struct err e = {0};
	int r;

	EQ(json_parse(&j, sessions, strlen(sessions), &e), 0);
	spec.sessions = json_root(&j);
	r = rekey_begin(&v->g, &spec, on_rekeyed, &a, &e);
	if (r < 0)
		return r;
	EQ(a.done, false);
	while (!a.done)
		uv_run(&v->k.loop, UV_RUN_ONCE);
	if (a.e.code < 0)
		fprintf(stderr, "# %s\n", a.e.msg);
	return a.e.code;
}

/* @l goes on where the log is now. */
static inline void log_follow(const struct vm *v, struct log *l)
{
	l->seq = last_seq(&v->k, l->session);
	l->epoch = kit_int(&v->k, "SELECT epoch FROM session WHERE id=?1",
			   l->session);
}

static inline char *messages_of(const struct kit *k, const char *session)
{
	const struct messages_query q = {.session = session};
	autoreader struct reader *r = NULL;
	autojw struct jw w = {0};
	struct err e = {0};

	EQ(reader_open(k->db, &r, &e), 0);
	jw_arr(&w);
	if (messages_write(r, &q, &w, &e) < 0)
		FAIL("%s", e.msg);
	jw_arr_end(&w);
	return jw_take(&w, NULL);
}

#endif
