// SPDX-License-Identifier: Apache-2.0
/*
 * lines.c - Cut a byte stream into newline-terminated messages
 *
 * A line that lies whole in the bytes just read is handed on where it lies.
 * Only the pieces of a line that was torn by a read are gathered in a buffer,
 * which a long line makes large; such a buffer is given back with its line.
 */
#include "core/lines.h"

#include <assert.h>
#include <string.h>

#define FIRST_CAP 512
#define KEEP_CAP  65536 /* A larger buffer is not kept for the next line. */

void lines_init(struct lines *l, size_t limit)
{
	*l = (struct lines){.limit = limit};
}

void lines_done(struct lines *l)
{
	free(l->buf);
	*l = (struct lines){0};
}

/* Make room for n more bytes and a NUL. */
static int grow(struct lines *l, size_t n)
{
	size_t cap = l->cap ? l->cap : FIRST_CAP;
	char *buf;

	while (cap <= l->len + n)
		cap *= 2;
	if (cap == l->cap)
		return 0;

	buf = realloc(l->buf, cap);
	if (buf == NULL)
		return -ENOMEM;
	l->buf = buf;
	l->cap = cap;
	return 0;
}

/* Add a piece of an unfinished line. */
static int gather(struct lines *l, const char *data, size_t n)
{
	int r = grow(l, n);

	if (r < 0)
		return r;
	memcpy(l->buf + l->len, data, n);
	l->len += n;
	l->buf[l->len] = '\0';
	return 0;
}

static int hand_on_gathered(struct lines *l, lines_cb cb, void *arg)
{
	size_t len = l->len;
	int r;

	l->len = 0;
	r = cb(l->buf, len, arg);
	if (r == 0 && l->cap > KEEP_CAP) {
		free(l->buf);
		lines_init(l, l->limit);
	}
	return r;
}

int lines_feed(struct lines *l, char *data, size_t n, lines_cb cb, void *arg)
{
	int r;

	assert(l->len <= l->limit);

	while (n > 0) {
		char *nl = memchr(data, '\n', n);
		size_t piece = nl ? (size_t)(nl - data) : n;

		if (piece > l->limit - l->len)
			return -EMSGSIZE;
		if (nl == NULL)
			return gather(l, data, n);

		if (l->len == 0) {
			*nl = '\0';
			r = cb(data, piece, arg);
		} else {
			r = gather(l, data, piece);
			if (r == 0)
				r = hand_on_gathered(l, cb, arg);
		}
		if (r != 0)
			return r;
		data = nl + 1;
		n -= piece + 1;
	}
	return 0;
}
