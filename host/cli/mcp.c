// SPDX-License-Identifier: Apache-2.0
/*
 * mcp.c - hib mcp: the MCP servers of a session, and their tools
 */
#include <string.h>

#include "host/cli/commands.h"
#include "host/views.h"

#define ARGUMENTS_MAX (8u << 20)

struct mcp_command_options {
	bool json, refresh;
	int64_t timeout_ms;
};

#define JSON_OPT OPT(OPT_FLAG, mcp_command_options, json, "json")

int mcp_list_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {JSON_OPT, OPT_END};
	static const struct column columns[] = {
		{"name", "NAME", 20},	 {"transport", "TRANSPORT", 9},
		{"state", "STATE", 8},	 {"era", "ERA", 6},
		{"n_tools", "TOOLS", 5}, {"error", "ERROR", 0},
		{NULL, NULL, 0},
	};
	struct mcp_command_options o = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (views_rows(c->reader, "mcp", c->argv[0], &w, &e) < 0)
		return cli_fail(&e);
	return cli_print_rows(&w, o.json, columns);
}

/* --- tools -------------------------------------------------------------- */

int mcp_tools_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, mcp_command_options, refresh, "refresh"),
		JSON_OPT,
		OPT_END,
	};
	static const struct column columns[] = {
		{"name", "NAME", 32},
		{"description", "DESCRIPTION", 0},
		{NULL, NULL, 0},
	};
	struct mcp_command_options o = {0};
	autofree char *json = NULL;
	autojson struct json j = {0};
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, opts, &o, 2, 2);

	if (r >= 0)
		return r;
	if (hib_mcp_tools(c->hib, c->argv[0], c->argv[1], o.refresh, &json,
			  &e) < 0)
		return cli_fail_hib(&e);
	if (o.json)
		cli_print(json);
	else if (json_parse(&j, json, strlen(json), NULL) == 0)
		cli_print_table(jv_get(json_root(&j), "tools"), columns);
	return 0;
}

/* --- call --------------------------------------------------------------- */

/* The argument, what is in "@FILE", or on standard input for "-". */
static int read_arguments(struct cli *c, const char *arg, char **out)
{
	struct err e = {0};
	ssize_t n;

	if (strcmp(arg, "-") != 0)
		return cli_text(arg, ARGUMENTS_MAX, out, &e) < 0 ? cli_fail(&e)
								 : -1;
	n = cli_read(STDIN_FILENO, ARGUMENTS_MAX, out);
	return n < 0 ? cli_usage(c, "standard input: %s", strerror((int)-n))
		     : -1;
}

/* Text as it is, anything else as JSON. */
static void print_content(struct jv block)
{
	size_t len;
	autofree char *text = jv_strdup(jv_get(block, "text"), &len);
	const char *raw = jv_raw(block, &len);

	if (text != NULL && jv_eq(jv_get(block, "type"), "text"))
		cli_print_safe(stdout, text, strlen(text));
	else if (raw != NULL)
		cli_print_safe(stdout, raw, len);
	cli_print("");
}

/* Return: exit status. */
static int print_result(const char *json, bool as_json)
{
	autojson struct json j = {0};
	struct jv content;
	struct err e = {0};

	if (json_parse(&j, json, strlen(json), &e) < 0)
		return cli_fail(&e);
	content = jv_get(json_root(&j), "content");
	if (as_json)
		cli_print(json);
	for (struct jv b = jv_first(content); !as_json && jv_has(b);
	     b = jv_next(content, b))
		print_content(b);
	return jv_bool(jv_get(json_root(&j), "isError"), false) ? EXIT_NEGATIVE
								: 0;
}

int mcp_call_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_NUMBER, mcp_command_options, timeout_ms, "timeout-ms"),
		JSON_OPT,
		OPT_END,
	};
	struct mcp_command_options o = {0};
	struct hib_mcp_call call = {.size = sizeof(call)};
	autofree char *arguments = NULL, *json = NULL;
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, opts, &o, 3, 4);

	if (r < 0 && c->argc == 4)
		r = read_arguments(c, c->argv[3], &arguments);
	if (r >= 0)
		return r;
	call.server = c->argv[1];
	call.tool = c->argv[2];
	call.arguments = arguments;
	call.timeout_ms = o.timeout_ms;
	if (hib_mcp_call(c->hib, c->argv[0], &call, &json, &e) < 0)
		return cli_fail_hib(&e);
	return print_result(json, o.json);
}
