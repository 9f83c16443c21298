// SPDX-License-Identifier: Apache-2.0
/*
 * test_transfer.c - An export is the log, byte for byte
 */
#include "host/transfer.h"

#include "core/store.h"
#include "tests/tap.h"

#define SES  "ses_0123456789abcdef0123456789abcdef"
#define SES2 "ses_00000000000000000000000000000000"
#define HEAD "{\"hibernacle\":1,\"kind\":\"session\",\"session\":\"" SES "\"}"
#define MANY (2 * READER_PAGE_EVENTS + 7)

static struct {
	uv_loop_t loop;
	char dir[64], path[96];
	struct store *store;
	struct reader *reader;
	struct jw log; /* The lines as they were stored. */
	int64_t acked;
} t;

static void setup(void)
{
	struct err e = {0};

	snprintf(t.dir, sizeof(t.dir), "/tmp/test_transfer.XXXXXX");
	OK(mkdtemp(t.dir) != NULL);
	snprintf(t.path, sizeof(t.path), "%s/hib.db", t.dir);
	EQ(uv_loop_init(&t.loop), 0);
	EQ(store_open(&t.loop, t.path, STORE_HOST, &t.store, &e), 0);
	EQ(reader_open(t.path, &t.reader, &e), 0);
}

static void teardown(void)
{
	char command[128];

	store_close(t.store);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	reader_close(t.reader);
	EQ(uv_loop_close(&t.loop), 0);
	jw_done(&t.log);
	snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	EQ(system(command), 0);
}

static struct event *make(int64_t seq)
{
	static const char created[] = "{\"vm\":\"\"}",
			  text[] = "{\"text\":\"\xc3"
				   "\xa4\"}";
	struct event_spec s = {
		.session = SES,
		.type = seq == 1 ? "session.created" : "agent.stderr",
		.seq = seq,
		.epoch = 1,
		.ts_ms = 1700000000000 + seq,
		.data = seq == 1 ? created : text,
	};
	struct event *ev;

	s.data_len = strlen(s.data);
	ev = event_new(&s);
	OK(ev != NULL);
	return ev;
}

static void on_stored(struct store_batch *b, int64_t acked, const struct err *e)
{
	if (acked < 0)
		FAIL("%s", e->msg);
	t.acked = acked;
	event_list_free(&b->events);
	free(b);
}

/* Store the events from @from to @to. */
static void store(int64_t from, int64_t to)
{
	struct store_batch *b = calloc(1, sizeof(*b));

	OK(b != NULL);
	TAILQ_INIT(&b->events);
	memcpy(b->session, SES, sizeof(SES));
	b->done = on_stored;
	for (int64_t seq = from; seq <= to; seq++) {
		struct event *ev = make(seq);

		jw_lit(&t.log, ev->line, ev->len);
		TAILQ_INSERT_TAIL(&b->events, ev, link);
	}
	store_append(t.store, b);
	while (t.acked < to)
		uv_run(&t.loop, UV_RUN_ONCE);
}

static int take(const char *data, size_t n, void *arg)
{
	jw_lit(arg, data, n);
	return 0;
}

static void exports(struct jw *out)
{
	struct err e = {0};

	EQ(transfer_export(t.reader, SES, take, out, &e), 0);
	OK(!out->failed);
}

static void refuses(const char *line, const char *why)
{
	char session[ID_MAX] = "untouched";
	struct err e = {0};

	EQ(transfer_read_head(line, strlen(line), session, &e),
	   -FAULT_INVALID_ARGUMENT);
	STR_EQ(session, "untouched");
	if (strstr(e.msg, why) == NULL)
		FAIL("\"%s\" does not say \"%s\"", e.msg, why);
}

/* --- cases -------------------------------------------------------------- */

TEST(the_head_is_read_as_it_was_written)
{
	struct jw w = {0};
	char session[ID_MAX];

	transfer_write_head(SES, &w);
	STR_EQ(w.buf, HEAD "\n");
	EQ(transfer_read_head(w.buf, w.len - 1, session, NULL), 0);
	STR_EQ(session, SES);
	jw_done(&w);
}

TEST(members_that_are_not_known_are_passed_over)
{
	static const char line[] = "{\"by\":[1],\"session\":\"" SES
				   "\",\"kind\":\"session\",\"hibernacle\":1} ";
	char session[ID_MAX];

	EQ(transfer_read_head(line, strlen(line), session, NULL), 0);
	STR_EQ(session, SES);
}

TEST(what_is_no_export_is_refused)
{
	refuses("", "no export");
	refuses("PK\3\4", "no export");
	refuses("[]", "no export");
	refuses(HEAD HEAD, "no export");
	refuses("{}", "names no session");
	refuses("{\"hibernacle\":1,\"kind\":\"vm\",\"session\":\"" SES "\"}",
		"names no session");
	refuses("{\"hibernacle\":1,\"kind\":\"session\",\"session\":\"vm_"
		"0123456789abcdef0123456789abcdef\"}",
		"names no session");
	refuses("{\"hibernacle\":1,\"kind\":\"session\",\"session\":\"ses_"
		"../../../../../../../../../../etc\"}",
		"names no session");
}

TEST(a_later_version_is_refused)
{
	refuses("{\"hibernacle\":2,\"kind\":\"session\",\"session\":\"" SES
		"\"}",
		"not of version 1");
	refuses("{\"hibernacle\":\"1\",\"kind\":\"session\",\"session\":\"" SES
		"\"}",
		"not of version 1");
}

TEST(a_long_first_line_is_refused)
{
	char line[TRANSFER_HEAD_MAX + 2];

	memset(line, ' ', sizeof(line));
	memcpy(line, HEAD, sizeof(HEAD) - 1);
	line[sizeof(line) - 1] = '\0';
	refuses(line, "no export");
}

TEST(an_export_is_the_head_and_the_log)
{
	struct jw out = {0};

	setup();
	store(1, 3);
	exports(&out);
	EQ(out.len, strlen(HEAD "\n") + t.log.len);
	EQ(strncmp(out.buf, HEAD "\n", strlen(HEAD "\n")), 0);
	STR_EQ(out.buf + strlen(HEAD "\n"), t.log.buf);
	jw_done(&out);
	teardown();
}

TEST(a_log_of_many_pages_is_exported_whole)
{
	struct jw out = {0};

	setup();
	store(1, MANY);
	exports(&out);
	STR_EQ(out.buf + strlen(HEAD "\n"), t.log.buf);
	jw_done(&out);
	teardown();
}

TEST(a_later_export_begins_with_an_earlier_one)
{
	struct jw first = {0}, second = {0};

	setup();
	store(1, 5);
	exports(&first);
	store(6, 9);
	exports(&second);
	OK(second.len > first.len);
	EQ(memcmp(first.buf, second.buf, first.len), 0);
	jw_done(&first);
	jw_done(&second);
	teardown();
}

TEST(every_exported_line_is_an_event)
{
	struct jw out = {0};
	struct event *ev;
	char *line, *rest;
	int64_t seq = 0;

	setup();
	store(1, 4);
	exports(&out);
	rest = out.buf;
	OK(strsep(&rest, "\n") != NULL);
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		EQ(event_parse(line, strlen(line), &ev, NULL), 0);
		EQ(ev->seq, ++seq);
		free(ev);
	}
	EQ(seq, 4);
	jw_done(&out);
	teardown();
}

TEST(an_unknown_session_is_not_found)
{
	struct jw out = {0};
	struct err e = {0};

	setup();
	store(1, 1);
	EQ(transfer_export(t.reader, SES2, take, &out, &e),
	   -FAULT_SESSION_NOT_FOUND);
	EQ(out.len, 0);
	teardown();
}

static int take_nothing(const char *data, size_t n, void *arg)
{
	(void)data;
	(void)n;
	++*(int *)arg;
	return -EPIPE;
}

TEST(a_reader_that_is_gone_ends_the_export)
{
	struct err e = {0};
	int n = 0;

	setup();
	store(1, MANY);
	EQ(transfer_export(t.reader, SES, take_nothing, &n, &e), -EPIPE);
	EQ(n, 1);
	OK(e.msg[0] != '\0');
	teardown();
}

TESTS(CASE(the_head_is_read_as_it_was_written),
      CASE(members_that_are_not_known_are_passed_over),
      CASE(what_is_no_export_is_refused), CASE(a_later_version_is_refused),
      CASE(a_long_first_line_is_refused),
      CASE(an_export_is_the_head_and_the_log),
      CASE(a_log_of_many_pages_is_exported_whole),
      CASE(a_later_export_begins_with_an_earlier_one),
      CASE(every_exported_line_is_an_event),
      CASE(an_unknown_session_is_not_found),
      CASE(a_reader_that_is_gone_ends_the_export))
