// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_all.c - The front of all servers of a session
 *
 * Tools and prompts are shown under names of their own (mcp_index.h), resources
 * under their URIs: of two servers that have the same one the first is asked.
 * A list of tools waits for servers that are being started for the first time, and
 * is without those that cannot be had; so a list is never of half of the servers
 * that are there.  The other lists are asked of the servers each time.
 */
#include <string.h>

#include "guest/limits.h"
#include "guest/mcp_gateway_impl.h"

/* A list being put together. */
struct part {
	struct mcp_gather *gather;
	struct upstream *upstream;
	struct upstream_call *call; /* NULL: not asked, or answered. */
	char *json;		    /* Array, or NULL. */
};

struct mcp_gather {
	TAILQ_ENTRY(mcp_gather) link;
	struct mcp_front *front;
	struct mcp_request *q;
	const struct list_kind *kind; /* NULL: tools. */
	unsigned n_open;
	size_t n;
	struct part parts[];
};

/*
 * Tools.
 */

/* Is it being started, and nothing known of it yet? */
static bool is_awaited(const struct upstream *u)
{
	return u->tools == NULL && u->state == UPSTREAM_STARTING;
}

static bool must_wait(const struct mcp_front *all)
{
	const struct mcp_front *f;

	TAILQ_FOREACH (f, &all->gateway->fronts, link)
		if (is_awaited(f->upstream))
			return true;
	return false;
}

static void want_unknown(const struct mcp_front *all)
{
	const struct mcp_front *f;

	TAILQ_FOREACH (f, &all->gateway->fronts, link)
		if (f->upstream->tools == NULL)
			upstream_want(f->upstream);
}

static void add_tools(struct mcp_index *ix, struct upstream *u)
{
	autojson struct json j = {0};
	struct jv list;

	if (u->tools == NULL ||
	    json_parse(&j, u->tools, u->tools_len, NULL) < 0)
		return;
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		autofree char *name = jv_strdup(jv_get(it, "name"), NULL);

		if (name != NULL && mcp_spec_allows(u->spec, name))
			mcp_index_add(ix, u->spec->name, it, u);
	}
}

static void refresh(struct mcp_front *all)
{
	struct mcp_front *f;

	if (all->fresh)
		return;
	mcp_index_done(&all->tools);
	TAILQ_FOREACH (f, &all->gateway->fronts, link)
		add_tools(&all->tools, f->upstream);
	all->fresh = mcp_index_complete(&all->tools) == 0;
}

int mcp_all_write_tools(struct mcp_front *f, struct jw *w)
{
	refresh(f);
	jw_obj(w);
	jw_key(w, "tools");
	mcp_index_write(&f->tools, w);
	jw_obj_end(w);
	return w->failed ? -ENOMEM : 0;
}

const struct mcp_index_entry *mcp_all_find(struct mcp_front *f,
					   const char *shown)
{
	refresh(f);
	return mcp_index_find(&f->tools, shown);
}

/*
 * Answers.
 */

static void refuse(struct mcp_request *q, int code, const char *why)
{
	struct mcp_peer *p = mcp_peer_of(q);

	mcp_reply_error(q, code, why, NULL);
	mcp_peer_answered(p);
}

static void answer(struct mcp_request *q, struct jw *w)
{
	struct mcp_peer *p = mcp_peer_of(q);

	if (w->failed)
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
	else
		mcp_reply_raw(q, w->buf, w->len);
	mcp_peer_answered(p);
}

static void answer_tools(struct mcp_front *f, struct mcp_request *q)
{
	autojw struct jw w = {0};

	(void)mcp_all_write_tools(f, &w);
	answer(q, &w);
}

/*
 * Resources, of which server they are.
 */

static void forget_places(struct mcp_front *f, bool templates)
{
	struct mcp_places *l = templates ? &f->templates : &f->resources;

	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].uri);
	free(l->list);
	*l = (struct mcp_places){0};
}

static void add_place(struct mcp_places *l, struct jv uri, struct upstream *u)
{
	char *text = jv_strdup(uri, NULL);
	struct mcp_place *grown = NULL;

	if (text != NULL)
		grown = realloc(l->list, (l->n + 1) * sizeof(*grown));
	if (grown == NULL) {
		free(text);
		return;
	}
	l->list = grown;
	l->list[l->n++] = (struct mcp_place){text, u};
}

static bool is_there(const struct mcp_places *l, struct jv uri)
{
	for (size_t i = 0; i < l->n; i++)
		if (jv_eq(uri, l->list[i].uri))
			return true;
	return false;
}

/* Does the URI begin as the template does, up to its first variable? */
static bool fits(const char *uri, const char *template)
{
	return strncmp(uri, template, strcspn(template, "{")) == 0;
}

struct upstream *mcp_all_place(const struct mcp_front *f, struct jv uri)
{
	autofree char *text = jv_strdup(uri, NULL);

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < f->resources.n; i++)
		if (strcmp(f->resources.list[i].uri, text) == 0)
			return f->resources.list[i].upstream;
	for (size_t i = 0; i < f->templates.n; i++)
		if (fits(text, f->templates.list[i].uri))
			return f->templates.list[i].upstream;
	return NULL;
}

/*
 * The other lists.
 */

static void take_prompt(struct mcp_gather *g, struct jv item,
			struct upstream *u, struct jw *w)
{
	(void)w;
	mcp_index_add(&g->front->prompts, u->spec->name, item, u);
}

static void take_resource(struct mcp_gather *g, struct jv item,
			  struct upstream *u, struct jw *w)
{
	struct jv uri = jv_get(item, "uri");

	if (!jv_is(uri, JV_STRING) || is_there(&g->front->resources, uri))
		return;
	add_place(&g->front->resources, uri, u);
	jw_value(w, item);
}

static void take_template(struct mcp_gather *g, struct jv item,
			  struct upstream *u, struct jw *w)
{
	struct jv uri = jv_get(item, "uriTemplate");

	if (!jv_is(uri, JV_STRING) || is_there(&g->front->templates, uri))
		return;
	add_place(&g->front->templates, uri, u);
	jw_value(w, item);
}

static const struct list_kind {
	const char *method, *capability, *member;
	/* An item of a list: keep it, and write it unless it is written at the
	 * end. */
	void (*take)(struct mcp_gather *g, struct jv item, struct upstream *u,
		     struct jw *w);
} kinds[] = {
	{"prompts/list", "prompts", "prompts", take_prompt},
	{"resources/list", "resources", "resources", take_resource},
	{"resources/templates/list", "resources", "resourceTemplates",
	 take_template},
};

static void gather_free(struct mcp_gather *g)
{
	TAILQ_REMOVE(&g->front->gathers, g, link);
	for (size_t i = 0; i < g->n; i++) {
		if (g->parts[i].call != NULL)
			upstream_forget(g->parts[i].call, "cancelled");
		free(g->parts[i].json);
	}
	free(g);
}

static void take_part(struct mcp_gather *g, const struct part *p, struct jw *w)
{
	autojson struct json j = {0};
	struct jv list;

	if (p->json == NULL ||
	    json_parse(&j, p->json, strlen(p->json), NULL) < 0)
		return;
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		g->kind->take(g, it, p->upstream, w);
}

/* What was kept of the last one of this kind. */
static void forget_last(struct mcp_gather *g)
{
	if (g->kind->take == take_prompt)
		mcp_index_done(&g->front->prompts);
	else
		forget_places(g->front, g->kind->take == take_template);
}

static void gather_end(struct mcp_gather *g)
{
	struct mcp_request *q = g->q;
	autojw struct jw w = {0};

	forget_last(g);
	jw_obj(&w);
	jw_key(&w, g->kind->member);
	if (g->kind->take != take_prompt)
		jw_arr(&w);
	for (size_t i = 0; i < g->n; i++)
		take_part(g, &g->parts[i], &w);
	if (g->kind->take != take_prompt)
		jw_arr_end(&w);
	else if (mcp_index_complete(&g->front->prompts) == 0)
		mcp_index_write(&g->front->prompts, &w);
	else
		w.failed = true;
	jw_obj_end(&w);
	gather_free(g);
	answer(q, &w);
}

static void part_on_done(const struct upstream_answer *a, void *arg)
{
	struct part *p = arg;
	size_t len;
	const char *raw = jv_raw(a->result, &len);

	p->call = NULL;
	if (a->status == 0 && raw != NULL)
		p->json = strndup(raw, len);
	if (--p->gather->n_open == 0)
		gather_end(p->gather);
}

static void ask_part(struct part *p)
{
	struct mcp_gather *g = p->gather;

	if (p->upstream->tools != NULL &&
	    !mcp_upstream_can(p->upstream, g->kind->capability))
		return;
	if (upstream_ask(p->upstream,
			 &(struct upstream_request){
				 .list = g->kind->member,
				 .done = part_on_done,
				 .arg = p,
			 },
			 &p->call, NULL) == 0)
		g->n_open++;
}

static struct mcp_gather *gather_new(struct mcp_front *all,
				     struct mcp_request *q,
				     const struct list_kind *kind)
{
	struct mcp_gather *g;
	struct mcp_front *f;
	size_t n = 0;

	TAILQ_FOREACH (f, &all->gateway->fronts, link)
		n++;
	g = calloc(1, sizeof(*g) + n * sizeof(g->parts[0]));
	if (g == NULL)
		return NULL;
	g->front = all;
	g->q = q;
	g->kind = kind;
	TAILQ_FOREACH (f, &all->gateway->fronts, link)
		g->parts[g->n++] =
			(struct part){.gather = g, .upstream = f->upstream};
	TAILQ_INSERT_TAIL(&all->gathers, g, link);
	return g;
}

static void serve_list(struct mcp_front *all, struct mcp_request *q,
		       const struct list_kind *kind)
{
	struct mcp_gather *g = gather_new(all, q, kind);

	if (g == NULL) {
		refuse(q, RPC_INTERNAL, "out of memory");
		return;
	}
	for (size_t i = 0; kind != NULL && i < g->n; i++)
		ask_part(&g->parts[i]);
	if (kind != NULL && g->n_open == 0)
		gather_end(g);
}

/*
 * Requests.
 */

static void serve_tools_list(struct mcp_front *f, struct mcp_request *q)
{
	want_unknown(f);
	if (must_wait(f))
		serve_list(f, q, NULL);
	else
		answer_tools(f, q);
}

static void relay_named(struct mcp_front *f, struct mcp_request *q,
			const struct mcp_index_entry *en, const char *what)
{
	if (en == NULL)
		refuse(q, RPC_INVALID_PARAMS, what);
	else
		mcp_relay(f, q, en->owner, en->name);
}

static void serve_tools_call(struct mcp_front *f, struct mcp_request *q)
{
	autofree char *name = jv_strdup(jv_get(q->params, "name"), NULL);

	relay_named(f, q, name == NULL ? NULL : mcp_all_find(f, name),
		    "there is no such tool");
}

static void serve_prompt(struct mcp_front *f, struct mcp_request *q)
{
	autofree char *name = jv_strdup(jv_get(q->params, "name"), NULL);

	relay_named(f, q,
		    name == NULL ? NULL : mcp_index_find(&f->prompts, name),
		    "there is no such prompt");
}

static void serve_resource(struct mcp_front *f, struct mcp_request *q)
{
	struct upstream *u = mcp_all_place(f, jv_get(q->params, "uri"));

	if (u == NULL)
		refuse(q,
		       q->era == MCP_ERA_MODERN ? RPC_INVALID_PARAMS
						: MCP_RESOURCE_NOT_FOUND,
		       "there is no such resource");
	else if (strcmp(q->method, "resources/subscribe") == 0)
		mcp_subscribe(f, q, u);
	else
		mcp_relay(f, q, u, NULL);
}

static const struct method {
	const char *name;
	void (*serve)(struct mcp_front *f, struct mcp_request *q);
} methods[] = {
	{"tools/call", serve_tools_call},
	{"tools/list", serve_tools_list},
	{"prompts/get", serve_prompt},
	{"resources/read", serve_resource},
	{"resources/subscribe", serve_resource},
	{"resources/unsubscribe", mcp_unsubscribe},
};

void mcp_all_request(struct mcp_front *f, struct mcp_request *q)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(q->method, methods[i].name) == 0) {
			methods[i].serve(f, q);
			return;
		}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(q->method, kinds[i].method) == 0) {
			serve_list(f, q, &kinds[i]);
			return;
		}
	refuse(q, RPC_METHOD_NOT_FOUND, "method not found");
}

bool mcp_all_cancelled(struct mcp_front *f, struct mcp_request *q)
{
	struct mcp_gather *g;

	TAILQ_FOREACH (g, &f->gathers, link)
		if (g->q == q)
			break;
	if (g == NULL)
		return false;
	gather_free(g);
	mcp_reply_error(q, RPC_INTERNAL, "cancelled", NULL);
	return true;
}

/*
 * Life.
 */

/* Those lists of tools that waited. */
static void answer_waiting(struct mcp_front *f)
{
	struct mcp_gather *g, *next;

	for (g = TAILQ_FIRST(&f->gathers); g != NULL; g = next) {
		struct mcp_request *q = g->q;

		next = TAILQ_NEXT(g, link);
		if (g->kind != NULL)
			continue;
		gather_free(g);
		answer_tools(f, q);
	}
}

void mcp_all_update(struct mcp_front *f, bool tools)
{
	if (tools) {
		f->fresh = false;
		mcp_server_list_changed(f->server, "tools");
	}
	if (!must_wait(f))
		answer_waiting(f);
}

int mcp_all_open(struct mcp_front *f)
{
	const struct mcp_info info = {
		.name = MCP_AGGREGATE,
		.title = "Hibernacle",
		.version = HIB_VERSION,
		.capabilities = "{\"tools\":{\"listChanged\":true},"
				"\"prompts\":{\"listChanged\":true},"
				"\"resources\":{\"listChanged\":true,"
				"\"subscribe\":true}}",
	};

	return mcp_server_open(f->server, &info);
}

void mcp_all_done(struct mcp_front *f)
{
	while (!TAILQ_EMPTY(&f->gathers))
		gather_free(TAILQ_FIRST(&f->gathers));
	mcp_index_done(&f->tools);
	mcp_index_done(&f->prompts);
	forget_places(f, false);
	forget_places(f, true);
}
