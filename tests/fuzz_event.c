// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_event.c - A line that event_parse() takes is rendered to a line that
 * gives itself, without raw line ends
 */
#include "core/event.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(const struct event *ev)
{
	assert(id_is(ev->session, "ses"));
	assert(ev->turn[0] == '\0' || id_is(ev->turn, "trn"));
	assert(event_type_ok(ev->type));
	assert(ev->seq > 0 && ev->epoch > 0 && ev->ts_ms >= 0);
	assert(ev->line[ev->len] == '\0');
	assert(memchr(ev->line, '\n', ev->len) == ev->line + ev->len - 1);
	assert(memchr(ev->line, '\r', ev->len) == NULL);
	assert(ev->data[0] == '{' && ev->data[ev->data_len - 1] == '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event *ev, *again;
	struct err e;

	if (event_parse((const char *)data, size, &ev, &e) < 0)
		return 0;
	check_fields(ev);
	if (event_parse(ev->line, ev->len - 1, &again, &e) < 0)
		abort();
	assert(again->len == ev->len);
	assert(memcmp(again->line, ev->line, ev->len) == 0);
	free(again);
	free(ev);
	return 0;
}
