// SPDX-License-Identifier: Apache-2.0
/*
 * redact.c - Keep the secrets of a session out of what is written down
 *
 * Texts are looked for in the order of their length, the longest first: one that
 * begins with another goes as a whole.
 */
#include "guest/redact.h"

#include <string.h>

struct pattern {
	char *text;
	size_t len;
	char *json; /* As within a JSON string. */
	size_t json_len;
};

struct redact {
	bool strict;
	size_t n;
	struct pattern patterns[];
};

/* Events that say what happened, and not what was said. */
static const char *const cleaned[] = {
	"agent.stderr", "agent.exited",	 "mcp.ready",  "mcp.changed",
	"mcp.stderr",	"mcp.failed",	 "mcp.exited", "mcp.call",
	"turn.failed",	"session.error",
};

/* Beginnings of types that say what was said; nobody acts on them later. */
static const char *const strictly[] = {"acp.", "input.", "permission.",
				       "turn."};

/* --- reading ------------------------------------------------------------ */

static void pattern_done(struct pattern *p)
{
	if (p->text != NULL)
		explicit_bzero(p->text, p->len);
	if (p->json != NULL)
		explicit_bzero(p->json, p->json_len);
	free(p->text);
	free(p->json);
}

void redact_free(struct redact *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		pattern_done(&r->patterns[i]);
	free(r);
}

static void freep(struct redact **r)
{
	redact_free(*r);
}

static size_t count_lines(struct jv list)
{
	size_t n = 0;

	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		autofree char *text = jv_strdup(it, NULL);

		n++;
		for (const char *p = text; p != NULL && *p != '\0'; p++)
			n += *p == '\n';
	}
	return n;
}

/* As a JSON string, without its quotes. */
static int set_json(struct pattern *p)
{
	autojw struct jw w = {0};

	jw_strn(&w, p->text, p->len);
	if (w.failed)
		return -ENOMEM;
	p->json_len = w.len - 2;
	p->json = strndup(w.buf + 1, p->json_len);
	explicit_bzero(w.buf, w.len);
	return p->json == NULL ? -ENOMEM : 0;
}

static int add_line(struct redact *r, const char *line, size_t len)
{
	struct pattern *p = &r->patterns[r->n];

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len < REDACT_BYTES_MIN)
		return 0;
	r->n++;
	p->len = len;
	p->text = strndup(line, len);
	return p->text == NULL ? -ENOMEM : set_json(p);
}

static int add_secret(struct redact *r, struct jv v)
{
	size_t len;
	char *text = jv_strdup(v, &len);
	int n = text == NULL ? -ENOMEM : 0;

	for (const char *p = text; n == 0 && p != NULL;) {
		const char *end = strchrnul(p, '\n');

		n = add_line(r, p, (size_t)(end - p));
		p = *end == '\0' ? NULL : end + 1;
	}
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
	return n;
}

static int by_length(const void *a, const void *b)
{
	const struct pattern *p = a, *q = b;

	return p->len < q->len ? 1 : p->len > q->len ? -1 : 0;
}

static int check(struct jv list, struct err *e)
{
	bool good = !jv_has(list) || jv_is(list, JV_ARRAY);

	for (struct jv it = jv_first(list); good && jv_has(it);
	     it = jv_next(list, it))
		good = jv_is(it, JV_STRING);
	return good ? 0
		    : err_set(e, -FAULT_INVALID_ARGUMENT,
			      "secrets is no list of strings");
}

int redact_read(struct jv params, struct redact **out, struct err *e)
{
	struct jv list = jv_get(params, "secrets");
	cleanup(freep) struct redact *r = NULL;
	size_t n;

	if (check(list, e) < 0)
		return -FAULT_INVALID_ARGUMENT;
	n = count_lines(list);
	r = calloc(1, sizeof(*r) + n * sizeof(r->patterns[0]));
	if (r == NULL)
		return err_set(e, -ENOMEM, "secrets: out of memory");
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (add_secret(r, it) < 0)
			return err_set(e, -ENOMEM, "secrets: out of memory");
	qsort(r->patterns, r->n, sizeof(r->patterns[0]), by_length);
	r->strict = jv_eq(jv_get(params, "redact"), "strict");
	*out = r->n > 0 ? take_ptr(r) : NULL;
	return 0;
}

/* --- events ------------------------------------------------------------- */

static bool is_cleaned(const struct redact *r, const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(cleaned); i++)
		if (strcmp(type, cleaned[i]) == 0)
			return true;
	for (size_t i = 0; r->strict && i < ARRAY_LEN(strictly); i++)
		if (strncmp(type, strictly[i], strlen(strictly[i])) == 0)
			return true;
	return false;
}

enum redact_what redact_event(const struct redact *r, const char *type,
			      const char *data, size_t len)
{
	if (r == NULL)
		return REDACT_PASS;
	/* Any byte of JSON may be escaped, so that it is not found here. */
	if (is_cleaned(r, type))
		return REDACT_CLEAN;
	for (size_t i = 0; i < r->n; i++)
		if (memmem(data, len, r->patterns[i].json,
			   r->patterns[i].json_len) != NULL)
			return REDACT_MARK;
	return REDACT_PASS;
}

/* --- values ------------------------------------------------------------- */

static bool has_any(const struct redact *r, const char *text, size_t len)
{
	for (size_t i = 0; i < r->n; i++)
		if (memmem(text, len, r->patterns[i].text,
			   r->patterns[i].len) != NULL)
			return true;
	return false;
}

/* How much of @text is a secret; 0: it does not begin with one. */
static size_t secret_at(const struct redact *r, const char *text, size_t len)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->patterns[i].len <= len &&
		    memcmp(text, r->patterns[i].text, r->patterns[i].len) == 0)
			return r->patterns[i].len;
	return 0;
}

/* The text without secrets; bytes are added to @out. */
static void clean(const struct redact *r, const char *text, size_t len,
		  struct jw *out)
{
	size_t from = 0, i = 0;

	while (i < len) {
		size_t n = secret_at(r, text + i, len - i);

		if (n == 0) {
			i++;
			continue;
		}
		jw_lit(out, text + from, i - from);
		jw_lit(out, REDACTED, strlen(REDACTED));
		i += n;
		from = i;
	}
	jw_lit(out, text + from, len - from);
}

static void write_string(struct jw *w, struct jv v, void *arg)
{
	const struct redact *r = arg;
	autojw struct jw out = {0};
	size_t len;
	autofree char *text = jv_strdup(v, &len);

	if (text != NULL && !has_any(r, text, len)) {
		jw_value(w, v);
		return;
	}
	if (text != NULL)
		clean(r, text, len, &out);
	jw_strn(w, out.buf, out.len);
	w->failed |= text == NULL || out.failed;
}

void redact_write(const struct redact *r, struct jv v, struct jw *w)
{
	jw_mapped(w, v, write_string, (void *)(uintptr_t)r);
}

/* --- errors ------------------------------------------------------------- */

static void clean_message(const struct redact *r, struct err *e)
{
	autojw struct jw out = {0};
	size_t n;

	if (!has_any(r, e->msg, strlen(e->msg)))
		return;
	clean(r, e->msg, strlen(e->msg), &out);
	n = out.failed || out.buf == NULL ? 0
					  : strnlen(out.buf, ERR_MSG_MAX - 1);
	if (n > 0)
		memcpy(e->msg, out.buf, n);
	e->msg[n] = '\0';
}

static void clean_data(const struct redact *r, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw text = {0}, out = {0};

	jw_lit(&text, "{", 1);
	jw_lit(&text, e->data, strlen(e->data));
	jw_lit(&text, "}", 1);
	if (!text.failed && json_parse(&j, text.buf, text.len, NULL) == 0)
		redact_write(r, json_root(&j), &out);
	if (out.failed || out.len < 2)
		e->data[0] = '\0';
	else
		err_data(e, "%.*s", (int)out.len - 2, out.buf + 1);
}

void redact_err(const struct redact *r, struct err *e)
{
	if (r == NULL)
		return;
	clean_message(r, e);
	clean_data(r, e);
}
