// SPDX-License-Identifier: Apache-2.0
/*
 * views.c - What people ask of the store, as JSON: one call each
 *
 * A session or turn that the log still calls live, but whose VM is off, is shown
 * as suspended or interrupted.  That is computed, never stored, until the guest
 * itself has said how it ended.
 *
 * Each view is one SELECT of the table below.  An argument that is not given is
 * bound as the empty string, which no filter takes for a value.
 */
#include "host/views.h"

#include <stdio.h>
#include <string.h>

/* The VM of session s is off, so nothing of it lives. */
#define VM_OFF                                                   \
	"NOT EXISTS (SELECT 1 FROM vm v WHERE v.id=s.vm_id AND " \
	"v.state NOT IN ('stopped','suspended','failed'))"
/* And it has kept no memory: what was open in it will not go on. */
#define VM_COLD                                                  \
	"NOT EXISTS (SELECT 1 FROM vm v WHERE v.id=s.vm_id AND " \
	"(v.state NOT IN ('stopped','suspended','failed') OR "   \
	"json_extract(v.config,'$.memory') IS NOT NULL))"
/* What the log still calls live is shown as asleep when its VM is off, or as
 * expired when its time is over. */
#define STATE_SHOWN                                                          \
	"(CASE WHEN s.state NOT IN ('closed','expired') AND "                \
	"s.expires_ms<=unixepoch()*1000 AND " VM_OFF " THEN 'expired' "      \
	"WHEN s.state IN ('starting','idle','running','waiting','closing') " \
	"AND " VM_OFF " THEN 'suspended' ELSE s.state END)"

/* Without the local key, and without what is the adapter's own business. */
#define SESSION_COLUMNS                                                       \
	"s.id, s.vm_id, s.agent, " STATE_SHOWN " AS state, "                  \
	"CASE WHEN " STATE_SHOWN "<>'suspended' THEN NULL ELSE "              \
	"coalesce(s.suspended_from, 'idle') END AS suspended_from, "          \
	"s.wait_kind, "                                                       \
	"s.epoch, s.cwd, s.config, s.env_names, s.agent_info, s.agent_caps, " \
	"s.features, s.parent_id, s.root_id, s.forked_from, s.forked_seq, "   \
	"s.last_seq, s.turn_count, s.usage, s.last_error, s.title, s.tags, "  \
	"s.created_ms, s.updated_ms, s.closed_ms, s.archived_ms, "            \
	"s.expires_ms, coalesce(m.pending, 0) AS pending, "                   \
	"coalesce(m.tail_complete, 0) AS tail_complete, "                     \
	"(SELECT t.id FROM turn t WHERE t.session_id=s.id AND "               \
	"t.state IN ('running','waiting') AND s.state=" STATE_SHOWN ") "      \
	"AS turn, m.preview "                                                 \
	"FROM session s LEFT JOIN mirror m ON m.session_n=s.n "

#define SESSIONS_SQL                                                   \
	"SELECT " SESSION_COLUMNS                                      \
	"WHERE (s.archived_ms IS NOT NULL)=(?1='1') "                  \
	"AND (?2='' OR " STATE_SHOWN "=?2) AND (?3='' OR s.vm_id=?3) " \
	"AND (?4='' OR EXISTS (SELECT 1 FROM json_each(s.tags) "       \
	"WHERE value=?4)) "                                            \
	"AND (?5='' OR s.n<(SELECT n FROM session WHERE id=?5)) "      \
	"AND (?6='' OR s.id=?6) ORDER BY s.n DESC LIMIT CAST(?7 AS INTEGER)"

#define SESSION_SQL "SELECT " SESSION_COLUMNS "WHERE s.id=?1"

#define VM_COLUMNS                                                          \
	"SELECT id, name, image, state, CASE WHEN state='suspended' THEN "  \
	"CASE WHEN json_extract(config,'$.memory') IS NULL THEN 'cold' "    \
	"ELSE 'warm' END END AS sleep, generation, boot_id, config, "       \
	"from_snapshot, last_error, created_ms, updated_ms, last_seen_ms, " \
	"(SELECT count(*) FROM session s WHERE s.vm_id=vm.id) AS sessions " \
	"FROM vm "

#define SNAPSHOT_COLUMNS                                                  \
	"SELECT id, vm_id, parent_id, kind, label, size, cursors, "       \
	"json_extract(manifest,'$.workspace') AS workspace, "             \
	"json_extract(manifest,'$.config') AS config, hashes, "           \
	"CASE WHEN damage IS NOT NULL THEN 'damaged' "                    \
	"WHEN verified_ms IS NOT NULL THEN 'verified' ELSE 'new' END AS " \
	"state, verified_ms, damage, created_ms FROM snapshot "

/* An update of this session as it stands in an acp.update event. */
#define UPDATES                                                        \
	"WITH u AS MATERIALIZED (SELECT seq, ts_ms, turn_id, "         \
	"json_extract(data,'$.msg.params.update') AS j FROM v_active " \
	"WHERE session_id=?1 AND type='acp.update' "                   \
	"AND coalesce(json_extract(ctx,'$.foreign'),0)=0) "

/* The value that the last update gave, and none before it. */
#define LAST(path)                                                     \
	"substr(max(CASE WHEN json_extract(j,'" path "') IS NOT NULL " \
	"THEN printf('%020d',seq)||json_extract(j,'" path "') END),21)"

/* A call that its turn's end has left open is closed by that. */
#define TOOL_STATUS                                                         \
	"CASE WHEN status IN ('pending','in_progress') AND turn_id IS NOT " \
	"NULL AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.session_id=?1 "  \
	"AND t.id=turn_id AND t.ended_ms IS NULL) THEN 'unfinished' "       \
	"ELSE status END"

/* clang-format off */
#define TOOLS_SQL                                                             \
	UPDATES "SELECT turn_id, tool_call_id, first_seq, last_seq, title, "  \
	"kind, " TOOL_STATUS " AS status, first_ms, last_ms FROM ("           \
	"SELECT turn_id, json_extract(j,'$.toolCallId') AS tool_call_id, "    \
	"min(seq) AS first_seq, max(seq) AS last_seq, "                       \
	LAST("$.title") " AS title, " LAST("$.kind") " AS kind, "             \
	"coalesce(" LAST("$.status") ", 'pending') AS status, "               \
	"min(ts_ms) AS first_ms, max(ts_ms) AS last_ms FROM u "               \
	"WHERE json_extract(j,'$.sessionUpdate') IN "                         \
	"('tool_call','tool_call_update') GROUP BY turn_id, tool_call_id) "   \
	"ORDER BY first_seq"
/* clang-format on */

static const struct {
	const char *what, *sql;
} views[] = {
	{"turns", "SELECT t.id, t.n, CASE WHEN t.ended_ms IS NULL AND " VM_COLD
		  " THEN 'interrupted' ELSE t.state END AS state, t.input_id, "
		  "t.idem_key, t.stop_reason, t.error, t.usage, t.first_seq, "
		  "t.last_seq, t.started_ms, t.ended_ms FROM turn t "
		  "JOIN session s ON s.id=t.session_id WHERE t.session_id=?1 "
		  "ORDER BY t.n"},
	{"requests",
	 "SELECT id, turn_id, kind, state, tool_call_id, body, answer, "
	 "answered_by, asked_seq, resolved_seq, created_ms, deadline_ms, "
	 "resolved_ms FROM request WHERE session_id=?1 ORDER BY asked_seq"},
	{"tools", TOOLS_SQL},
	{"elements",
	 "SELECT seq, turn_id, kind, text FROM v_chunk WHERE session_id=?1 "
	 "ORDER BY seq"},
	{"plans",
	 "SELECT turn_id, seq, entries FROM v_plan WHERE session_id=?1 "
	 "ORDER BY seq"},
	{"diffs",
	 "SELECT turn_id, path, kind, old_oid, new_oid, patch, seq FROM diff "
	 "WHERE session_id=?1 ORDER BY seq, path"},
	{"cursors",
	 "SELECT name, seq, updated_ms FROM cursor WHERE session_id=?1 "
	 "ORDER BY name"},
	{"summaries",
	 "SELECT from_seq, to_seq, text, tokens, model, created_ms "
	 "FROM summary WHERE session_id=?1 ORDER BY to_seq"},
	{"mcp",
	 "SELECT name, transport, state, pid, exit_code, exit_signal, error, "
	 "stderr_tail, era, version, server, start_ms, hash, "
	 "coalesce(json_array_length(tools), 0) AS n_tools, tools, spec, "
	 "updated_ms FROM mcp_server WHERE session_id=?1 ORDER BY name"},
	{"artifacts",
	 "SELECT id, turn_id, name, path, media_type, size, sha256, "
	 "created_ms FROM artifact WHERE session_id=?1 ORDER BY created_ms"},
};

/* --- rows --------------------------------------------------------------- */

/* The store keeps truth as 0 and 1; outside it is true and false. */
static void write_row(struct jw *out, struct jv row)
{
	jw_obj(out);
	for (struct jv k = jv_first(row); jv_has(k); k = jv_next(row, k)) {
		struct jv v = jv_value(k);

		jw_value(out, k);
		jw_lit(out, ":", 1);
		if (jv_eq(k, "tail_complete"))
			jw_bool(out, jv_int(v, 0) != 0);
		else
			jw_value(out, v);
	}
	jw_obj_end(out);
}

static int session_rows(struct reader *r, const char *sql,
			const char *const *args, struct jw *out, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	struct jv root;
	int n, bad;

	jw_arr(&rows);
	n = reader_rows(r, sql, args, &rows, e);
	jw_arr_end(&rows);
	if (n <= 0)
		return n;
	if (rows.failed)
		return err_set(e, -ENOMEM, "sessions: out of memory");
	bad = json_parse(&j, rows.buf, rows.len, e);
	if (bad < 0)
		return bad;
	root = json_root(&j);
	for (struct jv row = jv_first(root); jv_has(row);
	     row = jv_next(root, row))
		write_row(out, row);
	return n;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

int views_sessions(struct reader *r, const struct views_filter *f,
		   struct jw *out, struct err *e)
{
	char limit[16] = "-1";
	const char *args[] = {
		f->archived ? "1" : "0",
		or_empty(f->state),
		or_empty(f->vm),
		or_empty(f->tag),
		or_empty(f->cursor),
		or_empty(f->only),
		limit,
		NULL,
	};

	if (f->limit > 0)
		snprintf(limit, sizeof(limit), "%u", f->limit);
	return session_rows(r, SESSIONS_SQL, args, out, e);
}

int views_session(struct reader *r, const char *session, struct jw *out,
		  struct err *e)
{
	const char *args[] = {session, NULL};
	int n;

	if (!id_is(session, "ses"))
		return err_set(e, -FAULT_INVALID_ID, "'%.64s' is no session id",
			       session);
	n = session_rows(r, SESSION_SQL, args, out, e);
	if (n == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "session %s is not here", session);
	return n < 0 ? n : 0;
}

int views_vms(struct reader *r, struct jw *out, struct err *e)
{
	return reader_rows(r,
			   VM_COLUMNS
			   "WHERE json_extract(config,'$.template') IS NULL "
			   "ORDER BY created_ms, id",
			   NULL, out, e);
}

int views_warm(struct reader *r, struct jw *out, struct err *e)
{
	static const char sql[] =
		"SELECT id AS vm, t->>'image' AS image, t->>'agent' AS agent, "
		"t->>'fingerprint' AS fingerprint, t->>'snapshot' AS snapshot, "
		"t->>'created_ms' AS created_ms FROM (SELECT id, created_ms, "
		"config->'$.template' AS t FROM vm) WHERE t IS NOT NULL "
		"ORDER BY t->>'snapshot' IS NULL, created_ms DESC";

	return reader_rows(r, sql, NULL, out, e);
}

int views_vm(struct reader *r, const char *vm, struct jw *out, struct err *e)
{
	const char *args[] = {vm, NULL};
	int n = reader_rows(r,
			    VM_COLUMNS "WHERE id=?1 OR name=?1 "
				       "ORDER BY id<>?1 LIMIT 1",
			    args, out, e);

	if (n == 0)
		return err_set(e, -FAULT_VM_NOT_FOUND, "VM %.64s is not here",
			       vm);
	return n < 0 ? n : 0;
}

int views_snapshots(struct reader *r, const char *vm, struct jw *out,
		    struct err *e)
{
	const char *args[] = {vm, NULL};

	return reader_rows(r,
			   SNAPSHOT_COLUMNS "WHERE ?1 IS NULL OR vm_id=?1 "
					    "ORDER BY created_ms, id",
			   args, out, e);
}

int views_snapshot(struct reader *r, const char *id, struct jw *out,
		   struct err *e)
{
	const char *args[] = {id, NULL};
	int n = reader_rows(r, SNAPSHOT_COLUMNS "WHERE id=?1", args, out, e);

	if (n == 0)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "%.64s is not here", id);
	return n < 0 ? n : 0;
}

int views_vm_events(struct reader *r, const char *vm, struct jw *out,
		    struct err *e)
{
	const char *args[] = {vm, NULL};

	return reader_rows(r,
			   "SELECT seq, ts_ms, type, data FROM vm_event "
			   "WHERE vm_id=?1 ORDER BY seq",
			   args, out, e);
}

/* --- create again ------------------------------------------------------- */

int views_created(struct reader *r, const char *session, struct jw *out,
		  struct err *e)
{
	const char *args[] = {session, NULL};
	autofree char *ready = NULL;
	autojson struct json j = {0};
	autojw struct jw row = {0};
	struct jv data;
	int n;

	n = views_session(r, session, &row, e);
	if (n < 0)
		return n;
	n = reader_value(r,
			 "SELECT data FROM event WHERE session_n="
			 "(SELECT n FROM session WHERE id=?1) AND "
			 "type='session.ready' AND NOT EXISTS (SELECT 1 FROM "
			 "abandoned WHERE session_id=?1 AND seq BETWEEN "
			 "from_seq AND to_seq) ORDER BY seq DESC LIMIT 1",
			 args, &ready, e);
	if (n < 0)
		return n;
	if (n == 1)
		(void)json_parse(&j, ready, strlen(ready), NULL);
	data = json_root(&j);
	jw_obj(out);
	jw_kraw(out, "session", row.buf);
	jw_kvalue(out, "capabilities", jv_get(data, "capabilities"));
	jw_kvalue(out, "agentInfo", jv_get(data, "agent_info"));
	jw_kvalue(out, "modes", jv_get(data, "modes"));
	jw_kvalue(out, "configOptions", jv_get(data, "config_options"));
	jw_obj_end(out);
	return 0;
}

/* --- statistics --------------------------------------------------------- */

/* Rows of {name,n} as members of an object. */
static int count_by(struct reader *r, const char *key, const char *sql,
		    const char *session, struct jw *out, struct err *e)
{
	const char *args[] = {session, NULL};
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	struct jv root;
	int n;

	jw_arr(&rows);
	n = reader_rows(r, sql, args, &rows, e);
	jw_arr_end(&rows);
	if (n < 0)
		return n;
	n = json_parse(&j, rows.buf, rows.len, e);
	if (n < 0)
		return n;
	root = json_root(&j);
	jw_key(out, key);
	jw_obj(out);
	for (struct jv v = jv_first(root); jv_has(v); v = jv_next(root, v)) {
		autofree char *name = jv_strdup(jv_get(v, "name"), NULL);

		if (name != NULL)
			jw_kvalue(out, name, jv_get(v, "count"));
	}
	jw_obj_end(out);
	return 0;
}

static int put_number(struct reader *r, const char *key, const char *sql,
		      const char *session, struct jw *out, struct err *e)
{
	const char *args[] = {session, NULL};
	autofree char *value = NULL;
	int n = reader_value(r, sql, args, &value, e);

	if (n < 0)
		return n;
	jw_kraw(out, key, n == 1 && value && value[0] ? value : NULL);
	return 0;
}

#define OF_SESSION \
	" FROM event WHERE session_n=(SELECT n FROM session WHERE id=?1)"

static int write_stats(struct reader *r, const char *session, struct jw *out,
		       struct err *e)
{
	static const struct {
		const char *key, *sql;
	} numbers[] = {
		{"events", "SELECT count(*)" OF_SESSION},
		{"first_ms", "SELECT min(ts_ms)" OF_SESSION},
		{"last_ms", "SELECT max(ts_ms)" OF_SESSION},
		{"bytes", "SELECT coalesce(sum(length(data)),0)" OF_SESSION},
		{"usage", "SELECT usage FROM session WHERE id=?1"},
		{"errors", "SELECT count(*)" OF_SESSION
			   " AND type IN ('session.error','turn.failed')"},
	};
	int n = 0;

	jw_obj(out);
	jw_kstr(out, "session", session);
	for (size_t i = 0; n == 0 && i < ARRAY_LEN(numbers); i++)
		n = put_number(r, numbers[i].key, numbers[i].sql, session, out,
			       e);
	if (n == 0)
		n = count_by(r, "types",
			     "SELECT type AS name, count(*) AS count" OF_SESSION
			     " GROUP BY type ORDER BY type",
			     session, out, e);
	if (n == 0)
		n = count_by(
			r, "turns",
			"SELECT state AS name, count(*) AS count FROM turn "
			"WHERE session_id=?1 GROUP BY state ORDER BY state",
			session, out, e);
	jw_obj_end(out);
	return n;
}

/* --- usage -------------------------------------------------------------- */

/* The session and, for a tree, all that descend from it, each once. */
#define TREE                                                            \
	"WITH RECURSIVE tree(id) AS (SELECT ?1 UNION SELECT s.id FROM " \
	"session s JOIN tree t ON s.parent_id=t.id WHERE ?2='1') "

#define ADD_UP                                                                \
	"coalesce((SELECT json_group_object(key, total) FROM (SELECT u.key, " \
	"sum(u.value) AS total FROM tree JOIN session s USING (id), "         \
	"json_each(s.usage) u WHERE u.type IN ('integer','real') "            \
	"GROUP BY u.key)), '{}')"

int views_usage(struct reader *r, const char *session, bool tree,
		struct jw *out, struct err *e)
{
	static const char sums[] =
		TREE "SELECT ?1 AS session, (SELECT sum(turn_count) FROM tree "
		     "JOIN session USING (id)) AS turns, " ADD_UP " AS usage";
	static const char rows[] =
		TREE "SELECT s.id AS session, s.parent_id, s.title, "
		     "s.turn_count AS turns, s.usage FROM tree JOIN session s "
		     "USING (id) ORDER BY s.n";
	const char *args[] = {session, tree ? "1" : "0", NULL};
	struct session_brief b;
	autojw struct jw text = {0};
	int n = reader_session(r, session, &b, e);

	if (n == 0)
		n = reader_rows(r, sums, args, &text, e);
	if (n < 0)
		return n;
	text.buf[text.len - 1] = '\0'; /* The object stays open. */
	jw_raw(out, text.buf, text.len - 1);
	if (tree) {
		jw_key(out, "sessions");
		jw_arr(out);
		n = reader_rows(r, rows, args, out, e);
		jw_arr_end(out);
	}
	jw_obj_end(out);
	return n < 0 ? n : 0;
}

/* --- by name ------------------------------------------------------------ */

int views_rows(struct reader *r, const char *what, const char *session,
	       struct jw *out, struct err *e)
{
	const char *args[] = {session, NULL};
	struct session_brief b;
	int n = reader_session(r, session, &b, e);

	if (n < 0)
		return n;
	if (strcmp(what, "stats") == 0)
		return write_stats(r, session, out, e);
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		if (strcmp(views[i].what, what) != 0)
			continue;
		jw_arr(out);
		n = reader_rows(r, views[i].sql, args, out, e);
		jw_arr_end(out);
		return n < 0 ? n : 0;
	}
	return err_set(e, -FAULT_ROUTE_NOT_FOUND, "there is no view '%.32s'",
		       what);
}

int views_secrets(struct reader *r, struct jw *out, struct err *e)
{
	const char *args[] = {VIEWS_SECRET_SCOPE, NULL};
	int n;

	jw_arr(out);
	n = reader_rows(r,
			"SELECT name, created_ms, updated_ms FROM secret"
			" WHERE scope=?1 ORDER BY name",
			args, out, e);
	jw_arr_end(out);
	return n < 0 ? n : 0;
}

bool views_tail_complete(struct reader *r, const char *session)
{
	const char *args[] = {session, NULL};
	autofree char *value = NULL;

	return reader_value(r,
			    "SELECT tail_complete FROM mirror WHERE session_n="
			    "(SELECT n FROM session WHERE id=?1)",
			    args, &value, NULL) == 1 &&
	       strcmp(value, "1") == 0;
}
