// SPDX-License-Identifier: Apache-2.0
/*
 * test_sse.c - Frames of a stream of events
 */
#include "core/sse.h"
#include "tests/tap.h"

/* Events as one string: id|event|data; */
struct seen {
	char text[4096];
	size_t len;
};

static void on_event(const struct sse_event *ev, void *arg)
{
	struct seen *s = arg;

	s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len,
				   "%s|%s|%.*s;", ev->id ? ev->id : "-",
				   ev->event, (int)ev->len, ev->data);
}

/* Read @stream in pieces of @step bytes. */
static int read_all(const char *stream, size_t step, struct seen *out)
{
	struct sse_reader s;
	size_t n = strlen(stream);
	char *scratch = malloc(n + 1);
	int r = 0;

	*out = (struct seen){0};
	sse_reader_init(&s, on_event, out);
	for (size_t i = 0; i < n && r == 0; i += step) {
		size_t take = n - i < step ? n - i : step;

		memcpy(scratch, stream + i, take);
		r = sse_reader_feed(&s, scratch, take);
	}
	sse_reader_done(&s);
	free(scratch);
	return r;
}

static void reads(const char *stream, const char *want)
{
	struct seen s;

	for (size_t step = 1; step <= strlen(stream); step++) {
		EQ(read_all(stream, step, &s), 0);
		STR_EQ(s.text, want);
	}
}

TEST(what_is_written_is_read)
{
	struct jw w = {0};
	struct seen s;

	sse_write_retry(&w, 1500);
	sse_write_comment(&w, "hello");
	sse_write(&w, 7, "turn", "{\"a\":1}", 7);
	sse_write(&w, -1, NULL, "x", 1);
	OK(!w.failed);
	STR_EQ(w.buf, "retry: 1500\n\n: hello\n\n"
		      "id: 7\nevent: turn\ndata: {\"a\":1}\n\ndata: x\n\n");
	EQ(read_all(w.buf, 3, &s), 0);
	STR_EQ(s.text, "7|turn|{\"a\":1};7|message|x;");
	jw_done(&w);
}

TEST(any_split_gives_the_same_events)
{
	reads("\xef\xbb\xbfid: 1\r\ndata: a\r\ndata:b\r\n\r\n"
	      ":c\n\nevent: e\ndata\n\ndata: cut off",
	      "1|message|a\nb;1|e|;");
}

TEST(events_without_data_are_not_delivered)
{
	reads("event: lost\n\ndata: x\n\n", "-|message|x;");
}

TEST(an_empty_event_name_means_message)
{
	reads("event:\ndata: x\n\n", "-|message|x;");
}

TEST(only_one_space_is_dropped_and_unknown_fields_are_passed_over)
{
	reads("data:  two\nfoo: bar\nfoo\n\n", "-|message| two;");
}

TEST(an_empty_id_resets_it)
{
	reads("id: 9\ndata: a\n\nid\ndata: b\n\n", "9|message|a;|message|b;");
}

TEST(a_field_with_a_nul_in_its_name_is_passed_over)
{
	char stream[] = "data\0x: no\ndata\0\ndata: yes\n\n";
	struct sse_reader s;
	struct seen seen = {0};

	sse_reader_init(&s, on_event, &seen);
	EQ(sse_reader_feed(&s, stream, sizeof(stream) - 1), 0);
	sse_reader_done(&s);
	STR_EQ(seen.text, "-|message|yes;");
}

TEST(the_pause_asked_for_is_known)
{
	char stream[] = "retry: 1500\n\nretry: 2x\nretry:\nretry: -1\n\n";
	struct sse_reader s;
	struct seen seen = {0};

	sse_reader_init(&s, on_event, &seen);
	EQ(s.retry_ms, -1);
	EQ(sse_reader_feed(&s, stream, strlen(stream)), 0);
	EQ(s.retry_ms, 1500);
	sse_reader_done(&s);
}

TEST(an_endless_event_is_refused)
{
	enum { PIECE = 1 << 20 };
	struct sse_reader s;
	struct seen seen = {0};
	char *piece = malloc(PIECE);
	int r = 0, n = 0;

	sse_reader_init(&s, on_event, &seen);
	while (r == 0 && n++ < 64) {
		memset(piece, 'x', PIECE);
		memcpy(piece, "data: ", 6);
		piece[PIECE - 1] = '\n';
		r = sse_reader_feed(&s, piece, PIECE);
	}
	EQ(r, -EMSGSIZE);
	sse_reader_done(&s);
	free(piece);
}

TESTS(CASE(what_is_written_is_read), CASE(any_split_gives_the_same_events),
      CASE(events_without_data_are_not_delivered),
      CASE(an_empty_event_name_means_message),
      CASE(only_one_space_is_dropped_and_unknown_fields_are_passed_over),
      CASE(an_empty_id_resets_it),
      CASE(a_field_with_a_nul_in_its_name_is_passed_over),
      CASE(the_pause_asked_for_is_known), CASE(an_endless_event_is_refused))
