// SPDX-License-Identifier: Apache-2.0
/*
 * wire.c - MCP messages in a byte stream
 *
 * core/lines.h cuts the lines; here the length of a line is watched, so that one
 * that is too long is passed over up to its end while the stream goes on.
 *
 * Each message is parsed into the wire's one document, used again and again.
 * Keeping a message gives that document away with a copy of the line: values
 * name their document and an index in it, so they stay as they are.
 */
#include "mcp/wire.h"

#include <assert.h>
#include <string.h>

/* The memory for the values of a longer message is not kept for the next. */
#define PARSED_KEEP 65536

void mcp_wire_init(struct mcp_wire *w, const struct mcp_wire_ops *ops,
		   void *arg)
{
	*w = (struct mcp_wire){.ops = ops, .arg = arg};
	lines_init(&w->lines, MCP_LINE_MAX);
}

void mcp_wire_done(struct mcp_wire *w)
{
	assert(w->line == NULL);
	lines_done(&w->lines);
	mcp_doc_free(w->doc);
	*w = (struct mcp_wire){0};
}

void mcp_wire_stop(struct mcp_wire *w)
{
	w->stopped = true;
}

void mcp_doc_free(struct mcp_doc *d)
{
	if (d == NULL)
		return;
	json_done(&d->json);
	free(d->text);
	free(d);
}

size_t mcp_doc_held(const struct mcp_doc *d)
{
	if (d == NULL)
		return 0;
	return json_held(&d->json) + (d->text != NULL ? d->json.len : 0);
}

size_t mcp_wire_held(const struct mcp_wire *w)
{
	return w->lines.cap + mcp_doc_held(w->doc);
}

struct mcp_doc *mcp_wire_keep(struct mcp_wire *w)
{
	struct mcp_doc *d = w->doc;

	assert(w->line != NULL && d != NULL);
	d->text = malloc(w->line_len + 1);
	if (d->text == NULL)
		return NULL;
	memcpy(d->text, w->line, w->line_len);
	d->text[w->line_len] = '\0';
	d->json.text = d->text;
	return take_ptr(w->doc);
}

static enum mcp_drop drop_reason(int r)
{
	switch (r) {
	case -E2BIG:
		return MCP_DROP_DEEP;
	case -EPROTO:
		return MCP_DROP_INVALID;
	default:
		return MCP_DROP_JUNK;
	}
}

static void drop(struct mcp_wire *w, enum mcp_drop why, const char *line,
		 size_t len)
{
	w->dropped[why]++;
	if (w->ops->dropped != NULL)
		w->ops->dropped(why, line, len, w->arg);
}

static bool is_blank(const char *line, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", *line) != NULL && *line != '\0') {
		line++;
		len--;
	}
	return len == 0;
}

int mcp_wire_message(struct mcp_wire *w, const char *text, size_t len)
{
	struct rpc_msg m;
	int r;

	if (w->stopped)
		return -ECANCELED;
	if (is_blank(text, len))
		return 0;
	if (len > MCP_LINE_MAX) {
		drop(w, MCP_DROP_LONG, text, MCP_LINE_MAX);
		return w->stopped ? -ECANCELED : 0;
	}
	if (w->doc == NULL)
		w->doc = calloc(1, sizeof(*w->doc));
	if (w->doc == NULL)
		return -ENOMEM;

	r = rpc_decode(&w->doc->json, text, len, &m, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		drop(w, drop_reason(r), text, len);
		return w->stopped ? -ECANCELED : 0;
	}
	w->messages++;
	w->line = text;
	w->line_len = len;
	w->ops->message(&m, w->arg);
	w->line = NULL;
	if (len > PARSED_KEEP && w->doc != NULL)
		json_done(&w->doc->json);
	return w->stopped ? -ECANCELED : 0;
}

static int on_line(char *line, size_t len, void *arg)
{
	struct mcp_wire *w = arg;

	return mcp_wire_message(w, line, len);
}

/* A line turned out to be too long.  @ended: all of it is here. */
static void skip_line(struct mcp_wire *w, bool ended)
{
	struct lines begun = w->lines;

	lines_init(&w->lines, MCP_LINE_MAX);
	w->skipping = !ended;
	drop(w, MCP_DROP_LONG, begun.buf ? begun.buf : "", begun.len);
	lines_done(&begun);
}

int mcp_wire_feed(struct mcp_wire *w, char *data, size_t n)
{
	while (n > 0) {
		char *nl = memchr(data, '\n', n);
		size_t piece = nl ? (size_t)(nl - data) : n;
		size_t whole = piece + (nl != NULL);
		int r = 0;

		if (w->skipping)
			w->skipping = nl == NULL;
		else if (piece > MCP_LINE_MAX - w->lines.len)
			skip_line(w, nl != NULL);
		else
			r = lines_feed(&w->lines, data, whole, on_line, w);
		if (r < 0)
			return r;
		if (w->stopped)
			return -ECANCELED;
		data += whole;
		n -= whole;
	}
	return 0;
}
