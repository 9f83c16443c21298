// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_options.c - Options of commands that give a session MCP servers
 *
 * They become one object {NAME: SERVER}, which hibd checks; here it is only
 * said what no server can be made of.
 */
#include "host/cli/mcp_options.h"

#include <fcntl.h>
#include <string.h>

#include "host/cli/words.h"

#define CONFIG_BYTES_MAX (256u << 10)
#define SERVER_NAME_MAX	 64

/* Cut "NAME<by>REST".  False: there is no name. */
static bool cut(const char *arg, char by, char name[SERVER_NAME_MAX + 1],
		const char **rest)
{
	const char *at = strchr(arg, by);
	size_t n = at != NULL ? (size_t)(at - arg) : 0;

	if (n == 0 || n > SERVER_NAME_MAX)
		return false;
	memcpy(name, arg, n);
	name[n] = '\0';
	*rest = at + 1;
	return true;
}

/* --- servers ------------------------------------------------------------ */

static int put_command(struct cli *c, const char *arg, struct jw *w)
{
	char name[SERVER_NAME_MAX + 1];
	autojw struct jw words = {0};
	autojson struct json j = {0};
	const char *line;
	struct jv first;

	if (!cut(arg, '=', name, &line))
		return cli_usage(c, "--mcp %s: not NAME=COMMAND", arg);
	if (words_write(line, &words) <= 0 ||
	    json_parse(&j, words.buf, words.len, NULL) < 0)
		return cli_usage(c, "--mcp %s: no command that ends", name);
	first = jv_first(json_root(&j));
	jw_key(w, name);
	jw_obj(w);
	jw_kvalue(w, "command", first);
	jw_key(w, "args");
	jw_arr(w);
	for (struct jv it = jv_next(json_root(&j), first); jv_has(it);
	     it = jv_next(json_root(&j), it))
		jw_value(w, it);
	jw_arr_end(w);
	jw_obj_end(w);
	return -1;
}

/* "HEADER: VALUE" or "HEADER@SECRET", as a member. */
static bool put_header(const char *text, struct jw *w)
{
	size_t n = strcspn(text, ":@");
	autofree char *name = strndup(text, n);
	const char *value = text + n + 1;

	if (n == 0 || text[n] == '\0' || name == NULL)
		return false;
	jw_key(w, name);
	if (text[n] == ':') {
		jw_str(w, value + strspn(value, " "));
		return true;
	}
	jw_obj(w);
	jw_kstr(w, "secret", value);
	jw_obj_end(w);
	return true;
}

/* Those of one server. */
static int put_headers(struct cli *c, const struct opt_list *headers,
		       const char *server, struct jw *w)
{
	char name[SERVER_NAME_MAX + 1];
	const char *rest;

	jw_key(w, "headers");
	jw_obj(w);
	for (size_t i = 0; i < headers->n; i++) {
		if (!cut(headers->item[i], ':', name, &rest) ||
		    strcmp(name, server) != 0)
			continue;
		if (!put_header(rest, w))
			return cli_usage(c,
					 "--mcp-header %s: not NAME:HEADER: "
					 "VALUE",
					 name);
	}
	jw_obj_end(w);
	return -1;
}

static int put_remote(struct cli *c, const char *arg,
		      const struct opt_list *headers, struct jw *w)
{
	char name[SERVER_NAME_MAX + 1];
	const char *url;
	int r;

	if (!cut(arg, '=', name, &url))
		return cli_usage(c, "--mcp-remote %s: not NAME=URL", arg);
	jw_key(w, name);
	jw_obj(w);
	jw_kstr(w, "type", "http");
	jw_kstr(w, "url", url);
	r = put_headers(c, headers, name, w);
	jw_obj_end(w);
	return r;
}

/* Each header has a server that is given, too. */
static int check_headers(struct cli *c, const struct mcp_options *o)
{
	char server[SERVER_NAME_MAX + 1], name[SERVER_NAME_MAX + 1];
	const char *rest;

	for (size_t i = 0; i < o->headers.n; i++) {
		bool found = false;

		if (!cut(o->headers.item[i], ':', server, &rest))
			return cli_usage(c, "--mcp-header: not NAME:HEADER: "
					    "VALUE");
		for (size_t k = 0; k < o->remotes.n; k++)
			found |= cut(o->remotes.item[k], '=', name, &rest) &&
				 strcmp(name, server) == 0;
		if (!found)
			return cli_usage(c,
					 "--mcp-header: there is no "
					 "--mcp-remote %s",
					 server);
	}
	return -1;
}

static int put_builtins(struct cli *c, const char *list, struct jw *w)
{
	char name[SERVER_NAME_MAX + 1];

	for (;; list++) {
		size_t n = strcspn(list, ",");

		if (n == 0 || n > SERVER_NAME_MAX)
			return cli_usage(c, "--mcp-builtin: not NAME,..");
		memcpy(name, list, n);
		name[n] = '\0';
		jw_kraw(w, name, "{\"type\":\"builtin\"}");
		list += n;
		if (*list == '\0')
			return -1;
	}
}

/* --- a file of them ----------------------------------------------------- */

/* Members of {NAME:SERVER}, or of a list of servers with names. */
static void put_servers(struct jv servers, struct jw *w)
{
	bool in_list = jv_is(servers, JV_ARRAY);

	for (struct jv it = jv_first(servers); jv_has(it);
	     it = jv_next(servers, it)) {
		struct jv name = in_list ? jv_get(it, "name") : it;

		if (in_list && !jv_has(name))
			name = jv_get(it, "builtin");
		jw_value(w, name);
		jw_lit(w, ":", 1);
		jw_value(w, in_list ? it : jv_value(it));
	}
}

static bool all_have_names(struct jv list)
{
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (!jv_is(jv_get(it, "name"), JV_STRING) &&
		    !jv_is(jv_get(it, "builtin"), JV_STRING))
			return false;
	return true;
}

static int put_config(struct cli *c, const char *path, struct jw *w)
{
	autofree char *text = NULL;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : cli_read(fd, CONFIG_BYTES_MAX, &text);
	autojson struct json j = {0};
	struct err e = {0};
	struct jv v;

	if (n < 0)
		return cli_usage(c, "--mcp-config %s: %s", path,
				 strerror((int)-n));
	if (json_parse(&j, text, (size_t)n, &e) < 0)
		return cli_usage(c, "--mcp-config %s: %s", path, e.msg);
	v = json_root(&j);
	if (jv_has(jv_get(v, "mcpServers")))
		v = jv_get(v, "mcpServers");
	if (!jv_is(v, JV_OBJECT) && (!jv_is(v, JV_ARRAY) || !all_have_names(v)))
		return cli_usage(c, "--mcp-config %s: no mcpServers in it",
				 path);
	put_servers(v, w);
	return -1;
}

/* --- all ---------------------------------------------------------------- */

int mcp_options_write(struct cli *c, const struct mcp_options *o, struct jw *w)
{
	int r = check_headers(c, o);

	if (o->commands.n + o->remotes.n + o->builtins.n == 0 &&
	    o->config == NULL)
		return r;
	jw_obj(w);
	if (r < 0 && o->config != NULL)
		r = put_config(c, o->config, w);
	for (size_t i = 0; r < 0 && i < o->commands.n; i++)
		r = put_command(c, o->commands.item[i], w);
	for (size_t i = 0; r < 0 && i < o->remotes.n; i++)
		r = put_remote(c, o->remotes.item[i], &o->headers, w);
	for (size_t i = 0; r < 0 && i < o->builtins.n; i++)
		r = put_builtins(c, o->builtins.item[i], w);
	jw_obj_end(w);
	return r;
}
