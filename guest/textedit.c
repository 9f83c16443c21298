// SPDX-License-Identifier: Apache-2.0
/*
 * textedit.c - Replace passages of a text that a model has quoted
 *
 * White space is what JavaScript takes for it, since the tool that this follows
 * is written in it.
 */
#include "guest/textedit.h"

#include <string.h>

#include "core/json.h"

/* A line without its LF. */
struct line {
	const char *s;
	size_t len;
	size_t indent;	 /* Bytes of white space before... */
	size_t n_indent; /* ...which are so many characters, */
	size_t end;	 /* and where that at its end begins. */
};

struct lines {
	struct line *v;
	size_t n;
};

static void lines_free(struct lines *l)
{
	free(l->v);
}
#define autolines cleanup(lines_free)

/* Bytes of the white space at @p; 0: it is none. */
static size_t space_len(const char *p, const char *end)
{
	/* U+00A0, U+1680, U+2028, U+2029, U+202F, U+205F, U+3000, U+FEFF; and
	 * U+2000 to U+200A. */
	static const char *const spaces[] = {
		"\xc2\xa0",	"\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9",
		"\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf",
	};

	if (*p == ' ' || (*p >= '\t' && *p <= '\r'))
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
		size_t n = strlen(spaces[i]);

		if ((size_t)(end - p) >= n && memcmp(p, spaces[i], n) == 0)
			return n;
	}
	if (end - p >= 3 && memcmp(p, "\xe2\x80", 2) == 0 &&
	    (unsigned char)p[2] >= 0x80 && (unsigned char)p[2] <= 0x8a)
		return 3;
	return 0;
}

static struct line look_at(const char *s, size_t len)
{
	struct line l = {.s = s, .len = len};
	const char *end = s + len;
	size_t at = 0, n;

	while (at < len && (n = space_len(s + at, end)) > 0) {
		at += n;
		l.n_indent++;
	}
	l.indent = l.end = at;
	while (at < len) {
		n = space_len(s + at, end);
		at += n > 0 ? n : 1;
		if (n == 0)
			l.end = at;
	}
	return l;
}

static int split(struct lines *l, const struct text *t)
{
	const char *p = t->s, *end = t->s + t->len;
	size_t n = 1;

	for (const char *q = p; (q = memchr(q, '\n', (size_t)(end - q))); q++)
		n++;
	l->v = calloc(n, sizeof(*l->v));
	if (l->v == NULL)
		return -ENOMEM;
	for (l->n = 0; l->n < n; l->n++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl != NULL ? nl : end;

		l->v[l->n] = look_at(p, (size_t)(stop - p));
		p = stop + 1;
	}
	return 0;
}

static bool alike(const struct line *a, const struct line *b)
{
	size_t n = a->end - a->indent;

	return n == b->end - b->indent &&
	       memcmp(a->s + a->indent, b->s + b->indent, n) == 0;
}

/* Return: the first of the lines that are alike; -ENOENT; -E2BIG. */
static long find_lines(const struct lines *text, const struct lines *old)
{
	size_t steps = 0;

	for (size_t i = 0; i + old->n <= text->n; i++) {
		size_t j = 0;

		while (j < old->n && alike(&text->v[i + j], &old->v[j]))
			j++;
		if (j == old->n)
			return (long)i;
		steps += j + 1;
		if (steps > TEXTEDIT_STEPS_MAX)
			return -E2BIG;
	}
	return -ENOENT;
}

/* Put a new line, indented as the first old line in the text is. */
static void put_indented(struct jw *w, const struct line *first,
			 const struct line *old, const struct line *new)
{
	size_t more = old == NULL || new->n_indent < old->n_indent
			      ? 0
			      : new->n_indent - old->n_indent;

	jw_lit(w, first->s, first->indent);
	while (more-- > 0)
		jw_lit(w, " ", 1);
	jw_lit(w, new->s + new->indent, new->len - new->indent);
}

static void put_new_lines(struct jw *w, const struct line *first,
			  const struct lines *old, const struct lines *new)
{
	for (size_t j = 0; j < new->n; j++) {
		const struct line *was = j < old->n ? &old->v[j] : NULL;
		const struct line *l = &new->v[j];

		if (j > 0)
			jw_lit(w, "\n", 1);
		if (j == 0)
			put_indented(w, first, NULL, l);
		else if (was != NULL && was->indent > 0 && l->indent > 0)
			put_indented(w, first, was, l);
		else
			jw_lit(w, l->s, l->len);
	}
}

/* What is behind the part that is replaced. */
static void put_rest(struct jw *w, const struct text *t, const char *from)
{
	jw_lit(w, from, (size_t)(t->s + t->len - from));
}

static int take(struct text *t, struct jw *w)
{
	size_t len;
	char *s = jw_take(w, &len);

	if (s == NULL)
		return -ENOMEM;
	free(t->s);
	*t = (struct text){s, len};
	return 0;
}

static int replace_lines(struct text *t, const struct text *old,
			 const struct text *new)
{
	autolines struct lines a = {0}, b = {0}, c = {0};
	const struct line *first, *last;
	autojw struct jw w = {0};
	long at;

	if (split(&a, t) < 0 || split(&b, old) < 0 || split(&c, new) < 0)
		return -ENOMEM;
	at = find_lines(&a, &b);
	if (at < 0)
		return (int)at;
	first = &a.v[at];
	last = &a.v[(size_t)at + b.n - 1];
	jw_lit(&w, t->s, (size_t)(first->s - t->s));
	put_new_lines(&w, first, &b, &c);
	put_rest(&w, t, last->s + last->len);
	return take(t, &w);
}

int textedit_replace(struct text *t, const struct text *old,
		     const struct text *new)
{
	const char *at = memmem(t->s, t->len, old->s, old->len);
	autojw struct jw w = {0};

	if (at == NULL)
		return replace_lines(t, old, new);
	jw_lit(&w, t->s, (size_t)(at - t->s));
	jw_lit(&w, new->s, new->len);
	put_rest(&w, t, at + old->len);
	return take(t, &w);
}

void textedit_line_ends(struct text *t)
{
	size_t out = 0;

	for (size_t i = 0; i < t->len; i++)
		if (t->s[i] != '\r' || i + 1 == t->len || t->s[i + 1] != '\n')
			t->s[out++] = t->s[i];
	t->len = out;
	t->s[out] = '\0';
}
