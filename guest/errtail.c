// SPDX-License-Identifier: Apache-2.0
/*
 * errtail.c - What a program says on stderr: its last words, and how much of the
 *	       rest is recorded
 */
#include "guest/errtail.h"

#include <string.h>

#include "core/utf8.h"

#define JSON_MAX 1500 /* Of the tail, escaped, in an error's data. */

void errtail_keep(struct errtail *t, const char *line, size_t len)
{
	size_t max = sizeof(t->tail), over;

	if (len >= max) {
		line += len - (max - 1);
		len = max - 1;
	}
	over = t->len + len + 1 > max ? t->len + len + 1 - max : 0;
	memmove(t->tail, t->tail + over, t->len - over);
	t->len -= over;
	memcpy(t->tail + t->len, line, len);
	t->len += len;
	t->tail[t->len++] = '\n';
}

bool errtail_passes(struct errtail *t, uint64_t now_ms)
{
	if (now_ms - t->since_ms >= t->window_ms) {
		t->since_ms = now_ms;
		t->n_window = 0;
	}
	if (t->n_window >= t->burst) {
		t->n_dropped++;
		return false;
	}
	t->n_window++;
	return true;
}

unsigned errtail_dropped(struct errtail *t)
{
	unsigned n = t->n_dropped;

	t->n_dropped = 0;
	return n;
}

/* The longest end of it that is small enough. */
void errtail_write(const struct errtail *t, struct jw *w)
{
	for (size_t skip = 0;; skip += (t->len - skip + 1) / 2) {
		const char *p = t->tail + skip;
		const char *end = t->tail + t->len;
		autojw struct jw text = {0};

		while (p < end && utf8_is_tail((unsigned char)*p))
			p++;
		jw_strn(&text, p, (size_t)(end - p));
		if (text.len > JSON_MAX && !text.failed && p < end)
			continue;
		w->failed |= text.failed;
		if (!text.failed)
			jw_raw(w, text.buf, text.len);
		return;
	}
}

void errtail_reset(struct errtail *t)
{
	*t = (struct errtail){.burst = t->burst, .window_ms = t->window_ms};
}
