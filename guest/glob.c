// SPDX-License-Identifier: Apache-2.0
/*
 * glob.c - Which paths a pattern means
 *
 * Braces are expanded first, each pattern that comes of them is matched alone.
 * Within a name `*` is matched by going back to the last one only, and `**` among
 * names the same way: what comes between two of them is fixed, so the first place
 * where it fits is as good as any.  That keeps matching at the product of both
 * lengths, whatever the pattern is.
 */
#include "guest/glob.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <wctype.h>

#include "core/utf8.h"

#define SEQUENCE_MAX 1000 /* Elements of {1..n}. */

struct glob {
	bool negate, never;
	char **v; /* Without braces. */
	size_t n, bytes;
};

/*
 * Braces.
 */

static int keep(struct glob *g, const char *text, struct err *e)
{
	g->bytes += strlen(text) + 1;
	if (g->n == GLOB_EXPAND_MAX || g->bytes > GLOB_BYTES_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the pattern stands for more than %d patterns",
			       GLOB_EXPAND_MAX);
	g->v[g->n] = strdup(text);
	if (g->v[g->n] == NULL)
		return err_set(e, -ENOMEM, "pattern: out of memory");
	g->n++;
	return 0;
}

/* Behind the brace that closes the one at @p; NULL: none does. */
static const char *behind_brace(const char *p)
{
	int depth = 0;

	for (; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p + 1;
	}
	return NULL;
}

/* The next comma of the list's own, or its end. */
static const char *next_comma(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
		} else if (*p == '{' && behind_brace(p) != NULL) {
			p = behind_brace(p) - 1;
			if (p >= end)
				return end;
		} else if (*p == ',') {
			return p;
		}
	}
	return end;
}

static int expand(struct glob *g, const char *pattern, struct err *e);

/* The pattern with @n bytes of @with in place of [from, to). */
static int expand_with(struct glob *g, const char *pattern, const char *from,
		       const char *to, const char *with, size_t n,
		       struct err *e)
{
	autofree char *text = NULL;

	if (asprintf(&text, "%.*s%.*s%s", (int)(from - pattern), pattern,
		     (int)n, with, to) < 0) {
		text = NULL;
		return err_set(e, -ENOMEM, "pattern: out of memory");
	}
	if (strlen(text) > GLOB_PATTERN_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the pattern is too long");
	return expand(g, text, e);
}

static int expand_list(struct glob *g, const char *pattern, const char *open,
		       const char *behind, struct err *e)
{
	const char *p = open + 1, *end = behind - 1;
	int r = 0;

	while (r == 0) {
		const char *comma = next_comma(p, end);

		r = expand_with(g, pattern, open, behind, p,
				(size_t)(comma - p), e);
		if (comma == end)
			return r;
		p = comma + 1;
	}
	return r;
}

/* "{1..5}" or "{a..e}".  Return: whether it is one. */
static bool read_sequence(const char *open, const char *behind, long *from,
			  long *to, bool *letters)
{
	char a, b;
	int n = 0;

	*letters = false;
	if (sscanf(open, "{%ld..%ld}%n", from, to, &n) == 2 && n > 0 &&
	    open + n == behind)
		return true;
	if (sscanf(open, "{%c..%c}%n", &a, &b, &n) == 2 && n > 0 &&
	    open + n == behind && isalpha((unsigned char)a) &&
	    isalpha((unsigned char)b)) {
		*letters = true;
		*from = a;
		*to = b;
		return true;
	}
	return false;
}

static int expand_sequence(struct glob *g, const char *pattern,
			   const char *open, const char *behind, struct err *e)
{
	long from = 0, to = 0;
	bool letters;
	char text[32];
	int r = 0;

	(void)read_sequence(open, behind, &from, &to, &letters);
	if (labs(from) > INT32_MAX || labs(to) > INT32_MAX ||
	    labs(to - from) > SEQUENCE_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the pattern has a sequence of more than %d",
			       SEQUENCE_MAX);
	for (long i = from; r == 0; i += from <= to ? 1 : -1) {
		int n = letters ? snprintf(text, sizeof(text), "%c", (char)i)
				: snprintf(text, sizeof(text), "%ld", i);

		r = expand_with(g, pattern, open, behind, text, (size_t)n, e);
		if (i == to)
			break;
	}
	return r;
}

/* The first braces that are any; the rest by recursion. */
static int expand(struct glob *g, const char *pattern, struct err *e)
{
	for (const char *p = pattern; *p != '\0'; p++) {
		const char *behind;
		bool letters;
		long from, to;

		if (*p == '\\' && p[1] != '\0')
			p++;
		if (*p != '{' || (p > pattern && p[-1] == '\\'))
			continue;
		behind = behind_brace(p);
		if (behind == NULL)
			continue;
		if (read_sequence(p, behind, &from, &to, &letters))
			return expand_sequence(g, pattern, p, behind, e);
		if (next_comma(p + 1, behind - 1) < behind - 1)
			return expand_list(g, pattern, p, behind, e);
	}
	return keep(g, pattern, e);
}

/*
 * Names.
 */

static uint32_t decode(const char **p, const char *end)
{
	const unsigned char *s = (const unsigned char *)*p;
	size_t n = utf8_len(s, (const unsigned char *)end);
	uint32_t c = n > 1 ? s[0] & (0xffu >> (n + 1)) : s[0];

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s[i] & 0x3f);
	*p += n > 0 ? n : 1;
	return c;
}

/* "[:alpha:]" at @*p, which moves behind it. */
static bool in_named_class(const char **p, const char *end, uint32_t c,
			   bool *known)
{
	const char *stop = memmem(*p, (size_t)(end - *p), ":]", 2);
	char name[16] = "";
	wctype_t type;

	*known = false;
	if ((*p)[0] != '[' || (*p)[1] != ':' || stop == NULL ||
	    stop - *p - 2 >= (ptrdiff_t)sizeof(name))
		return false;
	memcpy(name, *p + 2, (size_t)(stop - *p - 2));
	type = wctype(name);
	if (type == 0)
		return false;
	*known = true;
	*p = stop + 2;
	return iswctype((wint_t)c, type) != 0;
}

/* Behind the "]" of a class at @p; NULL: it is none. */
static const char *behind_class(const char *p, const char *end)
{
	p += 1 + (p + 1 < end && (p[1] == '!' || p[1] == '^'));
	if (p < end && *p == ']')
		p++;
	for (; p < end; p++) {
		const char *stop = NULL;

		if (*p == '[' && p + 1 < end && p[1] == ':')
			stop = memmem(p, (size_t)(end - p), ":]", 2);
		if (stop != NULL)
			p = stop + 1;
		else if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == ']')
			return p + 1;
	}
	return NULL;
}

static uint32_t class_char(const char **p, const char *end)
{
	if (**p == '\\' && *p + 1 < end)
		(*p)++;
	return decode(p, end);
}

/* Is @c in the class from @p to the bracket before @behind? */
static bool in_class(const char *p, const char *behind, uint32_t c)
{
	const char *end = behind - 1;
	bool negate = p[1] == '!' || p[1] == '^', found = false, known;

	p += 1 + negate;
	while (p < end) {
		bool in = in_named_class(&p, end, c, &known);
		uint32_t low, high;

		if (known) {
			found |= in;
			continue;
		}
		low = high = class_char(&p, end);
		if (p + 1 < end && *p == '-') {
			p++;
			high = class_char(&p, end);
		}
		found |= c >= low && c <= high;
	}
	return found != negate;
}

/* One element of the pattern other than `*` against one character.  Both move
 * on when it fits. */
static bool match_one(const char **p, const char *p_end, const char **s,
		      const char *s_end)
{
	const char *at = *s, *behind;
	uint32_t c = decode(&at, s_end);

	if (**p == '[' && (behind = behind_class(*p, p_end)) != NULL) {
		if (!in_class(*p, behind, c))
			return false;
		*p = behind;
	} else if (**p == '?') {
		(*p)++;
	} else {
		const char *next = *p + (**p == '\\' && *p + 1 < p_end);

		if (decode(&next, p_end) != c)
			return false;
		*p = next;
	}
	*s = at;
	return true;
}

/* One name. */
static bool match_name(const char *p, const char *p_end, const char *s,
		       const char *s_end)
{
	const char *star = NULL, *retry = NULL;

	if (p < p_end && s == s_end)
		return false; /* "*" is no empty name either. */
	while (s < s_end) {
		if (p < p_end && *p == '*') {
			star = ++p;
			retry = s;
		} else if (p < p_end && match_one(&p, p_end, &s, s_end)) {
			continue;
		} else if (star != NULL) {
			(void)decode(&retry, s_end);
			p = star;
			s = retry;
		} else {
			return false;
		}
	}
	while (p < p_end && *p == '*')
		p++;
	return p == p_end;
}

/*
 * Paths.
 */

static const char *name_end(const char *p)
{
	return strchrnul(p, '/');
}

static bool is_globstar(const char *p)
{
	return name_end(p) - p == 2 && p[0] == '*' && p[1] == '*';
}

/* Behind a name and its slash; NULL behind the last one. */
static const char *next_name(const char *p)
{
	p = name_end(p);
	return *p == '/' ? p + 1 : NULL;
}

static const char *skip_globstars(const char *p)
{
	while (p != NULL && is_globstar(p))
		p = next_name(p);
	return p;
}

static bool match_path(const char *p, const char *s)
{
	const char *star = NULL, *retry = NULL;

	while (s != NULL) {
		if (p != NULL && is_globstar(p)) {
			star = p = skip_globstars(p);
			retry = s;
			if (p == NULL)
				return true; /* It takes all that is left. */
		} else if (p != NULL &&
			   match_name(p, name_end(p), s, name_end(s))) {
			p = next_name(p);
			s = next_name(s);
		} else if (star != NULL) {
			retry = next_name(retry);
			p = star;
			s = retry;
		} else {
			return false;
		}
	}
	return p == NULL;
}

bool glob_match(const struct glob *g, const char *path)
{
	bool found = false;

	if (g->never)
		return false;
	for (size_t i = 0; i < g->n && !found; i++)
		found = match_path(g->v[i], path);
	return found != g->negate;
}

/*
 * Life.
 */

static bool has_extended(const char *p)
{
	for (; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (strchr("+@!?*", *p) != NULL && p[1] == '(' &&
			 strchr(p + 2, ')') != NULL)
			return true;
	}
	return false;
}

int glob_new(const char *pattern, struct glob **out, struct err *e)
{
	struct glob *g;
	int r = 0;

	if (strlen(pattern) > GLOB_PATTERN_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the pattern has more than %d bytes",
			       GLOB_PATTERN_MAX);
	g = calloc(1, sizeof(*g));
	if (g != NULL)
		g->v = calloc(GLOB_EXPAND_MAX, sizeof(*g->v));
	if (g == NULL || g->v == NULL) {
		glob_free(g);
		return err_set(e, -ENOMEM, "pattern: out of memory");
	}
	g->never = pattern[0] == '#' || pattern[0] == '\0';
	for (; *pattern == '!' && pattern[1] != '('; pattern++)
		g->negate = !g->negate;
	if (has_extended(pattern))
		r = err_set(e, -FAULT_INVALID_ARGUMENT,
			    "patterns like +(..) are not known here");
	else if (!g->never)
		r = expand(g, pattern, e);
	if (r < 0)
		glob_free(g);
	else
		*out = g;
	return r;
}

void glob_free(struct glob *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n; i++)
		free(g->v[i]);
	free(g->v);
	free(g);
}
