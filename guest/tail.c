// SPDX-License-Identifier: Apache-2.0
/*
 * tail.c - The last bytes of what a program writes
 */
#include "guest/tail.h"

#include <string.h>

#include "core/utf8.h"

#define CAP_MIN 1024

static void drop_front(struct tail *t)
{
	if (t->len <= t->limit)
		return;
	memmove(t->buf, t->buf + t->len - t->limit, t->limit);
	t->len = t->limit;
	t->truncated = true;
}

static bool make_room(struct tail *t, size_t n)
{
	size_t cap = t->cap > 0 ? t->cap : CAP_MIN;
	char *grown;

	while (cap - t->len < n)
		cap *= 2;
	if (cap == t->cap)
		return true;
	grown = realloc(t->buf, cap);
	if (grown == NULL)
		return false;
	t->buf = grown;
	t->cap = cap;
	return true;
}

void tail_add(struct tail *t, const char *data, size_t n)
{
	if (n > t->limit) {
		data += n - t->limit;
		n = t->limit;
		t->truncated = true;
	}
	if (t->len + n > 2 * t->limit)
		drop_front(t);
	if (n == 0)
		return;
	if (!make_room(t, n)) {
		t->truncated = true;
		return;
	}
	memcpy(t->buf + t->len, data, n);
	t->len += n;
}

const char *tail_get(const struct tail *t, size_t *len)
{
	size_t skip = t->len > t->limit ? t->len - t->limit : 0;
	bool cut = tail_is_cut(t);

	for (int i = 0; cut && i < UTF8_CHAR_MAX - 1 && skip < t->len &&
			utf8_is_tail((unsigned char)t->buf[skip]);
	     i++)
		skip++;
	*len = t->len - skip;
	return t->len > 0 ? t->buf + skip : "";
}

bool tail_is_cut(const struct tail *t)
{
	return t->truncated || t->len > t->limit;
}

void tail_done(struct tail *t)
{
	free(t->buf);
	*t = (struct tail){0};
}
