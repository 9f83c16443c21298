// SPDX-License-Identifier: Apache-2.0
/*
 * front_check.c - Headers of HTTP against the message in the body
 *
 * Modern clients repeat in headers what intermediaries want to know.  A header
 * that is missing or says other than the body is refused, so that nobody acts on
 * one thing and we on another.
 */
#include <string.h>
#include <strings.h>

#include "core/base64.h"
#include "mcp/front_impl.h"

bool mcp_header_lists(const struct http_req *r, const char *name,
		      const char *word)
{
	const char *p = http_header(r, name);
	size_t n = strlen(word);

	if (p == NULL)
		return true;
	while (*p != '\0') {
		size_t len;

		p += strspn(p, " \t,");
		len = strcspn(p, " \t,;");
		if ((len == n && strncasecmp(p, word, n) == 0) ||
		    (len == 3 && strncmp(p, "*/*", 3) == 0))
			return true;
		p += strcspn(p, ",");
	}
	return false;
}

/* A header's value may be =?base64?...?=.  Return: owned by the caller. */
static char *decode_header(const char *value)
{
	static const char begin[] = "=?base64?", end[] = "?=";
	size_t len = strlen(value), head = sizeof(begin) - 1;
	autofree char *text = NULL;

	if (len < head + 2 || strncmp(value, begin, head) != 0 ||
	    strcmp(value + len - 2, end) != 0)
		return strdup(value);
	len -= head + 2;
	text = strndup(value + head, len);
	if (text == NULL || base64_read(text, &len) < 0 || strlen(text) != len)
		return NULL;
	return take_ptr(text);
}

static bool header_says(const struct http_req *r, const char *name,
			struct jv want)
{
	const char *value = http_header(r, name);
	autofree char *text = value ? decode_header(value) : NULL;

	return text != NULL && jv_eq(want, text);
}

/* The parameter that Mcp-Name repeats; absent when it repeats none. */
static struct jv named_by(const struct rpc_msg *m)
{
	static const struct {
		const char *method, *param;
	} table[] = {
		{"tools/call", "name"},	    {"prompts/get", "name"},
		{"resources/read", "uri"},  {"tasks/get", "taskId"},
		{"tasks/update", "taskId"}, {"tasks/cancel", "taskId"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (jv_eq(m->method, table[i].method))
			return jv_get(m->params, table[i].param);
	return (struct jv){.i = -1};
}

static int mismatch(const char *what, const char **message)
{
	*message = what;
	return MCP_HEADER_MISMATCH;
}

int mcp_check_modern(const struct http_req *r, const struct mcp_post *p,
		     const char **message, struct jw *data)
{
	struct jv name = named_by(&p->msg);
	int code;

	if (jv_is(p->meta.version, JV_STRING) &&
	    !header_says(r, "mcp-protocol-version", p->meta.version))
		return mismatch("header MCP-Protocol-Version is not what "
				"params._meta says",
				message);
	code = mcp_meta_check(&p->meta, message, data);
	if (code != 0)
		return code;
	if (!header_says(r, "mcp-method", p->msg.method))
		return mismatch("header Mcp-Method is not the method", message);
	if (jv_is(name, JV_STRING) && !header_says(r, "mcp-name", name))
		return mismatch("header Mcp-Name is not what params say",
				message);
	return 0;
}

void mcp_refuse(struct http_req *r, int status, struct jv id, int code,
		const char *message, const char *data)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "jsonrpc", "2.0");
	if (jv_is(id, JV_STRING) || jv_is(id, JV_NUMBER))
		jw_kvalue(&w, "id", id);
	jw_key(&w, "error");
	rpc_write_error(&w, code, message, data);
	jw_obj_end(&w);
	if (w.failed)
		http_reply(r, 503, NULL, "", 0);
	else
		http_reply(r, status, "application/json", w.buf, w.len);
}
