// SPDX-License-Identifier: Apache-2.0
/*
 * project_mcp.c - The rows of mcp_server
 *
 * A row says what a server was seen to do last.  It is made when the session is
 * told of its servers, or by the first event that names one.  When the session is
 * told of the same server again, what was known of it stays.
 */
#include "core/project_mcp.h"

#include "core/db.h"

#define run(p, sql, fmt, ...) \
	db_cache_run((p)->db, (p)->e, sql, fmt, ##__VA_ARGS__)

#define NAME_MAX_BYTES 64
#define SERVERS_MAX    32
#define TOOLS_MAX      (4u << 20)
#define WORDS_MAX      (64u << 10) /* Of instructions. */

static const char *const transports[] = {"stdio", "http", "sse", "builtin",
					 NULL};
static const char *const eras[] = {"legacy", "modern", NULL};

static const char *name_of(struct projection *p, struct jv v)
{
	return member_text_of(p, jv_get(v, "name"), 1, NAME_MAX_BYTES);
}

/* An exit code or a signal; NULL cannot be bound as a number, so none is -1. */
static int64_t number(const struct projection *p, const char *key)
{
	int64_t n = jv_int(jv_get(p->data, key), -1);

	return n < 0 ? -1 : n;
}

static int add_server(struct projection *p, struct jv spec)
{
	static const char sql[] =
		"INSERT INTO mcp_server(session_id, name, transport, spec,"
		"  state, updated_ms) VALUES(?1, ?2, ?3, ?4, 'off', ?5)"
		" ON CONFLICT DO UPDATE SET transport=excluded.transport,"
		"  spec=excluded.spec, state='off', pid=NULL,"
		"  updated_ms=excluded.updated_ms";
	const char *name = name_of(p, spec);
	const char *transport =
		member_word_of(p, jv_get(spec, "transport"), transports);
	struct slice text = member_json_of(spec, JV_OBJECT, JSON_LEN_MAX);

	if (name == NULL || transport == NULL || text.p == NULL)
		return 0;
	return run(p, sql, "sssSi", p->ev->session, name, transport, text.p,
		   text.len, p->ev->ts_ms);
}

int project_mcp_servers(struct projection *p)
{
	static const char drop_others[] =
		"DELETE FROM mcp_server WHERE session_id=?1 AND name NOT IN"
		" (SELECT json_extract(value, '$.name') FROM json_each(?2)"
		"  WHERE json_type(value, '$.name')='text')";
	struct jv list = jv_get(p->data, "mcp");
	struct slice text = member_json_of(list, JV_ARRAY, JSON_LEN_MAX);
	int n = 0, r;

	if (text.p == NULL)
		return 0;
	r = run(p, drop_others, "sS", p->ev->session, text.p, text.len);
	for (struct jv it = jv_first(list);
	     r >= 0 && jv_has(it) && n++ < SERVERS_MAX;
	     it = jv_next(list, it)) {
		r = add_server(p, it);
		members_release(p);
	}
	return r;
}

int project_mcp_ended(struct projection *p)
{
	static const char sql[] =
		"UPDATE mcp_server SET state='exited', pid=NULL, updated_ms=?2"
		" WHERE session_id=?1 AND state IN ('starting','ready')";

	return run(p, sql, "si", p->ev->session, p->ev->ts_ms);
}

static int resume_server(struct projection *p, struct jv server)
{
	static const char sql[] =
		"UPDATE mcp_server SET state='ready', pid=nullif(?3, -1),"
		"  updated_ms=?4 WHERE session_id=?1 AND name=?2";
	int64_t pid = jv_int(jv_get(server, "pid"), -1);
	const char *name = name_of(p, server);

	if (name == NULL)
		return 0;
	return run(p, sql, "ssii", p->ev->session, name, pid < 0 ? -1 : pid,
		   p->ev->ts_ms);
}

int project_mcp_resumed(struct projection *p)
{
	struct jv list = jv_get(p->data, "mcp");
	int n = 0, r = 0;

	for (struct jv it = jv_first(list);
	     r >= 0 && jv_has(it) && n++ < SERVERS_MAX;
	     it = jv_next(list, it)) {
		r = resume_server(p, it);
		members_release(p);
	}
	return r;
}

int project_mcp_starting(struct projection *p)
{
	static const char sql[] =
		"INSERT INTO mcp_server(session_id, name, transport, spec,"
		"  state, updated_ms)"
		" VALUES(?1, ?2, coalesce(?3, 'stdio'), '{}', 'starting', ?4)"
		" ON CONFLICT DO UPDATE SET state='starting', pid=NULL,"
		"  exit_code=NULL, exit_signal=NULL,"
		"  updated_ms=excluded.updated_ms";
	const char *name = name_of(p, p->data);

	if (name == NULL)
		return 0;
	return run(p, sql, "sssi", p->ev->session, name,
		   member_word(p, "transport", transports), p->ev->ts_ms);
}

static const char set_ready[] =
	"UPDATE mcp_server SET state='ready', pid=nullif(?3, -1),"
	"  exit_code=NULL, exit_signal=NULL, error=NULL, stderr_tail=NULL,"
	"  era=?4, version=?5, server=?6, start_ms=nullif(?7, -1),"
	"  hash=coalesce(?8, hash), tools=coalesce(?9, tools), updated_ms=?10,"
	"  capabilities=?11, instructions=?12"
	" WHERE session_id=?1 AND name=?2";
/* The session can do something that its agent cannot. */
static const char add_feature[] =
	"UPDATE session SET features=json_insert(features, '$[#]', 'mcp')"
	" WHERE n=?1 AND NOT EXISTS"
	"  (SELECT 1 FROM json_each(features) WHERE value='mcp')";

static struct slice tools_of(const struct projection *p)
{
	return member_json_of(jv_get(p->data, "tools"), JV_ARRAY, TOOLS_MAX);
}

int project_mcp_ready(struct projection *p)
{
	const char *name = name_of(p, p->data);
	struct slice server = member_json(p, "server", JV_OBJECT);
	struct slice caps = member_json(p, "capabilities", JV_OBJECT);
	struct slice tools = tools_of(p);
	int r;

	if (name == NULL)
		return 0;
	r = run(p, set_ready, "ssissSisSiSs", p->ev->session, name,
		number(p, "pid"), member_word(p, "era", eras),
		member_text(p, "version"), server.p, server.len,
		number(p, "ms"), member_text(p, "hash"), tools.p, tools.len,
		p->ev->ts_ms, caps.p, caps.len,
		member_text_of(p, jv_get(p->data, "instructions"), 1,
			       WORDS_MAX));
	return r > 0 ? run(p, add_feature, "i", p->n) : r;
}

/* @state: now; an error stays until the server is ready again. */
static int end_server(struct projection *p, const char *state,
		      const char *error)
{
	static const char sql[] =
		"UPDATE mcp_server SET state=?3, pid=NULL,"
		"  exit_code=nullif(?4, -1), exit_signal=nullif(?5, -1),"
		"  error=coalesce(?6, error),"
		"  stderr_tail=coalesce(?7, stderr_tail), updated_ms=?8"
		" WHERE session_id=?1 AND name=?2";
	const char *name = name_of(p, p->data);

	if (name == NULL)
		return 0;
	return run(p, sql, "sssiissi", p->ev->session, name, state,
		   number(p, "code"), number(p, "signal"), error,
		   member_text(p, "stderr_tail"), p->ev->ts_ms);
}

int project_mcp_failed(struct projection *p)
{
	return end_server(p, "failed", member_text(p, "reason"));
}

int project_mcp_exited(struct projection *p)
{
	return end_server(p, "exited", member_text(p, "reason"));
}

int project_mcp_changed(struct projection *p)
{
	static const char sql[] =
		"UPDATE mcp_server SET hash=coalesce(?3, hash),"
		"  tools=coalesce(?4, tools), updated_ms=?5"
		" WHERE session_id=?1 AND name=?2";
	const char *name = name_of(p, p->data);
	struct slice tools = tools_of(p);

	if (name == NULL)
		return 0;
	return run(p, sql, "sssSi", p->ev->session, name,
		   member_text(p, "hash"), tools.p, tools.len, p->ev->ts_ms);
}
