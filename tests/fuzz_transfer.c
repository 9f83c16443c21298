// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_transfer.c - What an import takes is what an export would have written
 *
 * The input is read as an import reads it: a first line, then envelopes.  A
 * byte from 0x80 on stands for a word that a fuzzer would be
 * long to find.  Whatever is taken reads the same again once it is written, in
 * a line of its own.
 */
#include "host/transfer.h"

#include <assert.h>
#include <string.h>

#include "core/lines.h"

#define SES "ses_0123456789abcdef0123456789abcdef"
#define TRN "trn_0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
	"{\"hibernacle\":1,\"kind\":\"session\",\"session\":\"" SES "\"}\n",
	"{\"v\":1,\"session\":\"" SES "\",\"seq\":",
	",\"epoch\":1,\"ts\":1,\"type\":\"session.created\",\"data\":{",
	",\"turn\":\"" TRN "\"",
	",\"ctx\":{",
	"\"hibernacle\":",
	"\"kind\":",
	"\"session\":",
	"\"" SES "\"",
	"\\u0000",
	"}}\n",
};

struct import {
	char session[ID_MAX];
};

static void check_head(const struct import *im)
{
	autojw struct jw w = {0};
	char again[ID_MAX];

	transfer_write_head(im->session, &w);
	assert(!w.failed && w.buf[w.len - 1] == '\n');
	assert(transfer_read_head(w.buf, w.len - 1, again, NULL) == 0);
	assert(strcmp(again, im->session) == 0);
}

static void check_event(const struct event *ev)
{
	struct event *again;

	assert(ev->seq > 0 && ev->epoch > 0 && ev->ts_ms >= 0);
	assert(ev->line[ev->len - 1] == '\n' && ev->line[ev->len] == '\0');
	assert(memchr(ev->line, '\n', ev->len - 1) == NULL);
	assert(memchr(ev->line, '\r', ev->len - 1) == NULL);
	assert(event_parse(ev->line, ev->len - 1, &again, NULL) == 0);
	assert(again->len == ev->len);
	assert(memcmp(again->line, ev->line, ev->len) == 0);
	assert(again->seq == ev->seq && again->epoch == ev->epoch);
	assert(event_chain(1, ev->seq, ev->type, ev->data, ev->data_len) ==
	       event_chain(1, ev->seq, again->type, again->data,
			   again->data_len));
	free(again);
}

static int on_line(char *line, size_t len, void *arg)
{
	struct import *im = arg;
	struct err e = {0};
	struct event *ev;
	int r;

	if (im->session[0] == '\0') {
		r = transfer_read_head(line, len, im->session, &e);
		assert(r == e.code);
		if (r == 0)
			check_head(im);
		else
			assert(im->session[0] == '\0');
		return r;
	}
	r = event_parse(line, len, &ev, &e);
	assert(r == e.code);
	if (r < 0)
		return r;
	check_event(ev);
	free(ev);
	return 0;
}

static void expand(struct jw *w, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		size_t word = data[i] - 0x80u;

		if (data[i] >= 0x80 && word < ARRAY_LEN(words))
			jw_lit(w, words[word], strlen(words[word]));
		else
			jw_lit(w, (const char *)&data[i], 1);
	}
	assert(!w->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojw struct jw text = {0};
	struct import im = {0};
	struct lines lines;
	int r;

	expand(&text, data, size);
	lines_init(&lines, EVENT_LINE_MAX);
	r = text.len > 0 ? lines_feed(&lines, text.buf, text.len, on_line, &im)
			 : 0;
	assert(r <= 0);
	lines_done(&lines);
	return 0;
}
