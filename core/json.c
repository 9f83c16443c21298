// SPDX-License-Identifier: Apache-2.0
/*
 * json.c - Reading JSON
 *
 * json_parse() makes three passes.  The validator of json_check.c goes first:
 * it holds the text against the whole grammar and the limits, and counts the
 * values, so that token memory is allocated once and jsmn never sees anything
 * but JSON.  Then jsmn makes the tokens: in document order, a container before
 * its content, a key before its value.  Last, jsmn's parent links, of no use
 * after its own work, are overwritten by what readers need: the index of the
 * token after the value, so that walking an object skips whole subtrees.
 *
 * Strings stay encoded in the text and are decoded when asked for.  An escaped
 * surrogate without its other half is JSON (RFC 8259, section 8.2) but no
 * character: it decodes to U+FFFD.
 *
 * The writer is json_write.c.
 */
#include "core/json.h"

#include <string.h>

#define JSMN_PARENT_LINKS
#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "core/json_check.h"
#include "core/utf8.h"

#define FIRST_TOKENS 64 /* Enough for most messages. */

_Static_assert(JSON_BYTES_MAX <= INT32_MAX, "jsmn counts bytes in int");

/*
 * Tokens.
 */

static const jsmntok_t *token(struct jv v)
{
	const jsmntok_t *tokens = v.j->tok;

	return &tokens[v.i];
}

/* Index of the token that follows value @i and all that is in it. */
static int after(const struct json *j, int i)
{
	const jsmntok_t *tokens = j->tok;

	return tokens[i].parent;
}

static bool is_container(const jsmntok_t *t)
{
	return t->type == JSMN_OBJECT || t->type == JSMN_ARRAY;
}

static int reserve(struct json *j, unsigned n)
{
	unsigned cap = j->cap ? j->cap : FIRST_TOKENS;
	jsmntok_t *tokens;

	while (cap < n)
		cap *= 2;
	if (cap == j->cap)
		return 0;

	tokens = malloc(cap * sizeof(*tokens));
	if (tokens == NULL)
		return -ENOMEM;
	free(j->tok);
	j->tok = tokens;
	j->cap = cap;
	return 0;
}

/* jsmn in strict mode wants a delimiter after a number or word, which a
 * document of nothing else lacks. */
static void tokenize_scalar(struct json *j, const char *first)
{
	jsmntok_t *root = j->tok;
	size_t start = (size_t)(first - j->text);

	*root = (jsmntok_t){.type = JSMN_PRIMITIVE, .start = (int)start};
	root->end = root->start;
	while ((size_t)root->end < j->len &&
	       strchr(" \t\r\n", j->text[root->end]) == NULL)
		root->end++;
}

/* @n: the number of tokens that the validator has counted. */
static int tokenize(struct json *j, unsigned n)
{
	const char *first = j->text;
	jsmn_parser parser;

	while (strchr(" \t\r\n", *first) != NULL)
		first++;
	if (strchr("{[\"", *first) == NULL) {
		tokenize_scalar(j, first);
		return 0;
	}

	jsmn_init(&parser);
	if (jsmn_parse(&parser, j->text, j->len, j->tok, n) < 0 ||
	    parser.toknext != n)
		return -EINVAL;
	return 0;
}

/* Turn each token's parent link into the index after() gives. */
static void link_tokens(struct json *j, int n)
{
	jsmntok_t *tokens = j->tok;
	int open[JSON_DEPTH_MAX];
	int depth = 0;

	for (int i = 0; i < n; i++) {
		while (depth > 0 &&
		       tokens[open[depth - 1]].end <= tokens[i].start)
			tokens[open[--depth]].parent = i;
		tokens[i].parent = i + 1;
		if (is_container(&tokens[i]))
			open[depth++] = i;
		if ((unsigned)depth > j->depth)
			j->depth = (unsigned)depth;
	}
	while (depth > 0)
		tokens[open[--depth]].parent = n;
}

int json_parse(struct json *j, const char *text, size_t len, struct err *e)
{
	unsigned n;
	int r;

	j->n_tok = 0;
	j->depth = 0;
	j->text = text;
	j->len = len;
	r = json_check(text, len, &n, e);
	if (r < 0)
		return r;
	if (reserve(j, n) < 0)
		return err_set(e, -ENOMEM, "json: out of memory");
	if (tokenize(j, n) < 0)
		return err_set(e, -EINVAL, "json: jsmn refused it");

	link_tokens(j, (int)n);
	j->n_tok = n;
	return 0;
}

void json_done(struct json *j)
{
	free(j->tok);
	*j = (struct json){0};
}

size_t json_held(const struct json *j)
{
	return j->cap * sizeof(jsmntok_t);
}

/*
 * Decoding of strings.
 */

/* The encoded bytes of a string, without its quotes. */
struct piece {
	const char *p, *end;
};

static struct piece string_piece(struct jv v)
{
	const jsmntok_t *t = token(v);

	return (struct piece){v.j->text + t->start, v.j->text + t->end};
}

static bool has_escape(struct piece s)
{
	return memchr(s.p, '\\', (size_t)(s.end - s.p)) != NULL;
}

/* The four digits at @p, which the validator has seen. */
static uint32_t hex4(const char *p)
{
	uint32_t c = 0;

	for (int i = 0; i < 4; i++)
		c = c << 4 | (uint32_t)json_hex_digit((unsigned char)p[i]);
	return c;
}

static bool is_high_surrogate(uint32_t c)
{
	return c >= 0xd800 && c < 0xdc00;
}

static bool is_low_surrogate(uint32_t c)
{
	return c >= 0xdc00 && c < 0xe000;
}

/* The code point of a \u escape, the cursor behind its 'u'. */
static uint32_t next_unicode(struct piece *s)
{
	uint32_t c = hex4(s->p), low;

	s->p += 4;
	if (is_low_surrogate(c))
		return 0xfffd;
	if (!is_high_surrogate(c))
		return c;

	if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
		return 0xfffd;
	low = hex4(s->p + 2);
	if (!is_low_surrogate(low))
		return 0xfffd;
	s->p += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* Decode one escape or copy one byte.  Return: bytes written to @out, never
 * more than were read, and UTF8_CHAR_MAX at most. */
static size_t next_bytes(struct piece *s, char *out)
{
	static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	char c = *s->p++;

	if (c != '\\') {
		*out = c;
		return 1;
	}
	c = *s->p++;
	if (c == 'u')
		return utf8_put(out, next_unicode(s));
	*out = means[strchr(plain, c) - plain];
	return 1;
}

/* Is the encoded string, once decoded, these @n bytes? */
static bool piece_eq(struct piece s, const char *want, size_t n)
{
	char c[UTF8_CHAR_MAX];

	if (!has_escape(s))
		return (size_t)(s.end - s.p) == n && memcmp(s.p, want, n) == 0;
	while (s.p < s.end) {
		size_t k = next_bytes(&s, c);

		if (k > n || memcmp(c, want, k) != 0)
			return false;
		want += k;
		n -= k;
	}
	return n == 0;
}

/*
 * Values.
 */

static const struct jv absent = {.i = -1};

struct jv json_root(const struct json *j)
{
	return j->n_tok > 0 ? (struct jv){j, 0} : absent;
}

enum jv_type jv_type(struct jv v)
{
	if (!jv_has(v))
		return JV_ABSENT;

	switch (token(v)->type) {
	case JSMN_OBJECT:
		return JV_OBJECT;
	case JSMN_ARRAY:
		return JV_ARRAY;
	case JSMN_STRING:
		return JV_STRING;
	default:
		break;
	}
	switch (v.j->text[token(v)->start]) {
	case 'n':
		return JV_NULL;
	case 't':
	case 'f':
		return JV_BOOL;
	default:
		return JV_NUMBER;
	}
}

struct jv jv_first(struct jv container)
{
	if (!jv_has(container) || !is_container(token(container)) ||
	    token(container)->size == 0)
		return absent;
	return (struct jv){container.j, container.i + 1};
}

struct jv jv_next(struct jv container, struct jv it)
{
	bool in_object = token(container)->type == JSMN_OBJECT;
	int next = after(it.j, in_object ? it.i + 1 : it.i);

	if (next >= after(container.j, container.i))
		return absent;
	return (struct jv){it.j, next};
}

struct jv jv_value(struct jv key)
{
	if (!jv_has(key) || (unsigned)key.i + 1 >= key.j->n_tok)
		return absent;
	return (struct jv){key.j, key.i + 1};
}

size_t jv_count(struct jv container)
{
	if (!jv_has(container) || !is_container(token(container)))
		return 0;
	return (size_t)token(container)->size;
}

static struct jv member(struct jv v, const char *key, size_t n)
{
	struct jv found = absent;

	if (!jv_is(v, JV_OBJECT))
		return absent;
	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k))
		if (piece_eq(string_piece(k), key, n))
			found = jv_value(k);
	return found;
}

struct jv jv_get(struct jv v, const char *key)
{
	return member(v, key, strlen(key));
}

struct jv jv_path(struct jv v, const char *dotted)
{
	for (;;) {
		size_t n = strcspn(dotted, ".");

		v = member(v, dotted, n);
		if (dotted[n] == '\0' || !jv_has(v))
			return v;
		dotted += n + 1;
	}
}

const char *jv_raw(struct jv v, size_t *len)
{
	const jsmntok_t *t;
	int quote;

	if (!jv_has(v)) {
		*len = 0;
		return NULL;
	}
	t = token(v);
	quote = t->type == JSMN_STRING;
	*len = (size_t)(t->end - t->start + 2 * quote);
	return v.j->text + t->start - quote;
}

bool jv_eq(struct jv v, const char *s)
{
	return jv_is(v, JV_STRING) && piece_eq(string_piece(v), s, strlen(s));
}

bool jv_bool(struct jv v, bool otherwise)
{
	if (!jv_is(v, JV_BOOL))
		return otherwise;
	return v.j->text[token(v)->start] == 't';
}

int64_t jv_int(struct jv v, int64_t otherwise)
{
	int64_t n = 0;
	const char *p, *end;
	bool negative;

	if (!jv_is(v, JV_NUMBER))
		return otherwise;

	p = v.j->text + token(v)->start;
	end = v.j->text + token(v)->end;
	negative = *p == '-';
	for (p += negative; p < end; p++) {
		int digit = *p - '0';

		/* Counts down for negative ones: INT64_MIN has no opposite. */
		if (!json_is_digit(*p) || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, negative ? -digit : digit, &n))
			return otherwise;
	}
	return n;
}

char *jv_strdup(struct jv v, size_t *len)
{
	struct piece s;
	size_t n = 0;
	char *out;

	if (!jv_is(v, JV_STRING))
		return NULL;
	s = string_piece(v);
	out = malloc((size_t)(s.end - s.p) + 1);
	if (out == NULL)
		return NULL;

	if (!has_escape(s)) {
		n = (size_t)(s.end - s.p);
		memcpy(out, s.p, n);
	} else {
		while (s.p < s.end)
			n += next_bytes(&s, out + n);
	}
	out[n] = '\0';
	if (len != NULL)
		*len = n;
	return out;
}

static int copy_string(struct piece s, char *out, size_t cap)
{
	char c[UTF8_CHAR_MAX];
	size_t n = 0;

	while (s.p < s.end) {
		size_t k = next_bytes(&s, c);

		if (c[0] == '\0')
			return -EILSEQ;
		if (k >= cap - n)
			return -ENOSPC;
		memcpy(out + n, c, k);
		n += k;
	}
	out[n] = '\0';
	return (int)n;
}

int jv_strcpy(struct jv v, char *out, size_t cap)
{
	int n;

	if (cap == 0)
		return -ENOSPC;
	out[0] = '\0';
	if (!jv_is(v, JV_STRING))
		return -EINVAL;
	n = copy_string(string_piece(v), out, cap);
	if (n < 0)
		out[0] = '\0';
	return n;
}
