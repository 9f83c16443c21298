/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - Reading and writing JSON (RFC 8259)
 *
 * Tokens come from jsmn, in strict mode with parent links, after a validating
 * pass of our own has refused what jsmn lets through: bad UTF-8, bad escapes and
 * numbers, missing commas, trailing bytes, NUL.  Input is untrusted: its size, depth and
 * number of tokens are bounded.  Values are slices of the parsed text, so that
 * a part of a message can be kept or passed on byte for byte.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/err.h"

#define JSON_DEPTH_MAX	128	    /* Nesting; jsmn's cost grows with it. */
#define JSON_TOKENS_MAX (4u << 20)  /* Values and keys in one document. */
#define JSON_BYTES_MAX	(64u << 20) /* One document. */

/* A parsed document.  Reusable: parse again into the same struct and its token
 * memory is kept.  Zero-initialised is a valid empty one. */
struct json {
	const char *text; /* Borrowed from the caller of json_parse(). */
	size_t len;
	unsigned depth; /* Of its containers: 0 for a scalar. */
	/* Private. */
	void *tok; /* jsmn's tokens: its type has no tag to declare here. */
	unsigned n_tok, cap;
};

/* One value in a document, passed by value.  An absent value (i < 0) may be
 * given to every function below and reads as nothing. */
struct jv {
	const struct json *j;
	int i;
};

enum jv_type {
	JV_ABSENT,
	JV_NULL,
	JV_BOOL,
	JV_NUMBER,
	JV_STRING,
	JV_ARRAY,
	JV_OBJECT
};

/**
 * json_parse() - Parse and validate one document
 * @j:    Document; its text is borrowed and must outlive all use of its values
 * @text: Exactly one JSON value, white space around it allowed
 * @len:  Bytes of @text
 * @e:    Set on failure, with the byte offset in words
 *
 * Return: 0; -EINVAL when it is not JSON; -E2BIG past a limit; -ENOMEM.  After
 * a failure the document is empty: its root is absent.
 */
int json_parse(struct json *j, const char *text, size_t len, struct err *e);
void json_done(struct json *j);
/* Bytes of memory that it has, without the text. */
size_t json_held(const struct json *j);

static inline void json_donep(struct json *j)
{
	json_done(j);
}
#define autojson cleanup(json_donep)

struct jv json_root(const struct json *j);
enum jv_type jv_type(struct jv v);
static inline bool jv_has(struct jv v)
{
	return v.i >= 0;
}
static inline bool jv_is(struct jv v, enum jv_type t)
{
	return jv_type(v) == t;
}

/* Member of an object: the last one of that name; absent when @v is not an
 * object or has none.  Keys are compared decoded. */
struct jv jv_get(struct jv v, const char *key);
/* The same along a path of keys: jv_path(v, "params.update.content"). */
struct jv jv_path(struct jv v, const char *dotted);

/* Walk an array's elements or an object's members:
 *	for (struct jv it = jv_first(v); jv_has(it); it = jv_next(v, it))
 * In an object @it is the key (a string); jv_value() gives its value. */
struct jv jv_first(struct jv container);
struct jv jv_next(struct jv container, struct jv it);
struct jv jv_value(struct jv key);
size_t jv_count(struct jv container);

/* The bytes of the value as they stand in the text, quotes included.
 * Absent: NULL and 0. */
const char *jv_raw(struct jv v, size_t *len);

bool jv_eq(struct jv v, const char *s);		/* A string equal to @s. */
bool jv_bool(struct jv v, bool otherwise);	/* If it is a boolean. */
int64_t jv_int(struct jv v, int64_t otherwise); /* If an integer that fits. */

/* Decode a string.  Return: its bytes, NUL-terminated, owned by the caller;
 * NULL when @v is not a string or memory is out.  @len (may be NULL) tells the
 * true length: the text may hold U+0000. */
char *jv_strdup(struct jv v, size_t *len);
/* Decode into a fixed buffer.  Return: the length; -EINVAL when it is not a
 * string, -ENOSPC when it does not fit with its NUL, -EILSEQ when it holds
 * U+0000; then @out is the empty string. */
int jv_strcpy(struct jv v, char *out, size_t cap);

/*
 * Writer: appends to a growing buffer.  Commas are its own business.  Running
 * out of memory is sticky and shows once, at jw_take() or as jw.failed.
 */
struct jw {
	char *buf; /* NUL-terminated once anything was written. */
	size_t len, cap;
	bool comma; /* Private: the next value needs one. */
	bool failed;
};

void jw_init(struct jw *w); /* Or = {0}. */
void jw_done(struct jw *w);
/* Give the text away; the writer is empty again.  NULL when memory was out.
 * @len may be NULL. */
char *jw_take(struct jw *w, size_t *len);
/* Empty it but keep its memory. */
void jw_reset(struct jw *w);

static inline void jw_donep(struct jw *w)
{
	jw_done(w);
}
#define autojw cleanup(jw_donep)

void jw_obj(struct jw *w);
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w);
void jw_arr_end(struct jw *w);
void jw_key(struct jw *w, const char *key);
void jw_str(struct jw *w, const char *s); /* NULL writes null. */
/* Any bytes: what is not UTF-8 becomes U+FFFD.  @s may be NULL when @n is 0. */
void jw_strn(struct jw *w, const char *s, size_t n);
void jw_int(struct jw *w, int64_t n);
void jw_bool(struct jw *w, bool b);
void jw_null(struct jw *w);
/* One value as JSON text, trusted to be valid; newlines in it are kept. */
void jw_raw(struct jw *w, const char *json, size_t n);
void jw_value(struct jw *w, struct jv v); /* Byte for byte; absent: null. */
/* Bytes as they are, for line ends and ready-made members.  Whether the next
 * value needs a comma is told by the last byte: not after { [ : , or newline. */
void jw_lit(struct jw *w, const char *bytes, size_t n);

/* @v with each string in it, but for keys, as @string writes it.  It nests as
 * deep as the parser lets it. */
typedef void (*jw_string_fn)(struct jw *w, struct jv string, void *arg);
void jw_mapped(struct jw *w, struct jv v, jw_string_fn string, void *arg);

/* Members: key and value at once. */
void jw_kstr(struct jw *w, const char *key, const char *s);
void jw_kint(struct jw *w, const char *key, int64_t n);
void jw_kbool(struct jw *w, const char *key, bool b);
void jw_kraw(struct jw *w, const char *key, const char *json); /* NULL: null */
void jw_kvalue(struct jw *w, const char *key, struct jv v);

#endif
