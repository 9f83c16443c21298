// SPDX-License-Identifier: Apache-2.0
/*
 * tools.c - An agent that calls functions of this program
 *
 *	tools AGENT TEXT
 *
 * The agent has two tools more: `clock` is answered in its callback, `dice` when
 * the program comes to it.  They run here, outside the sandbox.
 *
 * Build:  cc tools.c $(pkg-config --cflags --libs hib)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HIB_VERSION
#include "host/hib.h" /* In the source tree. */
#else
#include <hib.h>
#endif

#define WAITING_MAX 16

static struct {
	struct hib_tool_call *waiting[WAITING_MAX];
	unsigned n_waiting;
	bool over;
} program;

static void on_clock(struct hib_tool_call *call, void *arg)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64];

	(void)arg;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S",
		 localtime_r(&now, &tm));
	hib_tool_result(call, text);
}

/* Later, so that many may wait at a time. */
static void on_dice(struct hib_tool_call *call, void *arg)
{
	(void)arg;
	if (program.n_waiting == WAITING_MAX)
		hib_tool_error(call, "too many dice");
	else
		program.waiting[program.n_waiting++] = call;
}

static void throw_dice(void)
{
	char json[64];

	while (program.n_waiting > 0) {
		snprintf(json, sizeof(json), "{\"points\":%d}", 1 + rand() % 6);
		hib_tool_result_json(program.waiting[--program.n_waiting],
				     json);
	}
}

static int register_tools(struct hib *h, struct hib_error *e)
{
	const struct hib_tool clock = {
		.size = sizeof(clock),
		.name = "clock",
		.description = "The time where the user is",
		.call = on_clock,
	};
	const struct hib_tool dice = {
		.size = sizeof(dice),
		.name = "dice",
		.description = "Throw a die",
		.timeout_ms = 10000,
		.call = on_dice,
	};

	/* NULL: of every session that is made from now on. */
	if (hib_register_tool(h, NULL, &clock, e) < 0)
		return -1;
	return hib_register_tool(h, NULL, &dice, e);
}

static void on_event(const struct hib_event *ev, void *arg)
{
	(void)arg;
	if (strncmp(ev->type, "tool.", 5) == 0)
		printf("%s\n", ev->json);
	if (strcmp(ev->type, "turn.completed") == 0 ||
	    strcmp(ev->type, "turn.failed") == 0)
		program.over = true;
}

static int ask(struct hib *h, const char *session, const char *text,
	       struct hib_error *e)
{
	struct hib_prompt p = {
		.size = sizeof(p), .text = text, .no_wait = true};
	struct hib_subscribe s = {
		.size = sizeof(s), .since = -1, .on_event = on_event};
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_subscription *sub;
	char *messages = NULL;

	if (hib_on_event(h, session, &s, &sub, e) < 0 ||
	    hib_send_prompt(h, session, &p, &reply, e) < 0)
		return -1;
	/* A call may have come while the prompt was sent. */
	throw_dice();
	while (!program.over && hib_wait(h, -1) >= 0)
		throw_dice();
	if (hib_get_messages(h, session, reply.turn, &messages, e) == 0)
		puts(messages);
	hib_free(messages);
	hib_reply_done(&reply);
	return 0;
}

int main(int argc, char **argv)
{
	struct hib_session_options o = {.size = sizeof(o)};
	char session[HIB_ID_MAX];
	struct hib_error e;
	struct hib *h;
	int r;

	if (argc != 3) {
		fputs("usage: tools AGENT TEXT\n", stderr);
		return 5;
	}
	o.agent = argv[1];
	if (hib_open(NULL, &h, &e) < 0) {
		fprintf(stderr, "tools: %s: %s\n", e.name, e.message);
		return hib_exit_code(&e);
	}
	r = register_tools(h, &e);
	if (r == 0)
		r = hib_create_session(h, &o, session, NULL, &e);
	if (r == 0)
		r = ask(h, session, argv[2], &e);
	if (r == 0)
		r = hib_close_session(h, session, false, NULL, &e);
	if (r < 0)
		fprintf(stderr, "tools: %s: %s\n", e.name, e.message);
	hib_close(h);
	return r < 0 ? hib_exit_code(&e) : 0;
}
