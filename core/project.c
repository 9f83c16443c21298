// SPDX-License-Identifier: Apache-2.0
/*
 * project.c - The rows that follow from an event
 *
 * One function per event type, found in a sorted table; a type that is not in
 * it changes no row, and its data is not even parsed.  Above all acp.*, nearly
 * all of a log, costs nothing here.
 *
 * data comes from another machine and may hold anything.  A member is used when
 * it has the right type and size (member.h); else it reads as NULL, and the SQL
 * keeps what the column held (coalesce).  What is written is a function of the log alone:
 * no clock, no random number, nothing of this machine.
 */
#include "core/project.h"

#include <stdio.h>
#include <string.h>

#include "core/member.h"
#include "core/project_again.h"
#include "core/project_mcp.h"
#include "core/project_notes.h"

#define USAGE_LEN_MAX	   4096 /* Of the usage of one turn. */
#define PAUSED_MAX_MS	   (100LL * 365 * 24 * 3600 * 1000)
#define PREVIEW_MAX	   200	       /* Bytes of mirror.preview. */
#define PREVIEW_SOURCE_MAX (16u << 20) /* Of the text that it is cut from. */
#define PATCH_LEN_MAX	   (1u << 20)  /* Of the patch of one file. */
#define DIFF_FILES_MAX	   10000       /* Rows of one turn.diff. */
/* Beyond 2^53 a JSON number is no integer to every reader. */
#define NUMBER_MAX "9007199254740991"

#define run(p, sql, fmt, ...) \
	db_cache_run((p)->db, (p)->e, sql, fmt, ##__VA_ARGS__)

/*
 * session.*
 */

static const char *const states[] = {
	"starting", "idle",   "running", "waiting", "suspended",
	"closing",  "closed", "failed",	 "expired", NULL,
};
static const char *const live_states[] = {"idle", "running", "waiting", NULL};
static const char *const dead_states[] = {"suspended", "closed", "failed",
					  "expired", NULL};
static const char *const wait_kinds[] = {"permission", "elicitation", "tool",
					 "child", NULL};

static const char insert_session[] =
	"INSERT INTO session(id, vm_id, agent, state, epoch, cwd, config,"
	"  env_names, create_hash, title, tags, parent_id, root_id, expires_ms,"
	"  created_ms, updated_ms)"
	" VALUES(?1, coalesce(?2, ''), coalesce(?3, ''), 'starting', ?4,"
	"  coalesce(?5, '/'), coalesce(?6, '{}'), coalesce(?7, '[]'), ?8, ?9,"
	"  coalesce(?10, '[]'), ?11, coalesce(?12, ?1), nullif(?13, 0), ?14,"
	"  ?14)"
	/* Once more, after a rewind: what later events made of it is undone.
	 * Where the log ends is no matter of events. */
	" ON CONFLICT(id) DO UPDATE SET vm_id=excluded.vm_id,"
	"  agent=excluded.agent, state='starting', suspended_from=NULL,"
	"  wait_kind=NULL, cwd=excluded.cwd, config=excluded.config,"
	"  env_names=excluded.env_names, create_hash=excluded.create_hash,"
	"  acp_session_id=NULL, agent_info=NULL, agent_caps=NULL,"
	"  features='[]', parent_id=excluded.parent_id,"
	"  root_id=excluded.root_id, forked_from=NULL, forked_seq=NULL,"
	"  turn_count=0, usage='{}', last_error=NULL, title=excluded.title,"
	"  tags=excluded.tags, closed_ms=NULL, archived_ms=NULL,"
	"  expires_ms=excluded.expires_ms";
static const char insert_mirror[] =
	"INSERT INTO mirror(session_n) SELECT n FROM session WHERE id=?1"
	" ON CONFLICT DO UPDATE SET pending=0, preview=NULL";

/* The version of the agent that the session was made with stays beside what
 * the agent later says of itself. */
static const char set_resolved[] =
	"UPDATE session SET agent_info=json_object('resolved', ?2)"
	" WHERE id=?1 AND ?2 IS NOT NULL";

static int on_created(struct projection *p)
{
	struct slice config = member_json(p, "config", JV_OBJECT);
	struct slice env = member_json(p, "env_names", JV_ARRAY);
	struct slice tags = member_json(p, "tags", JV_ARRAY);
	int64_t expires = jv_int(jv_get(p->data, "expires_ms"), 0);
	uint8_t key[HASH_MAX] = {0};
	size_t key_len = member_hash(p, "create_hash", key);
	int r;

	if (p->n != 0 && !p->again)
		return 0; /* A second one says nothing. */
	r = run(p, insert_session, "sssisSSbsSssii", p->ev->session,
		member_id(p, jv_get(p->data, "vm"), "vm"),
		member_text(p, "agent"), p->ev->epoch, member_text(p, "cwd"),
		config.p, config.len, env.p, env.len, key, key_len,
		member_text(p, "title"), tags.p, tags.len,
		member_id(p, jv_get(p->data, "parent"), "ses"),
		member_id(p, jv_get(p->data, "root"), "ses"), expires,
		p->ev->ts_ms);
	if (r >= 0)
		r = run(p, set_resolved, "ss", p->ev->session,
			member_text(p, "resolved"));
	if (r >= 0)
		r = project_mcp_servers(p);
	if (r >= 0 && p->host)
		r = run(p, insert_mirror, "s", p->ev->session);
	return r;
}

static const char set_state[] =
	"UPDATE session SET state=?2, suspended_from=?3,"
	"  wait_kind=CASE WHEN 'waiting' IN (?2, ?3)"
	"    THEN coalesce(?4, wait_kind) END,"
	"  closed_ms=CASE WHEN ?2='starting' THEN NULL ELSE closed_ms END"
	" WHERE n=?1";
static const char set_turn_state[] =
	"UPDATE turn SET state=?2"
	" WHERE session_id=?1 AND state IN ('running','waiting')";

static int on_state(struct projection *p)
{
	const char *to = member_word(p, "to", states), *suspended_from = NULL;
	int r;

	if (to == NULL || member_word(p, "from", states) == NULL)
		return 0;
	if (strcmp(to, "suspended") == 0) {
		suspended_from = member_word(p, "suspended_from", live_states);
		if (suspended_from == NULL)
			suspended_from = "idle";
	}
	r = run(p, set_state, "isss", p->n, to, suspended_from,
		member_word(p, "wait_kind", wait_kinds));
	if (r >= 0 &&
	    (strcmp(to, "running") == 0 || strcmp(to, "waiting") == 0))
		r = run(p, set_turn_state, "ss", p->ev->session, to);
	if (r >= 0 && member_word(p, "to", dead_states) != NULL)
		r = project_mcp_ended(p);
	return r;
}

static int on_ready(struct projection *p)
{
	static const char sql[] =
		"UPDATE session SET acp_session_id=coalesce(?2,"
		"  acp_session_id), agent_info=coalesce(json_patch("
		"    iif(json_extract(agent_info, '$.resolved') IS NULL, '{}',"
		"      json_object('resolved',"
		"        json_extract(agent_info, '$.resolved'))), ?3),"
		"    agent_info),"
		"  agent_caps=coalesce(?4, agent_caps),"
		"  features=coalesce(?5, features) WHERE n=?1";
	struct slice info = member_json(p, "agent_info", JV_OBJECT);
	struct slice caps = member_json(p, "capabilities", JV_OBJECT);
	struct slice features = member_json(p, "features", JV_ARRAY);

	return run(p, sql, "isSSS", p->n, member_text(p, "acp_session_id"),
		   info.p, info.len, caps.p, caps.len, features.p,
		   features.len);
}

/* ttl_ms counts from the event; 0 means that the session does not expire. */
static int set_ttl(struct projection *p)
{
	static const char sql[] =
		"UPDATE session SET expires_ms=nullif(?2, 0) WHERE n=?1";
	int64_t ttl = jv_int(jv_get(p->data, "ttl_ms"), -1), expires;

	if (ttl < 0 || __builtin_add_overflow(p->ev->ts_ms, ttl, &expires))
		return 0;
	return run(p, sql, "ii", p->n, ttl == 0 ? 0 : expires);
}

static int on_config(struct projection *p)
{
	static const char sql[] =
		"UPDATE session SET title=coalesce(?2, title),"
		"  tags=coalesce(?3, tags), config=CASE"
		"    WHEN length(config) + length(?4) <= ?5"
		"    THEN json_patch(config, ?4) ELSE config END"
		" WHERE n=?1";
	struct slice tags = member_json(p, "tags", JV_ARRAY);
	int r = run(p, sql, "isSSi", p->n, member_text(p, "title"), tags.p,
		    tags.len, p->ev->data, p->ev->data_len,
		    (int64_t)JSON_LEN_MAX);

	return r < 0 ? r : set_ttl(p);
}

static const char set_error[] = "UPDATE session SET last_error=?2 WHERE n=?1";

static int set_last_error(struct projection *p, struct jv error)
{
	struct slice s = member_json_of(error, JV_OBJECT, JSON_LEN_MAX);

	return s.p ? run(p, set_error, "iS", p->n, s.p, s.len) : 0;
}

static int on_error(struct projection *p)
{
	return set_last_error(p, p->data);
}

static const char cancel_requests[] =
	"UPDATE request SET state='cancelled', resolved_seq=?3, resolved_ms=?4"
	" WHERE session_id=?1 AND state='pending' AND asked_seq>=?2";

static int count_pending(struct projection *p)
{
	static const char sql[] =
		"UPDATE mirror SET pending=(SELECT count(*) FROM request"
		"  WHERE session_id=?2 AND state='pending')"
		" WHERE session_n=?1";

	return p->host ? run(p, sql, "is", p->n, p->ev->session) : 0;
}

static int cancel_pending(struct projection *p, int64_t asked_from)
{
	int r = run(p, cancel_requests, "siii", p->ev->session, asked_from,
		    p->ev->seq, p->ev->ts_ms);

	return r > 0 ? count_pending(p) : r;
}

/* What it used and when it expires: that is the source's. */
static const char make_fork[] =
	"UPDATE session SET forked_from=coalesce(?2, forked_from),"
	"  forked_seq=coalesce(nullif(?3, 0), forked_seq),"
	"  vm_id=coalesce(?4, vm_id), title=coalesce(?5, title),"
	"  tags=coalesce(?6, tags), env_names=coalesce(?7, env_names),"
	"  create_hash=coalesce(?8, create_hash),"
	"  root_id=id, parent_id=NULL, usage='{}', expires_ms=NULL"
	" WHERE n=?1";
/* A copy of the log alone: the process and the conversation stay behind, and so
 * does its end.  Another agent has nothing of the first one. */
static const char fork_cold[] =
	"UPDATE session SET acp_session_id=NULL, state='suspended',"
	"  suspended_from='idle', wait_kind=NULL, closed_ms=NULL,"
	"  archived_ms=NULL WHERE n=?1";
static const char fork_agent[] =
	"UPDATE session SET agent=?2, agent_caps=NULL, features='[]',"
	"  agent_info=iif(?3 IS NULL, NULL, json_object('resolved', ?3))"
	" WHERE n=?1 AND ?2 IS NOT NULL";
static const char fork_turns[] =
	"UPDATE turn SET idem_key=NULL, idem_hash=NULL, usage=NULL"
	" WHERE session_id=?1";

static int leave_process(struct projection *p)
{
	int r = run(p, fork_cold, "i", p->n);

	if (r >= 0)
		r = run(p, fork_agent, "iss", p->n, member_text(p, "agent"),
			member_text(p, "resolved"));
	if (r >= 0)
		r = project_mcp_ended(p);
	return r < 0 ? r : cancel_pending(p, 0);
}

/* warm: a clone of the VM with its memory.  The process goes on in the fork, in
 * the middle of its turn, with what it has asked and the servers that it has. */
static int on_forked(struct projection *p)
{
	struct slice tags = member_json(p, "tags", JV_ARRAY);
	struct slice env = member_json(p, "env_names", JV_ARRAY);
	int64_t at = jv_int(jv_get(p->data, "at"), 0);
	uint8_t key[HASH_MAX] = {0};
	size_t key_len = member_hash(p, "create_hash", key);
	int r = run(p, make_fork, "isissSSb", p->n,
		    member_id(p, jv_get(p->data, "from"), "ses"), at,
		    member_id(p, jv_get(p->data, "vm"), "vm"),
		    member_text(p, "title"), tags.p, tags.len, env.p, env.len,
		    key_len > 0 ? key : NULL, key_len);

	if (r >= 0)
		r = run(p, fork_turns, "s", p->ev->session);
	if (r < 0 || jv_bool(jv_get(p->data, "warm"), false))
		return r;
	return leave_process(p);
}

static int on_imported(struct projection *p)
{
	static const char sql[] =
		"UPDATE session SET vm_id=coalesce(?2, vm_id) WHERE n=?1";

	return run(p, sql, "is", p->n,
		   member_id(p, jv_get(p->data, "vm"), "vm"));
}

static int on_closed(struct projection *p)
{
	return run(p, "UPDATE session SET closed_ms=?2 WHERE n=?1", "ii", p->n,
		   p->ev->ts_ms);
}

static int on_archived(struct projection *p)
{
	return run(p, "UPDATE session SET archived_ms=?2 WHERE n=?1", "ii",
		   p->n, p->ev->ts_ms);
}

static int on_unarchived(struct projection *p)
{
	return run(p, "UPDATE session SET archived_ms=NULL WHERE n=?1", "i",
		   p->n);
}

/* Time that the session did not see is nobody's to answer in.  A tool's deadline
 * is the host's, which goes on. */
static int on_resumed(struct projection *p)
{
	static const char later[] =
		"UPDATE request SET deadline_ms=min(deadline_ms, 1<<62)+?2"
		" WHERE session_id=?1 AND state='pending' AND kind<>'tool'";
	int64_t ms = jv_int(jv_get(p->data, "paused_ms"), 0);
	int r = 0;

	if (ms > 0 && ms <= PAUSED_MAX_MS)
		r = run(p, later, "si", p->ev->session, ms);
	return r < 0 ? r : project_mcp_resumed(p);
}

/* What happened in the abandoned range did not: the rows are those of the log
 * without it. */
static int on_rewound(struct projection *p)
{
	return p->again ? 0 : project_again(p);
}

/*
 * Turns.
 */

/* Whoever numbers turns anew after a rewind gets the next number instead. */
static const char insert_turn[] =
	"INSERT INTO turn(id, session_id, n, state, input_id, idem_key,"
	"  idem_hash, first_seq, started_ms)"
	" SELECT ?2, ?1, CASE WHEN ?3>0 AND NOT EXISTS"
	"    (SELECT 1 FROM turn WHERE session_id=?1 AND n=?3) THEN ?3"
	"    ELSE (SELECT coalesce(max(n), 0)+1 FROM turn WHERE session_id=?1)"
	"    END, 'running', coalesce(?4, ''), ?5, ?6, ?7, ?8";
static const char count_turn[] =
	"UPDATE session SET turn_count=turn_count+1 WHERE n=?1";

static int on_turn_started(struct projection *p)
{
	uint8_t key[HASH_MAX] = {0};
	size_t key_len = member_hash(p, "idem_hash", key);
	int64_t first = jv_int(jv_get(p->data, "first_seq"), 0);
	int r;

	if (p->ev->turn[0] == '\0')
		return 0;
	if (first < 1 || first > p->ev->seq)
		first = p->ev->seq;
	r = run(p, insert_turn, "ssissbii", p->ev->session, p->ev->turn,
		jv_int(jv_get(p->data, "n"), 0),
		member_id(p, jv_get(p->ctx, "input"), "msg"),
		member_text_of(p, jv_get(p->data, "idem_key"), 1, TEXT_LEN_MAX),
		key_len > 0 ? key : NULL, key_len, first, p->ev->ts_ms);
	return r < 0 ? r : run(p, count_turn, "i", p->n);
}

static const char end_turn[] =
	"UPDATE turn SET state=?3, stop_reason=coalesce(?4, stop_reason),"
	"  error=?5, usage=?6, last_seq=?7, ended_ms=?8"
	" WHERE session_id=?1 AND id=?2 AND state IN ('running','waiting')";
static const char add_usage[] =
	"UPDATE session SET usage=(SELECT json_group_object(key, total) FROM"
	"  (SELECT key, sum(value) AS total FROM"
	"    (SELECT key, value, type FROM json_each(usage) UNION ALL"
	"     SELECT key, value, type FROM json_each(?2))"
	"   WHERE type IN ('integer','real')"
	"     AND value BETWEEN -" NUMBER_MAX " AND " NUMBER_MAX
	"   GROUP BY key))"
	" WHERE n=?1";

/* It ended while the session was suspended in it: the memory of that is gone. */
static const char wake_to_idle[] =
	"UPDATE session SET suspended_from='idle', wait_kind=NULL"
	" WHERE n=?1 AND state='suspended'";

/* Return: 1 when an open turn has ended; 0 when there was none. */
static int finish_turn(struct projection *p, const char *state)
{
	struct slice error = member_json(p, "error", JV_OBJECT);
	struct slice usage = member_json_of(jv_get(p->data, "usage"), JV_OBJECT,
					    USAGE_LEN_MAX);
	const char *why = member_text(p, "stop_reason");
	int r, woken;

	if (why == NULL)
		why = member_text(p, "reason");
	r = run(p, end_turn, "ssssSSii", p->ev->session, p->ev->turn, state,
		why, error.p, error.len, usage.p, usage.len, p->ev->seq,
		p->ev->ts_ms);
	if (r > 0 && usage.p != NULL)
		r = run(p, add_usage, "iS", p->n, usage.p, usage.len);
	if (r <= 0)
		return r;
	woken = run(p, wake_to_idle, "i", p->n);
	return woken < 0 ? woken : r;
}

static int cancel_turn_requests(struct projection *p)
{
	static const char sql[] =
		"UPDATE request SET state='cancelled', resolved_seq=?3,"
		"  resolved_ms=?4"
		" WHERE session_id=?1 AND turn_id=?2 AND state='pending'";
	int r = run(p, sql, "ssii", p->ev->session, p->ev->turn, p->ev->seq,
		    p->ev->ts_ms);

	return r > 0 ? count_pending(p) : r;
}

/* The last thing said, for lists. */
static int set_preview(struct projection *p, struct jv said)
{
	static const char sql[] =
		"UPDATE mirror SET preview=?2 WHERE session_n=?1";
	const char *s;
	size_t n;

	if (!p->host)
		return 0;
	s = member_text_of(p, said, 1, PREVIEW_SOURCE_MAX);
	if (s == NULL)
		return 0;
	n = strlen(s);
	if (n > PREVIEW_MAX)
		for (n = PREVIEW_MAX; n > 0 && (s[n] & 0xc0) == 0x80; n--)
			;
	return run(p, sql, "iS", p->n, s, n);
}

static int on_input(struct projection *p)
{
	struct jv content = jv_get(p->data, "content");

	for (struct jv b = jv_first(content); jv_has(b);
	     b = jv_next(content, b))
		if (jv_eq(jv_get(b, "type"), "text"))
			return set_preview(p, jv_get(b, "text"));
	return 0;
}

static int on_turn_completed(struct projection *p)
{
	int r = finish_turn(p, "completed");

	if (r <= 0)
		return r;
	r = run(p, set_error, "in", p->n);
	if (r >= 0)
		r = cancel_turn_requests(p);
	return r < 0 ? r : set_preview(p, jv_get(p->data, "text_preview"));
}

static int on_turn_failed(struct projection *p)
{
	int r = finish_turn(p, "failed");

	if (r > 0)
		r = set_last_error(p, jv_get(p->data, "error"));
	return r < 0 ? r : cancel_turn_requests(p);
}

static int on_turn_cancelled(struct projection *p)
{
	int r = finish_turn(p, "cancelled");

	return r > 0 ? cancel_turn_requests(p) : r;
}

static int on_turn_interrupted(struct projection *p)
{
	int r = finish_turn(p, "interrupted");

	return r > 0 ? cancel_turn_requests(p) : r;
}

static const char insert_diff[] =
	"INSERT OR REPLACE INTO diff(session_id, turn_id, path, kind, old_oid,"
	"  new_oid, patch, seq) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/* @turn: whose it is, also when it comes late. */
static int add_diff(struct projection *p, const char *turn, struct jv file)
{
	static const char *const kinds[] = {"add", "modify", "delete", "rename",
					    NULL};
	const char *path =
		member_text_of(p, jv_get(file, "path"), 1, TEXT_LEN_MAX);
	const char *kind = member_word_of(p, jv_get(file, "kind"), kinds);

	if (path == NULL || kind == NULL)
		return 0;
	return run(p, insert_diff, "sssssssi", p->ev->session, turn, path, kind,
		   member_text_of(p, jv_get(file, "old"), 0, TEXT_LEN_MAX),
		   member_text_of(p, jv_get(file, "new"), 0, TEXT_LEN_MAX),
		   member_text_of(p, jv_get(file, "patch"), 0, PATCH_LEN_MAX),
		   p->ev->seq);
}

static int on_turn_diff(struct projection *p)
{
	struct jv files = jv_get(p->data, "files"), f;
	const char *late = member_id(p, jv_get(p->ctx, "late"), "trn");
	char turn[ID_MAX];
	int n = 0, r = 0;

	snprintf(turn, sizeof(turn), "%s", late != NULL ? late : p->ev->turn);
	members_release(p);
	if (!jv_is(files, JV_ARRAY) || turn[0] == '\0')
		return 0;
	for (f = jv_first(files); jv_has(f); f = jv_next(files, f)) {
		if (r < 0 || n++ == DIFF_FILES_MAX)
			break;
		r = add_diff(p, turn, f);
		members_release(p);
	}
	return r;
}

/*
 * Requests: permission.*, elicitation.*, tool.*
 */

static const char insert_request[] =
	"INSERT OR IGNORE INTO request(id, session_id, turn_id, kind,"
	"  tool_call_id, body, asked_seq, created_ms, deadline_ms)"
	" VALUES(?1, ?2, nullif(?3, ''), ?4, ?5, ?6, ?7, ?8, nullif(?9, 0))";

/* While a session waits, one of the open requests names the wait: a permission
 * if there is one, else the first asked. */
static const char name_wait[] =
	"UPDATE session SET wait_kind=coalesce((SELECT kind FROM request"
	"    WHERE session_id=?2 AND state='pending'"
	"    ORDER BY kind<>'permission', asked_seq LIMIT 1), wait_kind)"
	" WHERE n=?1 AND state='waiting'";

static int requests_changed(struct projection *p)
{
	int r = run(p, name_wait, "is", p->n, p->ev->session);

	return r < 0 ? r : count_pending(p);
}

static int on_requested(struct projection *p)
{
	const char *req = member_id(p, jv_get(p->ctx, "req"), "req");
	char kind[EVENT_TYPE_MAX];
	int r;

	if (req == NULL)
		return 0;
	strcpy(kind, p->ev->type);
	kind[strcspn(kind, ".")] = '\0';
	r = run(p, insert_request, "sssssSiii", req, p->ev->session,
		p->ev->turn, kind,
		member_text_of(p, jv_get(p->ctx, "tool"), 1, TEXT_LEN_MAX),
		p->ev->data, p->ev->data_len, p->ev->seq, p->ev->ts_ms,
		jv_int(jv_get(p->data, "deadline_ms"), 0));
	return r > 0 ? requests_changed(p) : r;
}

/* The first resolution is told; the end of a turn resolves without answer. */
static const char resolve_request[] =
	"UPDATE request SET state=?3, answer=?4, answered_by=?5,"
	"  resolved_seq=?6, resolved_ms=?7"
	" WHERE session_id=?1 AND id=?2 AND answer IS NULL";

static int on_resolved(struct projection *p)
{
	const char *req = member_id(p, jv_get(p->ctx, "req"), "req");
	const char *state = "answered";
	int r;

	if (req == NULL)
		return 0;
	if (jv_eq(jv_get(p->data, "by"), "timeout"))
		state = "expired";
	else if (jv_eq(jv_get(p->data, "outcome"), "cancelled"))
		state = "cancelled";
	r = run(p, resolve_request, "sssSsii", p->ev->session, req, state,
		p->ev->data, p->ev->data_len, member_text(p, "by"), p->ev->seq,
		p->ev->ts_ms);
	return r > 0 ? requests_changed(p) : r;
}

/*
 * Artifacts.
 */

static int on_artifact(struct projection *p)
{
	static const char sql[] =
		"INSERT OR IGNORE INTO artifact(id, session_id, turn_id, name,"
		"  path, media_type, size, sha256, created_ms)"
		" VALUES(?1, ?2, nullif(?3, ''), ?4, ?5, ?6, ?7, ?8, ?9)";
	const char *art = member_id(p, jv_get(p->data, "id"), "art");
	const char *late = member_id(p, jv_get(p->ctx, "late"), "trn");
	const char *name = member_text(p, "name");
	int64_t size = jv_int(jv_get(p->data, "size"), -1);
	uint8_t sum[HASH_MAX];

	if (art == NULL || name == NULL || size < 0 ||
	    member_hash(p, "sha256", sum) != HASH_MAX)
		return 0;
	return run(p, sql, "ssssssibi", art, p->ev->session,
		   late ? late : p->ev->turn, name, member_text(p, "path"),
		   member_text(p, "media_type"), size, sum, sizeof(sum),
		   p->ev->ts_ms);
}

/*
 * The table.
 */

struct rule {
	const char *type;
	int (*apply)(struct projection *p);
};

static const struct rule rules[] = {
	{"artifact.created", on_artifact},
	{"elicitation.requested", on_requested},
	{"elicitation.resolved", on_resolved},
	{"input.message", on_input},
	{"kv.deleted", project_kv_deleted},
	{"kv.set", project_kv_set},
	{"mcp.changed", project_mcp_changed},
	{"mcp.exited", project_mcp_exited},
	{"mcp.failed", project_mcp_failed},
	{"mcp.ready", project_mcp_ready},
	{"mcp.starting", project_mcp_starting},
	{"memory.deleted", project_memory_deleted},
	{"memory.set", project_memory_set},
	{"permission.requested", on_requested},
	{"permission.resolved", on_resolved},
	{"session.archived", on_archived},
	{"session.closed", on_closed},
	{"session.config", on_config},
	{"session.created", on_created},
	{"session.error", on_error},
	{"session.expired", on_closed},
	{"session.forked", on_forked},
	{"session.imported", on_imported},
	{"session.ready", on_ready},
	{"session.resumed", on_resumed},
	{"session.resuming", project_mcp_servers},
	{"session.rewound", on_rewound},
	{"session.state", on_state},
	{"session.unarchived", on_unarchived},
	{"summary.created", project_summary},
	{"tool.requested", on_requested},
	{"tool.resolved", on_resolved},
	{"turn.cancelled", on_turn_cancelled},
	{"turn.completed", on_turn_completed},
	{"turn.diff", on_turn_diff},
	{"turn.failed", on_turn_failed},
	{"turn.interrupted", on_turn_interrupted},
	{"turn.started", on_turn_started},
};

static int by_type(const void *type, const void *rule)
{
	return strcmp(type, ((const struct rule *)rule)->type);
}

static int parse(struct projection *p)
{
	int r = json_parse(&p->data_doc, p->ev->data, p->ev->data_len, p->e);

	if (r == 0 && p->ev->ctx != NULL)
		r = json_parse(&p->ctx_doc, p->ev->ctx, p->ev->ctx_len, p->e);
	p->data = json_root(&p->data_doc);
	p->ctx = json_root(&p->ctx_doc);
	return r == -ENOMEM ? r : r < 0 ? -EINVAL : 0;
}

static int project(struct projection *p)
{
	const struct rule *rule;
	int r;

	if (strncmp(p->ev->type, "acp.", 4) == 0)
		return 0;
	rule = bsearch(p->ev->type, rules, ARRAY_LEN(rules), sizeof(*rules),
		       by_type);
	if (rule == NULL)
		return 0;

	r = parse(p);
	if (r == 0)
		r = rule->apply(p);
	if (r >= 0 && p->out_of_memory)
		r = err_set(p->e, -ENOMEM, "projection: out of memory");
	members_release(p);
	json_done(&p->data_doc);
	json_done(&p->ctx_doc);
	return r < 0 ? r : 0;
}

int project_event(struct db_cache *c, const struct event *ev, int64_t session_n,
		  bool host, struct err *e)
{
	struct projection p = {
		.db = c, .ev = ev, .n = session_n, .host = host, .e = e};

	return project(&p);
}

int project_event_again(const struct projection *of, const struct event *ev)
{
	struct projection p = {.db = of->db,
			       .ev = ev,
			       .n = of->n,
			       .host = of->host,
			       .again = true,
			       .e = of->e};

	return project(&p);
}
