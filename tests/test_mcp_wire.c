// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_wire.c - Messages cut out of bytes, whole or refused
 */
#include "mcp/wire.h"

#include <string.h>

#include "mcp/scan.h"
#include "tests/tap.h"

/* What a wire told. */
struct heard {
	struct mcp_wire wire;
	struct mcp_doc *kept;
	struct jv kept_params;
	int messages, dropped;
	enum mcp_drop why;
	size_t dropped_len;
	char id[64]; /* Of the last message. */
	char dropped_id[64];
	bool keep, stop;
};

static void on_message(const struct rpc_msg *m, void *arg)
{
	struct heard *h = arg;
	size_t len;
	const char *id = jv_raw(m->id, &len);

	h->messages++;
	snprintf(h->id, sizeof(h->id), "%.*s", (int)len, id ? id : "");
	if (h->keep) {
		h->kept = mcp_wire_keep(&h->wire);
		h->kept_params = m->params;
		h->keep = false;
	}
	if (h->stop)
		mcp_wire_stop(&h->wire);
}

static void on_dropped(enum mcp_drop why, const char *line, size_t len,
		       void *arg)
{
	struct heard *h = arg;
	size_t id_len;
	const char *id = mcp_scan_id(line, len, &id_len);

	h->dropped++;
	h->why = why;
	h->dropped_len = len;
	snprintf(h->dropped_id, sizeof(h->dropped_id), "%.*s",
		 id ? (int)id_len : 0, id ? id : "");
}

static const struct mcp_wire_ops ops = {
	.message = on_message,
	.dropped = on_dropped,
};

static void begin(struct heard *h)
{
	*h = (struct heard){0};
	mcp_wire_init(&h->wire, &ops, h);
}

static int feed(struct heard *h, const char *text)
{
	char *copy = strdup(text);
	int r = mcp_wire_feed(&h->wire, copy, strlen(copy));

	free(copy);
	return r;
}

static void messages_come_by_line(void)
{
	struct heard h;

	begin(&h);
	EQ(feed(&h, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}\n"
		    "{\"jsonrpc\":\"2.0\",\"id\":\"x\\u0041\",\"method\":\"a\"}"
		    "\r\n\n \r\n"),
	   0);
	EQ(h.messages, 2);
	EQ(h.dropped, 0);
	STR_EQ(h.id, "\"x\\u0041\"");
	EQ(h.wire.messages, 2);
	mcp_wire_done(&h.wire);
}

static void any_split_gives_the_same(void)
{
	const char *text = "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{}}\n";
	struct heard h;

	begin(&h);
	for (const char *p = text; *p != '\0'; p++)
		EQ(feed(&h, (char[]){*p, '\0'}), 0);
	EQ(h.messages, 1);
	STR_EQ(h.id, "17");
	mcp_wire_done(&h.wire);
}

static void what_is_no_message_is_counted(void)
{
	struct heard h;

	begin(&h);
	EQ(feed(&h, "npm warn deprecated\n"), 0);
	EQ(h.why, MCP_DROP_JUNK);
	EQ(feed(&h, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}]\n"), 0);
	EQ(h.why, MCP_DROP_INVALID);
	EQ(feed(&h, "{\"id\":1,\"method\":\"a\"}\n{}\n42\n"), 0);
	EQ(h.dropped, 5);
	EQ(h.wire.dropped[MCP_DROP_JUNK], 1);
	EQ(h.wire.dropped[MCP_DROP_INVALID], 4);
	EQ(feed(&h, "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n"), 0);
	EQ(h.messages, 1);
	mcp_wire_done(&h.wire);
}

static void a_long_line_is_passed_over(void)
{
	size_t piece = 1u << 20;
	char *data = malloc(piece + 1);
	struct heard h;

	begin(&h);
	EQ(feed(&h, "{\"jsonrpc\":\"2.0\",\"id\":7,\"x\":\""), 0);
	memset(data, 'x', piece);
	data[piece] = '\0';
	for (int i = 0; i < 11; i++)
		EQ(feed(&h, data), 0);
	EQ(h.dropped, 1);
	EQ(h.why, MCP_DROP_LONG);
	STR_EQ(h.dropped_id, "7");
	OK(h.wire.lines.cap < piece);
	EQ(feed(&h, "\"}\n{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"a\"}\n"),
	   0);
	EQ(h.dropped, 1);
	EQ(h.messages, 1);
	STR_EQ(h.id, "8");
	free(data);
	mcp_wire_done(&h.wire);
}

static void a_long_line_may_end_in_the_same_read(void)
{
	size_t n = MCP_LINE_MAX + 2;
	char *data = malloc(n + 1);
	struct heard h;

	begin(&h);
	memset(data, '[', n);
	data[n - 1] = '\n';
	data[n] = '\0';
	EQ(feed(&h, data), 0);
	EQ(h.dropped, 1);
	EQ(h.why, MCP_DROP_LONG);
	data[0] = '\n';
	EQ(feed(&h, data), 0);
	EQ(h.dropped, 2);
	EQ(h.why, MCP_DROP_DEEP);
	free(data);
	mcp_wire_done(&h.wire);
}

static void a_deep_value_is_refused_with_its_id(void)
{
	struct heard h;
	struct jw w = {0};

	begin(&h);
	jw_lit(&w, "{\"jsonrpc\":\"2.0\",\"params\":", 26);
	for (int i = 0; i < 5000; i++)
		jw_lit(&w, "{\"a\":", 5);
	jw_lit(&w, "1", 1);
	for (int i = 0; i < 5000; i++)
		jw_lit(&w, "}", 1);
	jw_lit(&w, ",\"id\":\"deep\"}\n", 14);
	EQ(feed(&h, w.buf), 0);
	EQ(h.why, MCP_DROP_DEEP);
	STR_EQ(h.dropped_id, "\"deep\"");
	jw_done(&w);
	mcp_wire_done(&h.wire);
}

static void a_kept_message_outlives_its_line(void)
{
	struct heard h;
	struct jv a;

	begin(&h);
	h.keep = true;
	EQ(feed(&h, "{\"jsonrpc\":\"2.0\",\"method\":\"a\","
		    "\"params\":{\"a\":\"first\"}}\n"),
	   0);
	EQ(feed(&h, "{\"jsonrpc\":\"2.0\",\"method\":\"b\","
		    "\"params\":{\"a\":\"second\"}}\n"),
	   0);
	a = jv_get(h.kept_params, "a");
	OK(jv_eq(a, "first"));
	mcp_doc_free(h.kept);
	mcp_doc_free(NULL);
	mcp_wire_done(&h.wire);
}

static void a_stopped_wire_is_silent(void)
{
	struct heard h;

	begin(&h);
	h.stop = true;
	EQ(feed(&h, "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n"
		    "{\"jsonrpc\":\"2.0\",\"method\":\"b\"}\n"),
	   -ECANCELED);
	EQ(h.messages, 1);
	EQ(feed(&h, "x\n"), -ECANCELED);
	EQ(h.dropped, 0);
	mcp_wire_done(&h.wire);
}

static void members_are_found_in_text(void)
{
	static const char text[] =
		" { \"a\" : {\"x\":[\"}\",1]} , \"b\":\"q\\\"\\\\\",\"c\":-1e3 }";
	struct mcp_member m;

	OK(mcp_scan_find(text, strlen(text), "a", &m));
	EQ(m.value_len, 13);
	OK(mcp_scan_find(text, strlen(text), "b", &m));
	EQ(m.value_len, 7);
	OK(mcp_scan_find(text, strlen(text), "c", &m));
	EQ(m.value_len, 4);
	OK(!mcp_scan_find(text, strlen(text), "x", &m));
	for (size_t n = 0; n < strlen(text); n++)
		(void)mcp_scan_find(text, n, "zz", &m);
	OK(!mcp_scan_find("[1]", 3, "a", &m));
	OK(!mcp_scan_find("{\"a\"}", 5, "a", &m));
	OK(!mcp_scan_find("{\"a\":}", 6, "a", &m));
	OK(!mcp_scan_find("", 0, "a", &m));
}

TESTS(CASE(messages_come_by_line), CASE(any_split_gives_the_same),
      CASE(what_is_no_message_is_counted), CASE(a_long_line_is_passed_over),
      CASE(a_long_line_may_end_in_the_same_read),
      CASE(a_deep_value_is_refused_with_its_id),
      CASE(a_kept_message_outlives_its_line), CASE(a_stopped_wire_is_silent),
      CASE(members_are_found_in_text))
