// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_event.c - A line that event_parse() takes is rendered to a line that
 * gives itself, without raw line ends, and so does the same line read as JSON of
 * any form
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

/* White space in front is not our form. */
static int parse_as_json(const uint8_t *data, size_t size, struct event **out)
{
	char *line = malloc(size + 1);
	int r;

	assert(line != NULL);
	line[0] = ' ';
	if (size > 0)
		memcpy(line + 1, data, size);
	r = event_parse(line, size + 1, out, NULL);
	free(line);
	return r;
}

static void check_same(const uint8_t *data, size_t size, const struct event *ev)
{
	struct event *other = NULL;
	int r = parse_as_json(data, size, &other);

	assert((r == 0) == (ev != NULL));
	if (ev == NULL)
		return;
	assert(other->len == ev->len);
	assert(memcmp(other->line, ev->line, ev->len) == 0);
	assert(strcmp(other->turn, ev->turn) == 0 && other->seq == ev->seq);
	assert(other->epoch == ev->epoch && other->ts_ms == ev->ts_ms);
	assert((other->ctx == NULL) == (ev->ctx == NULL));
	assert(other->ctx_len == ev->ctx_len);
	assert(other->data_len == ev->data_len);
	assert(ev->data - ev->line == other->data - other->line);
	free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event *ev = NULL, *again;
	struct err e;

	(void)event_parse((const char *)data, size, &ev, &e);
	check_same(data, size, ev);
	if (ev == NULL)
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
