// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_servers.c - The MCP servers that a session is to have, as a client says
 *
 * One table says which members a server may have, of which kinds of server, and
 * how each is read and written; a member that is not in it is refused, because a
 * word misspelt in "tools" would give an agent more than was meant.  Members are
 * written in the order of the table, so that equal servers have equal texts.
 *
 * Messages name the server and the member, and quote nothing else: any of the
 * strings may be a secret.
 */
#include "host/daemon/mcp_servers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "host/daemon/secrets.h"

enum { LOCAL = BIT(0), REMOTE = BIT(1), BUILTIN = BIT(2) };
#define ANY (LOCAL | REMOTE | BUILTIN)

/* One server on its way from one form to the other. */
struct reading {
	char where[MCP_NAME_MAX + 32]; /* "mcpServers.NAME" */
	unsigned kind;
	struct jw *w;
	struct err *e;
};

struct member {
	const char *name; /* The client's. */
	const char *key;  /* Ours. */
	unsigned kinds;	  /* Of the servers that may have it. */
	int (*read)(struct reading *r, const struct member *m, struct jv v);
	int64_t min, max; /* As @read has them: bytes, or a number. */
	bool required;
};

static const struct {
	const char *type;
	unsigned kind;
} types[] = {
	{"local", LOCAL},     {"stdio", LOCAL}, {"remote", REMOTE},
	{"http", REMOTE},     {"sse", REMOTE},	{"streamable-http", REMOTE},
	{"builtin", BUILTIN},
};

static const char *const kind_names[] = {
	[LOCAL] = "local",
	[REMOTE] = "remote",
	[BUILTIN] = "builtin",
};

static const char *const builtins[] = {
	"workspace", "kv", "sql", "history", "memory", "host",
};

bool mcp_name_is_good(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t n = strlen(name);

	return n > 0 && n <= MCP_NAME_MAX && strspn(name, good) == n;
}

/* An absent member and null are the same. */
static bool is_given(struct jv v)
{
	return jv_has(v) && !jv_is(v, JV_NULL);
}

static int refuse(struct reading *r, const char *member, const char *fmt, ...)
	printf_like(3, 4);

static int refuse(struct reading *r, const char *member, const char *fmt, ...)
{
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->e, -FAULT_INVALID_ARGUMENT, "%s.%.64s: %s", r->where,
		       member, what);
}

/* --- single values ------------------------------------------------------ */

/* A string of @min to @max bytes without NUL. */
static bool is_text(struct jv v, size_t min, size_t max)
{
	size_t len = 0;
	autofree char *s = jv_strdup(v, &len);

	return s != NULL && strlen(s) == len && len >= min && len <= max;
}

static int read_text(struct reading *r, const struct member *m, struct jv v)
{
	if (!is_text(v, (size_t)m->min, (size_t)m->max))
		return refuse(r, m->name, "a string of %lld to %lld bytes",
			      (long long)m->min, (long long)m->max);
	jw_kvalue(r->w, m->key, v);
	return 0;
}

static int read_cwd(struct reading *r, const struct member *m, struct jv v)
{
	char path[MCP_TEXT_MAX + 1];

	if (jv_strcpy(v, path, sizeof(path)) < 0 || path[0] != '/')
		return refuse(r, m->name, "an absolute path");
	jw_kvalue(r->w, m->key, v);
	return 0;
}

/* With a host, and of printable ASCII: it becomes part of a request's head. */
static bool is_url(const char *url)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (const char *p = url; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (strncasecmp(url, schemes[i], n) == 0)
			return strchr("/?#", url[n]) == NULL;
	}
	return false;
}

static int read_url(struct reading *r, const struct member *m, struct jv v)
{
	char url[MCP_TEXT_MAX + 1];

	if (jv_strcpy(v, url, sizeof(url)) < 0 || !is_url(url))
		return refuse(r, m->name,
			      "http:// or https://, at most %d bytes",
			      MCP_TEXT_MAX);
	jw_kvalue(r->w, m->key, v);
	return 0;
}

static int read_flag(struct reading *r, const struct member *m, struct jv v)
{
	if (!jv_is(v, JV_BOOL))
		return refuse(r, m->name, "true or false");
	jw_kvalue(r->w, m->key, v);
	return 0;
}

static int read_number(struct reading *r, const struct member *m, struct jv v)
{
	int64_t n = jv_int(v, -1);

	if (n < m->min || n > m->max)
		return refuse(r, m->name, "a number from %lld to %lld",
			      (long long)m->min, (long long)m->max);
	jw_kint(r->w, m->key, n);
	return 0;
}

static int read_start(struct reading *r, const struct member *m, struct jv v)
{
	if (!jv_eq(v, "eager") && !jv_eq(v, "lazy"))
		return refuse(r, m->name, "eager or lazy");
	jw_kvalue(r->w, m->key, v);
	return 0;
}

static int put_builtin(struct reading *r, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
		if (strcmp(name, builtins[i]) != 0)
			continue;
		jw_kstr(r->w, "builtin", name);
		return 0;
	}
	return refuse(r, "builtin",
		      "workspace, kv, sql, history, memory or host");
}

static int read_builtin(struct reading *r, const struct member *m, struct jv v)
{
	char name[MCP_NAME_MAX + 1];

	(void)m;
	(void)jv_strcpy(v, name, sizeof(name));
	return put_builtin(r, name);
}

/* What is read elsewhere, or by nobody. */
static int read_nothing(struct reading *r, const struct member *m, struct jv v)
{
	(void)r;
	(void)m;
	(void)v;
	return 0;
}

/* --- lists -------------------------------------------------------------- */

static int read_args(struct reading *r, const struct member *m, struct jv v)
{
	if (!jv_is(v, JV_ARRAY) || jv_count(v) > MCP_ARGS_MAX)
		return refuse(r, m->name, "a list of at most %d strings",
			      MCP_ARGS_MAX);
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it))
		if (!is_text(it, 0, (size_t)m->max))
			return refuse(r, m->name,
				      "strings of at most %lld bytes",
				      (long long)m->max);
	jw_kvalue(r->w, m->key, v);
	return 0;
}

static int check_globs(struct reading *r, const char *member, struct jv v)
{
	if (!is_given(v))
		return 0;
	if (!jv_is(v, JV_ARRAY) || jv_count(v) > MCP_GLOBS_MAX)
		return refuse(r, member, "a list of at most %d patterns",
			      MCP_GLOBS_MAX);
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it))
		if (!is_text(it, 1, MCP_GLOB_MAX))
			return refuse(r, member, "patterns of 1 to %d bytes",
				      MCP_GLOB_MAX);
	return 0;
}

static int read_tools(struct reading *r, const struct member *m, struct jv v)
{
	struct jv allow = jv_get(v, "allow"), deny = jv_get(v, "deny");

	if (!jv_is(v, JV_OBJECT) ||
	    jv_count(v) != (size_t)(jv_has(allow) + jv_has(deny)))
		return refuse(r, m->name, "an object of allow and deny");
	if (check_globs(r, "tools.allow", allow) < 0 ||
	    check_globs(r, "tools.deny", deny) < 0)
		return -FAULT_INVALID_ARGUMENT;
	jw_key(r->w, m->key);
	jw_obj(r->w);
	if (is_given(allow))
		jw_kvalue(r->w, "allow", allow);
	if (is_given(deny))
		jw_kvalue(r->w, "deny", deny);
	jw_obj_end(r->w);
	return 0;
}

/* --- variables and headers ---------------------------------------------- */

/* A pair of {"NAME":VALUE}, or of [{"name","value"}]. */
struct pair {
	char name[MCP_PAIR_NAME_MAX + 1];
	struct jv value;
};

static bool get_pair(struct jv it, bool in_list, struct pair *out)
{
	out->value = in_list ? jv_get(it, "value") : jv_value(it);
	return jv_strcpy(in_list ? jv_get(it, "name") : it, out->name,
			 sizeof(out->name)) > 0;
}

static bool is_variable(const char *name)
{
	return strchr(name, '=') == NULL;
}

/* A token (RFC 9110), and none that is of the transport. */
static bool is_header(const char *name)
{
	static const char token[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789!#$%&'*+-.^_`|~";
	static const char *const ours[] = {
		"Accept", "Connection",	   "Content-Length",	"Content-Type",
		"Host",	  "Last-Event-ID", "Transfer-Encoding",
	};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return false;
	return name[strspn(name, token)] == '\0' &&
	       strncasecmp(name, "Mcp-", 4) != 0;
}

static bool is_header_value(struct jv v)
{
	autofree char *s = jv_strdup(v, NULL);

	for (const char *p = s; p != NULL && *p != '\0'; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			return false;
	return s != NULL;
}

/* Is it the name of a pair before @end, too? */
static bool stands_before(struct jv list, struct jv end, const char *name,
			  int (*compare)(const char *a, const char *b))
{
	bool in_list = jv_is(list, JV_ARRAY);
	struct pair other;

	for (struct jv it = jv_first(list); it.i != end.i;
	     it = jv_next(list, it))
		if (get_pair(it, in_list, &other) &&
		    compare(other.name, name) == 0)
			return true;
	return false;
}

static int read_pair(struct reading *r, const struct member *m,
		     const struct pair *p)
{
	bool header = r->kind == REMOTE;
	char member[MCP_PAIR_NAME_MAX + 16];

	snprintf(member, sizeof(member), "%s.%s", m->name, p->name);
	if (header ? !is_header(p->name) : !is_variable(p->name))
		return refuse(r, member, "no name of a %s",
			      header ? "header that can be set" : "variable");
	if (!secret_is_reference(p->value) &&
	    (!is_text(p->value, (size_t)m->min, (size_t)m->max) ||
	     (header && !is_header_value(p->value))))
		return refuse(r, member,
			      "a string of at most %lld bytes, or "
			      "{\"secret\":NAME}",
			      (long long)m->max);
	jw_kvalue(r->w, p->name, p->value);
	return 0;
}

static int read_pairs(struct reading *r, const struct member *m, struct jv v)
{
	bool in_list = jv_is(v, JV_ARRAY), header = r->kind == REMOTE;
	struct pair p;

	if ((!in_list && !jv_is(v, JV_OBJECT)) || jv_count(v) > MCP_PAIRS_MAX)
		return refuse(r, m->name, "at most %d names with values",
			      MCP_PAIRS_MAX);
	jw_key(r->w, m->key);
	jw_obj(r->w);
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it)) {
		if (!get_pair(it, in_list, &p))
			return refuse(r, m->name, "a name of 1 to %d bytes",
				      MCP_PAIR_NAME_MAX);
		/* Names of headers that differ by case are one. */
		if (stands_before(v, it, p.name, header ? strcasecmp : strcmp))
			return refuse(r, m->name, "'%.64s' stands twice",
				      p.name);
		if (read_pair(r, m, &p) < 0)
			return -FAULT_INVALID_ARGUMENT;
	}
	jw_obj_end(r->w);
	return 0;
}

/* --- a server ----------------------------------------------------------- */

static const struct member members[] = {
	{"type", NULL, ANY, read_nothing, 0, 0, false},
	{"name", NULL, ANY, read_nothing, 0, 0, false},
	{"_meta", NULL, ANY, read_nothing, 0, 0, false},
	{"command", "command", LOCAL, read_text, 1, MCP_TEXT_MAX, true},
	{"args", "args", LOCAL, read_args, 0, MCP_ARG_MAX, false},
	{"env", "env", LOCAL, read_pairs, 0, MCP_PAIR_VALUE_MAX, false},
	{"cwd", "cwd", LOCAL, read_cwd, 0, 0, false},
	{"shared", "shared", LOCAL, read_flag, 0, 0, false},
	{"url", "url", REMOTE, read_url, 0, 0, true},
	{"headers", "headers", REMOTE, read_pairs, 0, MCP_HEADER_MAX, false},
	{"builtin", "builtin", BUILTIN, read_builtin, 0, 0, false},
	{"required", "required", ANY, read_flag, 0, 0, false},
	{"start", "start", ANY, read_start, 0, 0, false},
	{"startupTimeoutMs", "startup_timeout_ms", ANY, read_number, 1,
	 MCP_TIME_MAX_MS, false},
	{"callTimeoutMs", "call_timeout_ms", ANY, read_number, 1,
	 MCP_TIME_MAX_MS, false},
	{"maxCallMs", "max_call_ms", ANY, read_number, 1, MCP_TIME_MAX_MS,
	 false},
	{"idleMs", "idle_ms", ANY, read_number, 0, MCP_TIME_MAX_MS, false},
	{"tools", "tools", ANY, read_tools, 0, 0, false},
};

static const struct member *find_member(struct jv key)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (jv_eq(key, members[i].name))
			return &members[i];
	return NULL;
}

/* No member that is not ours, not of this kind, or there twice. */
static int check_keys(struct reading *r, struct jv server)
{
	unsigned seen = 0;

	for (struct jv k = jv_first(server); jv_has(k);
	     k = jv_next(server, k)) {
		const struct member *m = find_member(k);
		autofree char *name = jv_strdup(k, NULL);

		if (m == NULL || (m->kinds & r->kind) == 0)
			return refuse(r, name ? name : "",
				      "there is no such member of a %s server",
				      kind_names[r->kind]);
		if ((seen & BIT(m - members)) != 0)
			return refuse(r, m->name, "stands twice");
		seen |= BIT(m - members);
	}
	return 0;
}

/* What it says, or what it has. */
static int find_kind(struct reading *r, struct jv server)
{
	struct jv type = jv_get(server, "type");

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!jv_eq(type, types[i].type))
			continue;
		r->kind = types[i].kind;
		return 0;
	}
	if (is_given(type))
		return refuse(r, "type",
			      "local, stdio, remote, http, sse or builtin");
	if (is_given(jv_get(server, "command")))
		r->kind = LOCAL;
	else if (is_given(jv_get(server, "url")))
		r->kind = REMOTE;
	else
		return refuse(r, "type", "neither it nor command nor url");
	return 0;
}

static int read_members(struct reading *r, struct jv server)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct member *m = &members[i];
		struct jv v = jv_get(server, m->name);
		int n = 0;

		if ((m->kinds & r->kind) == 0)
			continue;
		if (is_given(v))
			n = m->read(r, m, v);
		else if (m->required)
			n = refuse(r, m->name, "is missing");
		if (n < 0)
			return n;
	}
	return 0;
}

static int read_server(struct jv server, const char *name, struct jw *w,
		       struct err *e)
{
	struct reading r = {.w = w, .e = e};

	snprintf(r.where, sizeof(r.where), "mcpServers.%.*s", MCP_NAME_MAX,
		 name);
	if (!jv_is(server, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s: an object",
			       r.where);
	if (find_kind(&r, server) < 0 || check_keys(&r, server) < 0)
		return -FAULT_INVALID_ARGUMENT;
	jw_obj(w);
	jw_kstr(w, "name", name);
	jw_kstr(w, "type", kind_names[r.kind]);
	if (r.kind == REMOTE && jv_eq(jv_get(server, "type"), "sse"))
		jw_kbool(w, "sse", true);
	if (r.kind == BUILTIN && !is_given(jv_get(server, "builtin")) &&
	    put_builtin(&r, name) < 0)
		return -FAULT_INVALID_ARGUMENT;
	if (read_members(&r, server) < 0)
		return -FAULT_INVALID_ARGUMENT;
	if (jv_bool(jv_get(server, "required"), false) &&
	    jv_eq(jv_get(server, "start"), "lazy"))
		return refuse(&r, "start", "a required server is not lazy");
	jw_obj_end(w);
	return 0;
}

/* --- all servers -------------------------------------------------------- */

/* A server of {NAME:SERVER}, or of [{"name",..}]. */
static int get_name(struct jv it, bool in_list, char out[MCP_NAME_MAX + 1],
		    struct err *e)
{
	struct jv name = in_list ? jv_get(it, "name") : it;

	if (in_list && !is_given(name)) /* A builtin has one of its own. */
		name = jv_get(it, "builtin");
	if (jv_strcpy(name, out, MCP_NAME_MAX + 1) > 0 && mcp_name_is_good(out))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "mcpServers: a name is 1 to %d letters, digits, _ and -",
		       MCP_NAME_MAX);
}

static int read_named(struct jv servers, struct jv it,
		      char names[][MCP_NAME_MAX + 1], size_t n, struct jw *w,
		      struct err *e)
{
	bool in_list = jv_is(servers, JV_ARRAY);

	if (get_name(it, in_list, names[n], e) < 0)
		return -FAULT_INVALID_ARGUMENT;
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], names[n]) == 0)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "mcpServers: '%s' stands twice",
				       names[n]);
	return read_server(in_list ? it : jv_value(it), names[n], w, e);
}

int mcp_servers_read(struct jv servers, struct jw *w, struct err *e)
{
	char names[MCP_SERVERS_MAX][MCP_NAME_MAX + 1];
	size_t n = 0, before = w->len;

	if (is_given(servers) && !jv_is(servers, JV_OBJECT) &&
	    !jv_is(servers, JV_ARRAY))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mcpServers: an object of servers, or a list");
	if (jv_count(servers) > MCP_SERVERS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mcpServers: %zu; at most %d", jv_count(servers),
			       MCP_SERVERS_MAX);
	jw_arr(w);
	for (struct jv it = jv_first(servers); jv_has(it);
	     it = jv_next(servers, it))
		if (read_named(servers, it, names, n++, w, e) < 0)
			return -FAULT_INVALID_ARGUMENT;
	jw_arr_end(w);
	if (w->len - before > MCP_SERVERS_BYTES)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "mcpServers: at most %u bytes together",
			       MCP_SERVERS_BYTES);
	return w->failed ? err_set(e, -ENOMEM, "mcpServers: out of memory") : 0;
}

/* --- for the guest ------------------------------------------------------ */

static int write_env(struct jv env, mcp_value_cb put, void *arg, struct jw *w,
		     struct err *e)
{
	char name[MCP_PAIR_NAME_MAX + 1];
	int r = 0;

	jw_key(w, "env");
	jw_obj(w);
	for (struct jv k = jv_first(env); jv_has(k) && r == 0;
	     k = jv_next(env, k)) {
		(void)jv_strcpy(k, name, sizeof(name));
		jw_key(w, name);
		r = put(jv_value(k), w, arg, e);
	}
	jw_obj_end(w);
	return r;
}

static int write_server(struct jv server, mcp_value_cb put, void *arg,
			struct jw *w, struct err *e)
{
	int r = 0;

	jw_obj(w);
	for (struct jv k = jv_first(server); jv_has(k) && r == 0;
	     k = jv_next(server, k)) {
		char key[32];

		if (jv_eq(k, "url") || jv_eq(k, "headers") || jv_eq(k, "sse"))
			continue;
		(void)jv_strcpy(k, key, sizeof(key));
		if (jv_eq(k, "env"))
			r = write_env(jv_value(k), put, arg, w, e);
		else
			jw_kvalue(w, key, jv_value(k));
	}
	jw_obj_end(w);
	return r;
}

int mcp_servers_write(struct jv list, mcp_value_cb put, void *arg, struct jw *w,
		      struct err *e)
{
	int r = 0;

	jw_arr(w);
	for (struct jv it = jv_first(list); jv_has(it) && r == 0;
	     it = jv_next(list, it))
		r = write_server(it, put, arg, w, e);
	jw_arr_end(w);
	return r;
}

struct jv mcp_servers_find(struct jv list, const char *name)
{
	struct jv it = jv_first(list);

	while (jv_has(it) && !jv_eq(jv_get(it, "name"), name))
		it = jv_next(list, it);
	return it;
}
