// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_json.c - What json_parse() takes means the same when written again
 *
 * The document is rebuilt value by value, strings decoded and encoded anew.
 * The copy must be taken as well, hold as many values, and be its own copy;
 * every decoded string must be UTF-8.
 */
#include "core/json.h"

#include <assert.h>
#include <string.h>

#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;

	while (p < end) {
		size_t n = utf8_len(p, end);

		assert(n > 0);
		p += n;
	}
}

/* Write a string that was decoded; keys are followed by a colon. */
static void copy_string(struct jw *w, struct jv v)
{
	size_t len;
	autofree char *s = jv_strdup(v, &len);
	char small[16];
	int n = jv_strcpy(v, small, sizeof(small));

	assert(s != NULL);
	check_utf8(s, len);
	assert(n < 0 || ((size_t)n == len && strcmp(small, s) == 0));
	assert((n == -EILSEQ) <= (strlen(s) < len));
	assert(jv_eq(v, s) == (strlen(s) == len));
	jw_strn(w, s, len);
}

static void copy(struct jw *w, struct jv v);

static void copy_object(struct jw *w, struct jv v)
{
	jw_obj(w);
	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k)) {
		copy_string(w, k);
		jw_lit(w, ":", 1);
		copy(w, jv_value(k));
	}
	jw_obj_end(w);
}

static void copy_array(struct jw *w, struct jv v)
{
	size_t n = 0;

	jw_arr(w);
	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it), n++)
		copy(w, it);
	assert(n == jv_count(v));
	jw_arr_end(w);
}

static void copy(struct jw *w, struct jv v)
{
	switch (jv_type(v)) {
	case JV_OBJECT:
		copy_object(w, v);
		break;
	case JV_ARRAY:
		copy_array(w, v);
		break;
	case JV_STRING:
		copy_string(w, v);
		break;
	default:
		assert(jv_has(v));
		jw_value(w, v);
		break;
	}
}

/* Every value, as it stands in the text, is a document. */
static void check_slices(const struct json *j)
{
	autojson struct json part = {0};
	size_t len;

	for (unsigned i = 0; i < j->n_tok && i < 64; i++) {
		const char *raw = jv_raw((struct jv){j, (int)i}, &len);

		assert(json_parse(&part, raw, len, NULL) == 0);
	}
}

/* Copy the document @text into @w.  Return: its number of values, 0 when it is
 * none. */
static unsigned rebuild(const char *text, size_t len, struct jw *w)
{
	autojson struct json j = {0};

	if (json_parse(&j, text, len, NULL) < 0) {
		assert(!jv_has(json_root(&j)));
		return 0;
	}
	check_slices(&j);
	(void)jv_int(jv_path(json_root(&j), "a.b"), 0);
	copy(w, json_root(&j));
	assert(!w->failed);
	return j.n_tok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojw struct jw first = {0}, second = {0};
	unsigned n = rebuild((const char *)data, size, &first);

	if (n == 0)
		return 0;
	assert(rebuild(first.buf, first.len, &second) == n);
	assert(second.len == first.len);
	assert(memcmp(first.buf, second.buf, first.len) == 0);
	return 0;
}
