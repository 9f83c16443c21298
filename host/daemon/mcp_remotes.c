// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_remotes.c - Where a session's remote MCP server is, and what it is shown
 *
 * What handover.c has sealed is the only place that knows.  It also says which
 * VM the session was given to: a guest asks for its servers before the first
 * event of the session has reached the host.
 */
#include "host/daemon/mcp_remotes.h"

#include <string.h>

#include "host/daemon/mcp_servers.h"
#include "host/daemon/secrets.h"

void mcp_remote_done(struct mcp_remote *m)
{
	for (struct mcp_header *h = m->headers; h != NULL && h->name != NULL;
	     h++) {
		free(h->name);
		vault_wipe(h->value);
	}
	free(m->headers);
	vault_wipe(m->url);
	*m = (struct mcp_remote){0};
}

static int read_header(struct jv key, struct release *r, struct mcp_header *out,
		       struct err *e)
{
	struct jv value = jv_value(key);
	int n = 0;

	if (jv_is(value, JV_STRING))
		out->value = jv_strdup(value, NULL);
	else
		n = release_secret(r, value, &out->value, e);
	if (n < 0)
		return n;
	out->name = jv_strdup(key, NULL);
	if (out->name != NULL && out->value != NULL)
		return 0;
	vault_wipe(take_ptr(out->value));
	free(take_ptr(out->name));
	return err_set(e, -ENOMEM, "headers: out of memory");
}

/* A secret may hold what no header can. */
static int check_value(const struct mcp_header *h, struct err *e)
{
	if (strpbrk(h->value, "\r\n") == NULL)
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "the secret for header %.64s is more than one line",
		       h->name);
}

static int read_server(struct jv server, struct release *r,
		       struct mcp_remote *out, struct err *e)
{
	struct jv headers = jv_get(server, "headers");
	size_t n = 0;
	int bad = 0;

	out->url = jv_strdup(jv_get(server, "url"), NULL);
	out->sse = jv_bool(jv_get(server, "sse"), false);
	out->headers = calloc(jv_count(headers) + 1, sizeof(*out->headers));
	if (out->url == NULL || out->headers == NULL)
		return err_set(e, -ENOMEM, "server: out of memory");
	for (struct jv k = jv_first(headers); jv_has(k) && bad == 0;
	     k = jv_next(headers, k)) {
		bad = read_header(k, r, &out->headers[n], e);
		if (bad == 0)
			bad = check_value(&out->headers[n++], e);
	}
	return bad;
}

static int find(struct jv mcp, const char *vm, const char *session,
		const char *name, struct jv *out, struct err *e)
{
	*out = mcp_servers_find(jv_get(mcp, "servers"), name);
	if (jv_eq(jv_get(mcp, "vm"), vm) &&
	    jv_eq(jv_get(*out, "type"), "remote"))
		return 0;
	return err_set(e, -FAULT_KEY_NOT_FOUND,
		       "%.64s has no remote MCP server '%.64s'", session, name);
}

int mcp_remote_find(struct vault *v, struct reader *r, const char *vm,
		    const char *session, const char *name,
		    struct mcp_remote *out, struct err *e)
{
	struct mcp_remote m = {0};
	struct release release;
	autojson struct json j = {0};
	char *sealed = NULL;
	struct jv server;
	int n = vault_get(v, r, session, "mcp", &sealed, e);

	if (n < 0)
		return n;
	release_init(&release, v, r);
	n = n == 0 ? 0 : json_parse(&j, sealed, strlen(sealed), e);
	if (n == 0)
		n = find(json_root(&j), vm, session, name, &server, e);
	if (n == 0)
		n = read_server(server, &release, &m, e);
	release_done(&release);
	vault_wipe(sealed);
	if (n == 0)
		*out = m;
	else
		mcp_remote_done(&m);
	return n;
}
