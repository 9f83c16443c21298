// SPDX-License-Identifier: Apache-2.0
/*
 * param_headers.c - Arguments of tools that go into HTTP headers as well
 */
#include "mcp/param_headers.h"

#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "core/base64.h"

/* One annotation. */
struct param {
	char *header;
	char *path[PARAM_HEADERS_DEPTH_MAX]; /* Keys in the arguments. */
	size_t depth;
};

struct tool {
	char *name;
	struct param params[PARAM_HEADERS_MAX];
	size_t n;
	TAILQ_ENTRY(tool) link;
};

struct param_headers {
	TAILQ_HEAD(tool_list, tool) tools;
	unsigned n;
};

/* --- values --------------------------------------------------------------- */

static bool has_prefix(const char *s, size_t n, const char *prefix)
{
	return n >= strlen(prefix) && memcmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_plain(const char *s, size_t n)
{
	if (n > 0 && (s[0] == ' ' || s[n - 1] == ' '))
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return !has_prefix(s, n, "=?base64?");
}

void param_header_value(struct jw *w, const char *s, size_t n)
{
	autojw struct jw b64 = {0};

	if (is_plain(s, n)) {
		jw_lit(w, s, n);
		return;
	}
	base64_write(&b64, s, n); /* In quotes. */
	if (b64.failed) {
		w->failed = true;
		return;
	}
	jw_lit(w, "=?base64?", 9);
	jw_lit(w, b64.buf + 1, b64.len - 2);
	jw_lit(w, "?=", 2);
}

bool param_header_is_name(const char *s, size_t n)
{
	static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, tchar */

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		      (c >= 'A' && c <= 'Z') ||
		      (c != '\0' && strchr(others, c) != NULL)))
			return false;
	}
	return n > 0;
}

/* --- schemas -------------------------------------------------------------- */

static void tool_free(struct tool *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->params[i].depth; k++)
			free(t->params[i].path[k]);
		free(t->params[i].header);
	}
	free(t->name);
	free(t);
}

/* Where in a schema we are. */
struct place {
	struct jv path[PARAM_HEADERS_DEPTH_MAX];
	size_t depth;
	bool reachable; /* By `properties` alone. */
};

static bool is_primitive(struct jv schema)
{
	struct jv type = jv_get(schema, "type");

	return jv_eq(type, "string") || jv_eq(type, "integer") ||
	       jv_eq(type, "boolean");
}

static bool is_taken(const struct tool *t, const char *header)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcasecmp(t->params[i].header, header) == 0)
			return true;
	return false;
}

static int add_param(struct tool *t, const struct place *at, const char *name)
{
	struct param *p = &t->params[t->n++];

	p->header = strdup(name);
	for (size_t i = 0; i < at->depth; i++) {
		p->path[i] = jv_strdup(at->path[i], NULL);
		if (p->path[i] == NULL)
			return -ENOMEM;
		p->depth++;
	}
	return p->header == NULL ? -ENOMEM : 0;
}

static int check_annotation(struct tool *t, struct jv schema, struct jv header,
			    const struct place *at)
{
	char name[PARAM_HEADER_NAME_MAX];
	int n = jv_strcpy(header, name, sizeof(name));

	if (n < 0 || !param_header_is_name(name, (size_t)n) || !at->reachable ||
	    at->depth == 0 || !is_primitive(schema) || is_taken(t, name))
		return -EINVAL;
	if (t->n == PARAM_HEADERS_MAX)
		return -E2BIG;
	return add_param(t, at, name);
}

static int check_schema(struct tool *t, struct jv schema, struct place at);

static int check_properties(struct tool *t, struct jv properties,
			    struct place at)
{
	int r = 0;

	if (at.depth == PARAM_HEADERS_DEPTH_MAX)
		at.reachable = false;
	else
		at.depth++;
	for (struct jv k = jv_first(properties); r == 0 && jv_has(k);
	     k = jv_next(properties, k)) {
		at.path[at.depth - 1] = k;
		r = check_schema(t, jv_value(k), at);
	}
	return r;
}

/* Keywords whose values are data. */
static bool is_data(struct jv key)
{
	return jv_eq(key, "const") || jv_eq(key, "enum") ||
	       jv_eq(key, "default") || jv_eq(key, "examples");
}

static int check_array(struct tool *t, struct jv array, struct place at)
{
	int r = 0;

	for (struct jv v = jv_first(array); r == 0 && jv_has(v);
	     v = jv_next(array, v))
		r = check_schema(t, v, at);
	return r;
}

static int check_keyword(struct tool *t, struct jv key, struct place at)
{
	struct jv value = jv_value(key);

	if (jv_eq(key, "properties"))
		return check_properties(t, value, at);
	if (is_data(key))
		return 0;
	at.reachable = false;
	return check_schema(t, value, at);
}

static int check_schema(struct tool *t, struct jv schema, struct place at)
{
	struct jv header = jv_get(schema, "x-mcp-header");
	int r = 0;

	if (jv_is(schema, JV_ARRAY))
		return check_array(t, schema, at);
	if (!jv_is(schema, JV_OBJECT))
		return 0;
	if (jv_has(header))
		r = check_annotation(t, schema, header, &at);
	for (struct jv k = jv_first(schema); r == 0 && jv_has(k);
	     k = jv_next(schema, k))
		r = check_keyword(t, k, at);
	return r;
}

/* --- what was learnt ------------------------------------------------------ */

struct param_headers *param_headers_new(void)
{
	struct param_headers *p = calloc(1, sizeof(*p));

	if (p != NULL)
		TAILQ_INIT(&p->tools);
	return p;
}

static void take_out(struct param_headers *p, struct tool *t)
{
	TAILQ_REMOVE(&p->tools, t, link);
	p->n--;
	tool_free(t);
}

void param_headers_free(struct param_headers *p)
{
	struct tool *t;

	if (p == NULL)
		return;
	while ((t = TAILQ_FIRST(&p->tools)) != NULL)
		take_out(p, t);
	free(p);
}

static struct tool *find(const struct param_headers *p, struct jv name)
{
	struct tool *t;

	TAILQ_FOREACH (t, &p->tools, link)
		if (jv_eq(name, t->name))
			return t;
	return NULL;
}

static int keep(struct param_headers *p, struct tool *t, struct jv name)
{
	if (p->n == PARAM_HEADERS_TOOLS_MAX)
		return -E2BIG;
	t->name = jv_strdup(name, NULL);
	if (t->name == NULL)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&p->tools, t, link);
	p->n++;
	return 0;
}

int param_headers_learn(struct param_headers *p, struct jv tool)
{
	struct jv name = jv_get(tool, "name");
	struct tool *old = find(p, name), *t;
	int r;

	if (old != NULL)
		take_out(p, old);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	r = check_schema(t, jv_get(tool, "inputSchema"),
			 (struct place){.reachable = true});
	if (r == 0 && t->n > 0 && jv_is(name, JV_STRING)) {
		r = keep(p, t, name);
		if (r == 0)
			return 0;
	}
	tool_free(t);
	return r;
}

/* The value of an argument as a header's; nothing for what is no scalar. */
static int put_value(struct jv v, struct jw *w)
{
	autofree char *text = NULL;
	const char *raw;
	size_t len;

	switch (jv_type(v)) {
	case JV_STRING:
		text = jv_strdup(v, &len);
		if (text == NULL)
			return -ENOMEM;
		param_header_value(w, text, len);
		return 1;
	case JV_NUMBER:
	case JV_BOOL:
		raw = jv_raw(v, &len);
		jw_lit(w, raw, len);
		return 1;
	default:
		return 0;
	}
}

int param_headers_put(const struct param_headers *p, struct jv params,
		      int (*cb)(const char *name, const char *value, void *arg),
		      void *arg)
{
	const struct tool *t = find(p, jv_get(params, "name"));
	int r = 0;

	for (size_t i = 0; t != NULL && r >= 0 && i < t->n; i++) {
		struct jv v = jv_get(params, "arguments");
		autojw struct jw w = {0};

		for (size_t k = 0; k < t->params[i].depth; k++)
			v = jv_get(v, t->params[i].path[k]);
		r = put_value(v, &w);
		if (w.failed)
			r = -ENOMEM;
		if (r > 0)
			r = cb(t->params[i].header, w.buf ? w.buf : "", arg);
	}
	return r < 0 ? r : 0;
}
