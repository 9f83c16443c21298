// SPDX-License-Identifier: Apache-2.0
/*
 * http_request.c - The bytes of an HTTP request
 */
#include "core/http_request.h"

#include <stdio.h>
#include <string.h>

static bool is_token(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	return n > 0 && s[n] == '\0';
}

static bool is_target(const char *s)
{
	if (*s != '/')
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

/* Whole lines, none of them empty, so that nothing but headers gets in. */
static bool is_header_block(const char *s)
{
	while (*s != '\0') {
		size_t n = strcspn(s, "\r\n");

		if (n == 0 || s[n] != '\r' || s[n + 1] != '\n')
			return false;
		s += n + 2;
	}
	return true;
}

static bool spec_is_valid(const struct http_call_spec *spec)
{
	return is_token(spec->method) && is_target(spec->path) &&
	       (spec->headers == NULL || is_header_block(spec->headers)) &&
	       (spec->content_type == NULL ||
		strpbrk(spec->content_type, "\r\n") == NULL);
}

static void put(struct jw *w, const char *s)
{
	jw_lit(w, s, strlen(s));
}

static void put_header(struct jw *w, const char *name, const char *value)
{
	put(w, name);
	put(w, ": ");
	put(w, value);
	put(w, "\r\n");
}

int http_request_write(struct jw *w, const struct http_call_spec *spec,
		       const char *host, const char *token)
{
	bool body = spec->body != NULL || spec->stream_body;
	char num[24];

	if (!spec_is_valid(spec))
		return -EINVAL;
	put(w, spec->method);
	put(w, " ");
	put(w, spec->path);
	put(w, " HTTP/1.1\r\n");
	put_header(w, "Host", host);
	if (token != NULL) {
		put(w, "Authorization: Bearer ");
		put(w, token);
		put(w, "\r\n");
	}
	if (body)
		put_header(w, "Content-Type",
			   spec->content_type ? spec->content_type
					      : "application/json");
	if (spec->headers != NULL)
		put(w, spec->headers);
	if (spec->stream_body) {
		put_header(w, "Transfer-Encoding", "chunked");
	} else if (body || strcmp(spec->method, "POST") == 0 ||
		   strcmp(spec->method, "PUT") == 0) {
		snprintf(num, sizeof(num), "%zu", spec->body_len);
		put_header(w, "Content-Length", num);
	}
	put(w, "\r\n");
	if (spec->body != NULL && !spec->stream_body)
		jw_lit(w, spec->body, spec->body_len);
	return 0;
}
