// SPDX-License-Identifier: Apache-2.0
/*
 * log.c - hib log, messages
 *
 * A log is read from the store page by page.  Following it takes hibd, which
 * sends what is stored and then what comes; the same filters are then applied
 * here.
 */
#include <signal.h>
#include <string.h>

#include "core/messages_filter.h"
#include "core/unixsock.h"
#include "host/cli/commands.h"
#include "host/views.h"

struct log_options {
	const char *types, *exclude, *turn, *view, *cursor;
	int64_t since, limit;
	bool follow, json, raw;
	struct messages_filter filter; /* Of messages. */
};

struct log_out {
	struct log_options o;
	unsigned width;
	int64_t left; /* Events yet to print; < 0: no limit. */
	int64_t last; /* The last one printed; 0: none. */
};

/* --- one event ---------------------------------------------------------- */

/* Only what the agent and we said to each other. */
static void print_raw(const struct event *ev)
{
	autojson struct json j = {0};
	const char *raw;
	size_t len;

	if (strncmp(ev->type, "acp.", 4) != 0 ||
	    json_parse(&j, ev->data, ev->data_len, NULL) < 0)
		return;
	raw = jv_raw(jv_get(json_root(&j), "msg"), &len);
	if (raw == NULL)
		return;
	fwrite(raw, 1, len, stdout);
	putchar('\n');
}

static int print_event(const struct event *ev, void *arg)
{
	struct log_out *out = arg;

	if (out->left == 0)
		return 1;
	if (out->o.json)
		fwrite(ev->line, 1, ev->len, stdout);
	else if (out->o.raw)
		print_raw(ev);
	else
		render_event(ev, out->width);
	out->last = ev->seq;
	if (out->left > 0)
		out->left--;
	return ferror(stdout) ? -EPIPE : out->left == 0;
}

/* --- stored ------------------------------------------------------------- */

/* People are told when the log may go on in a guest that nobody listens to. */
static void say_tail(struct cli *c, const char *session)
{
	autoclose int hibd = unixsock_connect(c->home.sock);
	struct session_brief b;

	if (hibd >= 0 || views_tail_complete(c->reader, session) ||
	    reader_session(c->reader, session, &b, NULL) < 0)
		return;
	fflush(stdout);
	fprintf(stderr,
		"hib: known to event %lld; the tail may be incomplete until "
		"the VM wakes\n",
		(long long)b.last_seq);
}

static int print_stored(struct cli *c, const char *session, struct log_out *out)
{
	struct event_query q = {
		.session = session,
		.since = out->o.since,
		.types = out->o.types,
		.exclude = out->o.exclude,
		.turn = out->o.turn,
	};
	struct err e = {0};

	int r = reader_each_event(c->reader, &q, print_event, out, &e);

	if (r == -EPIPE)
		return EXIT_NEGATIVE; /* Nobody reads it. */
	return r < 0 ? cli_fail(&e) : 0;
}

/* --- followed ----------------------------------------------------------- */

struct follow {
	struct log_out *out;
	bool done;
	int status;
};

/* "turn.*,input.message" */
static bool matches(const char *patterns, const char *type)
{
	while (*patterns != '\0') {
		size_t n = strcspn(patterns, ",");

		if (n > 0 && patterns[n - 1] == '*'
			    ? strncmp(type, patterns, n - 1) == 0
			    : strlen(type) == n &&
				      strncmp(type, patterns, n) == 0)
			return true;
		patterns += n + (patterns[n] == ',');
	}
	return false;
}

static bool wanted(const struct log_options *o, const struct hib_event *ev)
{
	return (o->types == NULL || matches(o->types, ev->type)) &&
	       (o->exclude == NULL || !matches(o->exclude, ev->type)) &&
	       (o->turn == NULL || strcmp(o->turn, ev->turn) == 0);
}

static void follow_on_event(const struct hib_event *ev, void *arg)
{
	struct follow *f = arg;
	autofree struct event *parsed = NULL;

	if (f->done || !wanted(&f->out->o, ev) ||
	    event_parse(ev->json, ev->len, &parsed, NULL) < 0)
		return;
	if (print_event(parsed, f->out) != 0)
		f->done = true;
}

static void follow_on_end(const struct hib_error *e, void *arg)
{
	struct follow *f = arg;

	fflush(stdout);
	f->status = cli_fail_hib(e);
	f->done = true;
}

static int follow(struct cli *c, const char *session, struct log_out *out)
{
	struct follow f = {.out = out};
	struct hib_subscribe s = {
		.size = sizeof(s),
		.since = out->o.since,
		.on_event = follow_on_event,
		.on_end = follow_on_end,
		.arg = &f,
	};
	struct hib_subscription *sub;
	struct hib_error e;
	int r = cli_hib(c);

	if (r >= 0)
		return r;
	if (hib_on_event(c->hib, session, &s, &sub, &e) < 0)
		return cli_fail_hib(&e);
	while (!f.done) {
		(void)hib_wait(c->hib, -1);
		if (fflush(stdout) != 0)
			f.done = true; /* Nobody reads it. */
	}
	return f.status;
}

/* --- views -------------------------------------------------------------- */

static int messages_view(struct cli *c, const char *session,
			 const struct log_options *o)
{
	struct messages_query q = {.session = session, .turn = o->turn};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct err e = {0};

	jw_arr(&w);
	if (messages_write_filtered(c->reader, &q, &o->filter, &w, &e) < 0)
		return cli_fail(&e);
	jw_arr_end(&w);
	if (o->json)
		return cli_print_json(&w);
	if (json_parse(&j, w.buf, w.len, &e) < 0)
		return cli_fail(&e);
	render_messages(json_root(&j));
	say_tail(c, session);
	return 0;
}

static int tools_view(struct cli *c, const char *session,
		      const struct log_options *o)
{
	static const struct column columns[] = {
		{"first_ms", "BEGAN", 19}, {"last_ms", "LAST", 19},
		{"status", "STATUS", 11},  {"kind", "KIND", 7},
		{"title", "TITLE", 0},	   {NULL, NULL, 0},
	};
	autojw struct jw w = {0};
	struct err e = {0};

	if (views_rows(c->reader, "tools", session, &w, &e) < 0)
		return cli_fail(&e);
	return cli_print_rows(&w, o->json, columns);
}

/* --- commands ----------------------------------------------------------- */

/* What was printed has been read, once it has left us. */
static int move_cursor(struct cli *c, const char *session,
		       const struct log_out *out)
{
	struct hib_error e;
	int r;

	if (out->o.cursor == NULL || out->last == 0)
		return 0;
	if (fflush(stdout) != 0)
		return EXIT_NEGATIVE;
	r = cli_hib(c);
	if (r >= 0)
		return r;
	if (hib_set_cursor(c->hib, session, out->o.cursor, out->last, &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}

static int events_view(struct cli *c, const char *session,
		       const struct log_options *o)
{
	struct log_out out = {
		.o = *o,
		.width = cli_width(),
		.left = o->limit,
	};
	int r;

	if (o->follow)
		return follow(c, session, &out);
	if (o->cursor != NULL) {
		r = cli_cursor(c, session, o->cursor, &out.o.since);
		if (r > 1)
			return r;
	}
	r = print_stored(c, session, &out);
	if (r == 0)
		r = move_cursor(c, session, &out);
	if (r == 0 && !o->json && !o->raw && o->limit < 0)
		say_tail(c, session);
	return r;
}

int log_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_NUMBER, log_options, since, "since"),
		OPT(OPT_TEXT, log_options, cursor, "cursor"),
		OPT(OPT_FLAG, log_options, follow, "follow"),
		OPT(OPT_FLAG, log_options, json, "json"),
		OPT(OPT_FLAG, log_options, raw, "raw"),
		OPT(OPT_TEXT, log_options, types, "types"),
		OPT(OPT_TEXT, log_options, exclude, "exclude"),
		OPT(OPT_TEXT, log_options, turn, "turn"),
		OPT(OPT_NUMBER, log_options, limit, "limit"),
		OPT(OPT_TEXT, log_options, view, "view"),
		OPT_END,
	};
	struct log_options o = {.view = "events", .limit = -1};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0 && o.cursor != NULL &&
	    (o.follow || o.since > 0 || strcmp(o.view, "events") != 0))
		r = cli_usage(c, "--cursor goes without --since, --follow and "
				 "--view");
	if (r < 0)
		r = o.follow ? cli_session_id(c->argv[0])
			     : cli_session_reader(c, c->argv[0]);
	if (r >= 0)
		return r;
	if (strcmp(o.view, "events") == 0)
		return events_view(c, c->argv[0], &o);
	if (o.follow)
		return cli_usage(c, "--follow is for events");
	if (strcmp(o.view, "messages") == 0)
		return messages_view(c, c->argv[0], &o);
	if (strcmp(o.view, "tools") == 0)
		return tools_view(c, c->argv[0], &o);
	return cli_usage(c, "--view '%s': events, messages or tools", o.view);
}

int messages_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, log_options, turn, "turn"),
		OPT(OPT_TEXT, log_options, filter.parts, "parts"),
		OPT(OPT_TEXT, log_options, filter.tool, "tool"),
		OPT(OPT_NUMBER, log_options, filter.from_ms, "from"),
		OPT(OPT_NUMBER, log_options, filter.to_ms, "to"),
		OPT(OPT_FLAG, log_options, filter.notice, "notice"),
		OPT(OPT_FLAG, log_options, json, "json"),
		OPT_END,
	};
	struct log_options o = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0)
		r = cli_session_reader(c, c->argv[0]);
	return r >= 0 ? r : messages_view(c, c->argv[0], &o);
}
