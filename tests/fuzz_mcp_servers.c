// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mcp_servers.c - MCP servers that are taken can be started and talked to
 *
 * What comes out is JSON, within the limits; every name is good and there once;
 * it can be written for the guest, and then has no url and no header.
 */
#include "host/daemon/mcp_servers.h"

#include <assert.h>
#include <string.h>

#include "host/daemon/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int put(struct jv value, struct jw *w, void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	assert(jv_is(value, JV_STRING) || secret_is_reference(value));
	jw_str(w, "value");
	return 0;
}

static void check_server(struct jv list, struct jv server)
{
	char name[MCP_NAME_MAX + 1];

	assert(jv_strcpy(jv_get(server, "name"), name, sizeof(name)) > 0);
	assert(mcp_name_is_good(name));
	assert(mcp_servers_find(list, name).i == server.i);
	if (jv_eq(jv_get(server, "type"), "remote"))
		assert(jv_is(jv_get(server, "url"), JV_STRING));
	else
		assert(!jv_has(jv_get(server, "url")));
}

static void check_for_guest(struct jv list)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct jv out;

	assert(mcp_servers_write(list, put, NULL, &w, NULL) == 0);
	assert(json_parse(&j, w.buf, w.len, NULL) == 0);
	out = json_root(&j);
	assert(jv_count(out) == jv_count(list));
	for (struct jv it = jv_first(out); jv_has(it); it = jv_next(out, it)) {
		assert(!jv_has(jv_get(it, "url")));
		assert(!jv_has(jv_get(it, "headers")));
	}
}

static void check_taken(const struct jw *w)
{
	autojson struct json j = {0};
	struct jv list;

	assert(json_parse(&j, w->buf, w->len, NULL) == 0);
	list = json_root(&j);
	assert(jv_is(list, JV_ARRAY) && jv_count(list) <= MCP_SERVERS_MAX);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		check_server(list, it);
	check_for_guest(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r;

	if (json_parse(&j, (const char *)data, size, NULL) < 0)
		return 0;
	r = mcp_servers_read(json_root(&j), &w, &e);
	assert(r == e.code);
	if (r == 0)
		check_taken(&w);
	else
		assert(r == -FAULT_INVALID_ARGUMENT ||
		       r == -FAULT_MESSAGE_TOO_LARGE);
	return 0;
}
