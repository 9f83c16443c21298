// SPDX-License-Identifier: Apache-2.0
/*
 * client_list.c - Lists of a server, all pages of them
 *
 * A cursor is opaque and may be empty; only its absence ends the list, and what
 * a hostile server would make endless ends at MCP_PAGES_MAX.
 */
#include <string.h>

#include "mcp/client_impl.h"

/* As in the result, and how to ask for it. */
struct list_kind {
	const char *name, *method;
};

struct listing {
	struct mcp_client *client;
	const struct list_kind *kind;
	uint64_t timeout_ms;
	void (*done)(const struct mcp_list *l, void *arg);
	void *arg;
	struct jw items; /* An array still open. */
	struct mcp_list result;
};

static const struct jv absent = {.i = -1};

static void finish(struct listing *l, int status, struct jv error)
{
	struct mcp_list *r = &l->result;

	r->status = status;
	r->error = error;
	if (status == 0) {
		jw_arr_end(&l->items);
		r->items = l->items.buf;
		r->len = l->items.len;
	}
	if (l->items.failed) {
		r->status = -ENOMEM;
		r->items = NULL;
	}
	l->done(r, l->arg);
	jw_done(&l->items);
	free(l);
}

static void add_items(struct listing *l, struct jv items)
{
	for (struct jv it = jv_first(items); jv_has(it);
	     it = jv_next(items, it))
		jw_value(&l->items, it);
}

static void note_ttl(struct mcp_list *r, struct jv page)
{
	int64_t ttl = jv_int(jv_get(page, "ttlMs"), -1);

	if (ttl >= 0 && (r->ttl_ms < 0 || ttl < r->ttl_ms))
		r->ttl_ms = ttl;
}

static int ask_page(struct listing *l, struct jv cursor);

static void page_on_done(const struct mcp_answer *a, void *arg)
{
	struct listing *l = arg;
	struct jv items = jv_get(a->result, l->kind->name);
	struct jv cursor = jv_get(a->result, "nextCursor");
	int r = a->status;

	if (r == 0 && !jv_is(items, JV_ARRAY))
		r = -EPROTO;
	if (r < 0) {
		finish(l, r, a->error);
		return;
	}
	add_items(l, items);
	note_ttl(&l->result, a->result);
	l->result.pages++;
	l->result.truncated =
		jv_is(cursor, JV_STRING) && l->result.pages >= MCP_PAGES_MAX;
	if (l->items.len > MCP_LIST_BYTES_MAX)
		finish(l, -E2BIG, absent);
	else if (!jv_is(cursor, JV_STRING) || l->result.truncated)
		finish(l, 0, absent);
	else if ((r = ask_page(l, cursor)) < 0)
		finish(l, r, absent);
}

static int ask_page(struct listing *l, struct jv cursor)
{
	struct mcp_request_spec spec = {
		.method = l->kind->method,
		.timeout_ms = l->timeout_ms,
		.done = page_on_done,
		.arg = l,
	};
	autojw struct jw w = {0};
	int64_t r;

	jw_obj(&w);
	if (jv_has(cursor))
		jw_kvalue(&w, "cursor", cursor);
	jw_obj_end(&w);
	if (w.failed)
		return -ENOMEM;
	spec.params = w.buf;
	r = mcp_client_request(l->client, &spec);
	return r < 0 ? (int)r : 0;
}

static const struct list_kind *find_kind(const char *name)
{
	static const struct list_kind kinds[] = {
		{"tools", "tools/list"},
		{"prompts", "prompts/list"},
		{"resources", "resources/list"},
		{"resourceTemplates", "resources/templates/list"},
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return &kinds[i];
	return NULL;
}

int mcp_client_list(struct mcp_client *c, const char *kind, uint64_t timeout_ms,
		    void (*done)(const struct mcp_list *l, void *arg),
		    void *arg)
{
	struct listing *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL)
		return -ENOMEM;
	*l = (struct listing){
		.client = c,
		.kind = find_kind(kind),
		.timeout_ms = timeout_ms,
		.done = done,
		.arg = arg,
		.result = {.error = absent, .ttl_ms = -1},
	};
	jw_arr(&l->items);
	r = l->kind ? ask_page(l, absent) : -EINVAL;
	if (r < 0) {
		jw_done(&l->items);
		free(l);
	}
	return r;
}
