// SPDX-License-Identifier: Apache-2.0
/*
 * session.c - hib session
 */
#include <string.h>

#include "core/policy.h"
#include "host/cli/commands.h"
#include "host/cli/config.h"
#include "host/cli/first_files.h"
#include "host/cli/mcp_options.h"
#include "host/views.h"

/* Of a session's processes, as --max-... and as members of config.limits. */
enum { MAX_PROCESSES, MAX_MEMORY, MAX_CPU, MAX_FILES, LIMITS };

static const char *const limit_names[LIMITS] = {
	[MAX_PROCESSES] = "processes",
	[MAX_MEMORY] = "memory_bytes",
	[MAX_CPU] = "cpu_percent",
	[MAX_FILES] = "open_files",
};

#define TOOLS_BYTES_MAX (128u << 10)

struct session_options {
	const char *workspace;
	const char *agent, *vm, *cwd, *title, *id, *instructions, *net, *state,
		*tag_filter, *config, *restore, *policy, *tools, *at, *model,
		*key, *cursor;
	struct opt_list env, env_secrets, tags, artifacts, files;
	struct wish_options wishes;
	struct mcp_options mcp;
	int64_t start_ms, permission_ms, ttl_ms, limit;
	int64_t limits[LIMITS]; /* -1: not given. */
	bool skip_os, json, archived, force, discard, live, start, tree,
		with_mcp;
};

#define JSON_OPT OPT(OPT_FLAG, session_options, json, "json")

static void say_warnings(const char *json)
{
	autojson struct json j = {0};
	struct jv list;

	if (json_parse(&j, json, strlen(json), NULL) < 0)
		return;
	list = jv_get(json_root(&j), "warnings");
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		autofree char *text = jv_strdup(v, NULL);

		fprintf(stderr, "hib: %s\n", text ? text : "");
	}
}

/* --- create ------------------------------------------------------------- */

static bool limits_given(const struct session_options *o)
{
	for (int i = 0; i < LIMITS; i++)
		if (o->limits[i] >= 0)
			return true;
	return false;
}

static void write_limits(const struct session_options *o, struct jw *w)
{
	if (!limits_given(o))
		return;
	jw_key(w, "limits");
	jw_obj(w);
	for (int i = 0; i < LIMITS; i++)
		if (o->limits[i] >= 0)
			jw_kint(w, limit_names[i], o->limits[i]);
	jw_obj_end(w);
}

static void write_artifacts(const struct session_options *o, struct jw *w)
{
	if (o->artifacts.n == 0)
		return;
	jw_key(w, "artifacts");
	jw_arr(w);
	for (size_t i = 0; i < o->artifacts.n; i++)
		jw_str(w, o->artifacts.item[i]);
	jw_arr_end(w);
}

/* The object of --config, or of the options that stand for parts of it. */
static int write_config(struct cli *c, const struct session_options *o,
			struct jw *w)
{
	int r;

	if (!wish_options_given(&o->wishes) && !limits_given(o) &&
	    o->artifacts.n == 0) {
		if (o->config != NULL)
			jw_lit(w, o->config, strlen(o->config));
		return -1;
	}
	if (o->config != NULL)
		return cli_usage(c, "--config is given beside what it holds");
	jw_obj(w);
	r = wish_options_write(c, &o->wishes, w);
	write_limits(o, w);
	write_artifacts(o, w);
	jw_obj_end(w);
	return r;
}

int session_create_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, session_options, agent, "agent"),
		OPT(OPT_TEXT, session_options, vm, "vm"),
		OPT(OPT_LIST, session_options, env, "env"),
		OPT(OPT_LIST, session_options, env_secrets, "env-secret"),
		OPT(OPT_TEXT, session_options, cwd, "cwd"),
		OPT(OPT_TEXT, session_options, title, "title"),
		OPT(OPT_LIST, session_options, tags, "tag"),
		OPT(OPT_TEXT, session_options, id, "id"),
		OPT(OPT_TEXT, session_options, net, "net"),
		WISH_OPTS(session_options, wishes),
		MCP_OPTS(session_options, mcp),
		OPT(OPT_NUMBER, session_options, limits[MAX_PROCESSES],
		    "max-processes"),
		OPT(OPT_NUMBER, session_options, limits[MAX_MEMORY],
		    "max-memory"),
		OPT(OPT_NUMBER, session_options, limits[MAX_CPU], "max-cpu"),
		OPT(OPT_NUMBER, session_options, limits[MAX_FILES],
		    "max-files"),
		OPT(OPT_LIST, session_options, artifacts, "artifacts"),
		OPT(OPT_LIST, session_options, files, "file"),
		OPT(OPT_TEXT, session_options, config, "config"),
		OPT(OPT_TEXT, session_options, instructions, "instructions"),
		OPT(OPT_TEXT, session_options, policy, "policy"),
		OPT(OPT_TEXT, session_options, tools, "tools"),
		OPT(OPT_FLAG, session_options, skip_os, "skip-os-instructions"),
		OPT(OPT_NUMBER, session_options, start_ms, "start-timeout-ms"),
		OPT(OPT_NUMBER, session_options, permission_ms,
		    "permission-timeout-ms"),
		OPT(OPT_NUMBER, session_options, ttl_ms, "ttl-ms"),
		OPT(OPT_TEXT, session_options, key, "key"),
		JSON_OPT,
		OPT_END,
	};
	struct session_options o = {.limits = {-1, -1, -1, -1}};
	struct hib_session_options s = {.size = sizeof(s)};
	char id[HIB_ID_MAX];
	autofree char *json = NULL, *policy = NULL, *tools = NULL;
	autojw struct jw config = {0}, files = {0}, mcp = {0};
	struct err why = {0};
	struct hib_error e;
	int r = cli_options(c, argc, argv, opts, &o, 0, 0);

	if (r < 0 && o.agent == NULL)
		r = cli_usage(c, "--agent is missing");
	if (r < 0 && o.policy != NULL &&
	    cli_text(o.policy, POLICY_BYTES_MAX, &policy, &why) < 0)
		r = cli_fail(&why);
	if (r < 0 && o.tools != NULL &&
	    cli_text(o.tools, TOOLS_BYTES_MAX, &tools, &why) < 0)
		r = cli_fail(&why);
	if (r < 0)
		r = write_config(c, &o, &config);
	if (r < 0)
		r = first_files_read(&o.files, &files);
	if (r < 0)
		r = mcp_options_write(c, &o.mcp, &mcp);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	s.agent = o.agent;
	s.vm = o.vm;
	s.env = o.env.n > 0 ? o.env.item : NULL;
	s.cwd = o.cwd;
	s.title = o.title;
	s.tags = o.tags.n > 0 ? o.tags.item : NULL;
	s.id = o.id;
	s.net = o.net;
	s.config = config.buf;
	s.instructions = o.instructions;
	s.policy = policy;
	s.tools = tools;
	s.skip_os_instructions = o.skip_os;
	s.start_timeout_ms = o.start_ms;
	s.permission_timeout_ms = o.permission_ms;
	s.ttl_ms = o.ttl_ms;
	s.idempotency_key = o.key;
	s.initial_files = files.buf;
	s.mcp_servers = mcp.buf;
	s.mcp_aggregate = o.mcp.aggregate;
	s.env_secrets = o.env_secrets.n > 0 ? o.env_secrets.item : NULL;
	if (hib_create_session(c->hib, &s, id, &json, &e) < 0)
		return cli_fail_hib(&e);
	say_warnings(json);
	cli_print(o.json ? json : id);
	return 0;
}

/* --- fork --------------------------------------------------------------- */

int fork_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, session_options, at, "at"),
		OPT(OPT_TEXT, session_options, id, "id"),
		OPT(OPT_TEXT, session_options, title, "title"),
		OPT(OPT_LIST, session_options, tags, "tag"),
		OPT(OPT_TEXT, session_options, agent, "agent"),
		OPT(OPT_TEXT, session_options, model, "model"),
		OPT(OPT_LIST, session_options, env, "env"),
		OPT(OPT_LIST, session_options, env_secrets, "env-secret"),
		OPT(OPT_FLAG, session_options, start, "start"),
		OPT(OPT_TEXT, session_options, workspace, "workspace"),
		JSON_OPT,
		OPT_END,
	};
	struct session_options o = {0};
	struct hib_fork_options f = {.size = sizeof(f)};
	char id[HIB_ID_MAX];
	autofree char *json = NULL;
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	f.at = o.at;
	f.id = o.id;
	f.title = o.title;
	f.tags = o.tags.n > 0 ? o.tags.item : NULL;
	f.agent = o.agent;
	f.model = o.model;
	f.env = o.env.n > 0 ? o.env.item : NULL;
	f.start = o.start;
	f.workspace = o.workspace;
	f.env_secrets = o.env_secrets.n > 0 ? o.env_secrets.item : NULL;
	if (hib_fork_session(c->hib, c->argv[0], &f, id, &json, &e) < 0)
		return cli_fail_hib(&e);
	cli_print(o.json ? json : id);
	return 0;
}

/* --- look --------------------------------------------------------------- */

/* A VM by name is one by id to the view. */
static int resolve_vm(struct cli *c, const char *vm, char id[ID_MAX],
		      struct err *e)
{
	autojw struct jw row = {0};
	autojson struct json j = {0};
	int r = views_vm(c->reader, vm, &row, e);

	if (r < 0)
		return r;
	r = json_parse(&j, row.buf, row.len, e);
	if (r == 0)
		(void)jv_strcpy(jv_get(json_root(&j), "id"), id, ID_MAX);
	return r;
}

int session_list_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, session_options, state, "state"),
		OPT(OPT_TEXT, session_options, vm, "vm"),
		OPT(OPT_TEXT, session_options, tag_filter, "tag"),
		OPT(OPT_FLAG, session_options, archived, "archived"),
		OPT(OPT_NUMBER, session_options, limit, "limit"),
		OPT(OPT_TEXT, session_options, cursor, "after"),
		JSON_OPT,
		OPT_END,
	};
	static const struct column columns[] = {
		{"id", "ID", 36},	{"state", "STATE", 9},
		{"agent", "AGENT", 10}, {"turn_count", "TURNS", 5},
		{"title", "TITLE", 0},	{NULL, NULL, 0},
	};
	struct session_options o = {0};
	struct views_filter f = {0};
	char vm[ID_MAX] = "";
	autojw struct jw rows = {0};
	struct err e = {0};
	int r = cli_look(c, argc, argv, opts, &o, 0, 0);

	if (r >= 0)
		return r;
	f.state = o.state;
	f.tag = o.tag_filter;
	f.archived = o.archived;
	f.cursor = o.cursor;
	f.limit = (unsigned)o.limit;
	jw_arr(&rows);
	if (c->reader != NULL && o.vm != NULL) {
		if (resolve_vm(c, o.vm, vm, &e) < 0)
			return cli_fail(&e);
		f.vm = vm;
	}
	if (c->reader != NULL && views_sessions(c->reader, &f, &rows, &e) < 0)
		return cli_fail(&e);
	jw_arr_end(&rows);
	return cli_print_rows(&rows, o.json, columns);
}

static int print_object(const char *text, size_t len, bool json)
{
	autojson struct json j = {0};
	struct err e = {0};

	if (json) {
		cli_print(text);
		return 0;
	}
	if (json_parse(&j, text, len, &e) < 0)
		return cli_fail(&e);
	cli_print_object(json_root(&j));
	return 0;
}

/* The row and, as its last member, the MCP servers. */
static int add_mcp(struct cli *c, const char *row, struct jw *out,
		   struct err *e)
{
	autojson struct json j = {0};
	int r = json_parse(&j, row, strlen(row), e);
	struct jv root = json_root(&j);

	jw_obj(out);
	for (struct jv k = jv_first(root); jv_has(k); k = jv_next(root, k)) {
		jw_value(out, k);
		jw_lit(out, ":", 1);
		jw_value(out, jv_value(k));
	}
	jw_key(out, "mcp");
	if (r == 0)
		r = views_rows(c->reader, "mcp", c->argv[0], out, e);
	jw_obj_end(out);
	return r;
}

int session_get_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, session_options, live, "live"),
		OPT(OPT_FLAG, session_options, with_mcp, "mcp"),
		JSON_OPT,
		OPT_END,
	};
	struct session_options o = {0};
	autofree char *live = NULL;
	autojw struct jw row = {0}, more = {0};
	struct hib_error he;
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0)
		r = cli_session_reader(c, c->argv[0]);
	if (r < 0 && o.live)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	if (o.live) {
		if (hib_get_session(c->hib, c->argv[0], true, &live, &he) < 0)
			return cli_fail_hib(&he);
		jw_lit(&row, live, strlen(live));
	} else if (views_session(c->reader, c->argv[0], &row, &e) < 0) {
		return cli_fail(&e);
	}
	if (!o.with_mcp)
		return print_object(row.buf, row.len, o.json);
	if (add_mcp(c, row.buf, &more, &e) < 0)
		return cli_fail(&e);
	return print_object(more.buf, more.len, o.json);
}

static const struct column turn_columns[] = {
	{"n", "N", 3},
	{"id", "ID", 36},
	{"state", "STATE", 11},
	{"stop_reason", "STOPPED", 10},
	{"started_ms", "STARTED", 0},
	{NULL, NULL, 0},
};
static const struct column artifact_columns[] = {
	{"id", "ID", 36},
	{"size", "SIZE", 12},
	{"created_ms", "CREATED", 19},
	{"path", "PATH", 0},
	{NULL, NULL, 0},
};
static const struct column stat_columns[] = {{NULL, NULL, 0}};

static int view(struct cli *c, int argc, char **argv, const char *what,
		const struct column *columns)
{
	static const struct opt opts[] = {JSON_OPT, OPT_END};
	struct session_options o = {0};
	autojw struct jw rows = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_rows(c->reader, what, c->argv[0], &rows, &e) < 0)
		return cli_fail(&e);
	if (columns == stat_columns)
		return print_object(rows.buf, rows.len, o.json);
	return cli_print_rows(&rows, o.json, columns);
}

int session_turns_command(struct cli *c, int argc, char **argv)
{
	return view(c, argc, argv, "turns", turn_columns);
}

int session_artifacts_command(struct cli *c, int argc, char **argv)
{
	return view(c, argc, argv, "artifacts", artifact_columns);
}

int session_requests_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {JSON_OPT, OPT_END};
	struct session_options o = {0};
	autojw struct jw rows = {0};
	autojson struct json j = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_rows(c->reader, "requests", c->argv[0], &rows, &e) < 0)
		return cli_fail(&e);
	if (o.json)
		return cli_print_json(&rows);
	if (json_parse(&j, rows.buf, rows.len, &e) < 0)
		return cli_fail(&e);
	requests_print(c->argv[0], json_root(&j));
	return 0;
}

int session_stats_command(struct cli *c, int argc, char **argv)
{
	return view(c, argc, argv, "stats", stat_columns);
}

int session_usage_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, session_options, tree, "tree"),
		JSON_OPT,
		OPT_END,
	};
	struct session_options o = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_usage(c->reader, c->argv[0], o.tree, &w, &e) < 0)
		return cli_fail(&e);
	return print_object(w.buf, w.len, o.json);
}

/* --- change ------------------------------------------------------------- */

int session_update_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, session_options, title, "title"),
		OPT(OPT_LIST, session_options, tags, "tag"),
		OPT(OPT_NUMBER, session_options, ttl_ms, "ttl-ms"),
		JSON_OPT,
		OPT_END,
	};
	struct session_options o = {.ttl_ms = -1};
	autojw struct jw patch = {0};
	autofree char *json = NULL;
	struct hib_error e;
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0 && o.title == NULL && o.tags.n == 0 && o.ttl_ms < 0)
		r = cli_usage(c,
			      "none of --title, --tag and --ttl-ms is given");
	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	jw_obj(&patch);
	if (o.title != NULL)
		jw_kstr(&patch, "title", o.title);
	if (o.ttl_ms >= 0)
		jw_kint(&patch, "ttlMs", o.ttl_ms);
	if (o.tags.n > 0) {
		jw_key(&patch, "tags");
		jw_arr(&patch);
		/* One empty tag: none. */
		for (size_t i = 0; i < o.tags.n; i++)
			if (o.tags.item[i][0] != '\0')
				jw_str(&patch, o.tags.item[i]);
		jw_arr_end(&patch);
	}
	jw_obj_end(&patch);
	if (hib_update_session(c->hib, c->argv[0], patch.buf ? patch.buf : "{}",
			       &json, &e) < 0)
		return cli_fail_hib(&e);
	say_warnings(json);
	if (o.json)
		cli_print(json);
	return 0;
}

typedef int (*session_call)(struct hib *h, const char *session,
			    const struct session_options *o, char **json,
			    struct hib_error *e);

/* A command that acts on one session and answers its row, if asked for. */
static int act(struct cli *c, int argc, char **argv, const struct opt *opts,
	       session_call call)
{
	struct session_options o = {0};
	char *json = NULL;
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	r = call(c->hib, c->argv[0], &o, &json, &e);
	return cli_acted(r, json, o.json, &e);
}

static const struct opt json_opts[] = {JSON_OPT, OPT_END};
static const struct opt force_opts[] = {
	OPT(OPT_FLAG, session_options, force, "force"),
	JSON_OPT,
	OPT_END,
};

int session_resume_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, session_options, restore, "restore"),
		JSON_OPT,
		OPT_END,
	};
	struct session_options o = {0};
	autofree char *json = NULL, *how = NULL;
	autojson struct json j = {0};
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (hib_resume_session(c->hib, c->argv[0], o.restore, &json, &e) < 0)
		return cli_fail_hib(&e);
	if (!o.json && json_parse(&j, json, strlen(json), NULL) == 0)
		how = jv_strdup(jv_get(json_root(&j), "restore"), NULL);
	if (how != NULL && strcmp(how, "live") == 0)
		fprintf(stderr, "hib: its agent runs; %s\n",
			attach_advice("idle"));
	cli_print(o.json ? json : how ? how : "");
	return 0;
}

static int call_suspend(struct hib *h, const char *session,
			const struct session_options *o, char **json,
			struct hib_error *e)
{
	return hib_suspend_session(h, session, o->force, json, e);
}

int session_suspend_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, force_opts, call_suspend);
}

static int call_close(struct hib *h, const char *session,
		      const struct session_options *o, char **json,
		      struct hib_error *e)
{
	return hib_close_session(h, session, o->force, json, e);
}

int session_close_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, force_opts, call_close);
}

static int call_kill(struct hib *h, const char *session,
		     const struct session_options *o, char **json,
		     struct hib_error *e)
{
	(void)o;
	return hib_close_session(h, session, true, json, e);
}

int session_kill_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, json_opts, call_kill);
}

static int call_destroy(struct hib *h, const char *session,
			const struct session_options *o, char **json,
			struct hib_error *e)
{
	(void)json;
	return hib_destroy_session(h, session, o->discard, e);
}

int session_destroy_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, session_options, discard, "discard"),
		JSON_OPT,
		OPT_END,
	};

	return act(c, argc, argv, opts, call_destroy);
}

static int call_archive(struct hib *h, const char *session,
			const struct session_options *o, char **json,
			struct hib_error *e)
{
	(void)o;
	return hib_archive_session(h, session, true, json, e);
}

int session_archive_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, json_opts, call_archive);
}

static int call_unarchive(struct hib *h, const char *session,
			  const struct session_options *o, char **json,
			  struct hib_error *e)
{
	(void)o;
	return hib_archive_session(h, session, false, json, e);
}

int session_unarchive_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, json_opts, call_unarchive);
}
