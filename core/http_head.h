/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head.h - The head of an HTTP message, kept while it is worked on
 *
 * Filled from llhttp's callbacks, for requests and answers alike, within
 * HTTP_HEAD_MAX and HTTP_HEADERS_MAX of http.h.
 */
#ifndef CORE_HTTP_HEAD_H
#define CORE_HTTP_HEAD_H

#include "core/base.h"
#include "core/http.h"

struct http_head {
	/* NUL-terminated strings: the target, then name, value, name, .. */
	char *buf;
	size_t len, cap;
	unsigned n_fields; /* Those begun. */
	enum { HEAD_TARGET, HEAD_NAME, HEAD_VALUE, HEAD_SEALED } part;
	struct {
		uint32_t name, value; /* Offsets in buf. */
	} field[HTTP_HEADERS_MAX];
};

void http_head_done(struct http_head *h); /* Empty, and zero. */

/* Add a piece.  Return: 0; -E2BIG past a limit; -ENOMEM. */
int http_head_target(struct http_head *h, const char *data, size_t n);
int http_head_name(struct http_head *h, const char *data, size_t n);
int http_head_value(struct http_head *h, const char *data, size_t n);
/* The name is complete.  Return: also -EINVAL when it is none. */
int http_head_name_end(struct http_head *h);
/* The head is complete; what is added later (trailers) is left out. */
int http_head_seal(struct http_head *h);

/* The first field of that name, in any case; NULL when absent. */
const char *http_head_get(const struct http_head *h, const char *name);
unsigned http_head_count(const struct http_head *h, const char *name);

/* A target's path and parameters, decoded. */
struct http_url {
	const char *path; /* In the target. */
	char *query; /* name NUL value NUL ..., query_len bytes, or NULL. */
	size_t query_len;
};

/**
 * http_url_parse() - Take a target in origin form ("/path?name=value") apart
 * @target: Decoded in place, and borrowed by @u
 *
 * Return: 0; -EINVAL for another form, a bad escape or an encoded NUL; -ENOMEM.
 */
int http_url_parse(struct http_url *u, char *target);
void http_url_done(struct http_url *u);
/* The first parameter of that name, "" when it has no value; NULL if absent. */
const char *http_url_query(const struct http_url *u, const char *name);

#endif
