// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_sse.c - Any split of a stream gives the same events
 *
 * And an event that was read, if its parts have no line ends in them, is read
 * again the same when the writer has written it.
 */
#include "core/sse.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t hash;
	unsigned n;
};

static void see(struct seen *u, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		u->hash = (u->hash ^ (unsigned char)s[i]) * 1099511628211u;
	u->hash = (u->hash ^ 0x100) * 1099511628211u;
}

static void on_again(const struct sse_event *again, void *arg)
{
	const struct sse_event **ev = arg;

	assert(*ev != NULL && again->len == (*ev)->len);
	assert(memcmp(again->data, (*ev)->data, again->len) == 0);
	assert(strcmp(again->event, (*ev)->event) == 0);
	assert(strcmp(again->id, "7") == 0);
	*ev = NULL;
}

/* Write the event and read that. */
static void write_again(const struct sse_event *ev)
{
	autojw struct jw w = {0};
	struct sse_reader s;

	sse_write(&w, 7, ev->event, ev->data, ev->len);
	assert(!w.failed);
	sse_reader_init(&s, on_again, &ev);
	assert(sse_reader_feed(&s, w.buf, w.len) == 0);
	sse_reader_done(&s);
	assert(ev == NULL);
}

static void on_event(const struct sse_event *ev, void *arg)
{
	struct seen *u = arg;

	u->n++;
	assert(*ev->event != '\0' && strchr(ev->event, '\n') == NULL);
	assert(ev->data[ev->len] == '\0');
	assert(ev->id == NULL || strchr(ev->id, '\n') == NULL);
	see(u, ev->id ? ev->id : "(none)", ev->id ? strlen(ev->id) : 6);
	see(u, ev->event, strlen(ev->event));
	see(u, ev->data, ev->len);
	if (strchr(ev->event, '\r') == NULL &&
	    memchr(ev->data, '\r', ev->len) == NULL &&
	    memchr(ev->data, '\n', ev->len) == NULL)
		write_again(ev);
}

static int feed(const uint8_t *data, size_t size, size_t step, struct seen *u)
{
	autofree char *copy = malloc(size + 1);
	struct sse_reader s;
	int r = 0;

	assert(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	sse_reader_init(&s, on_event, u);
	for (size_t i = 0; i < size && r == 0; i += step)
		r = sse_reader_feed(&s, copy + i,
				    step < size - i ? step : size - i);
	sse_reader_done(&s);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = {0}, split = {0};
	size_t step = size > 0 ? data[0] % 16u + 1 : 1;

	assert(feed(data, size, size + 1, &whole) == 0);
	assert(feed(data, size, step, &split) == 0);
	assert(whole.n == split.n && whole.hash == split.hash);
	return 0;
}
