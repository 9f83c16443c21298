// SPDX-License-Identifier: Apache-2.0
/*
 * attach.c - hib attach: join a session that lives
 *
 * Two handles: one asks to attach, with the rights of whoever runs us; the other
 * has the token that it got and does the rest, so that what a reader may not do
 * is refused by hibd and not by us.  Neither starts hibd, a VM or an agent.
 *
 * Lines that are typed are prompts.  A session that is busy refuses one, as
 * everywhere; the line is not kept.
 */
#include <poll.h>
#include <string.h>

#include "host/cli/commands.h"

#define LINE_BYTES_MAX (1u << 20) /* Of a prompt. */

struct attach_options {
	bool read_only;
	int64_t since;
};

struct attached {
	struct cli *c;
	struct hib *hib; /* With the token. */
	const char *session;
	struct talk talk;
	struct jw line; /* What was typed of the next one. */
	bool over;
	int status;
};

/* --- what fits instead --------------------------------------------------- */

const char *attach_advice(const char *state)
{
	if (strcmp(state, "expired") == 0)
		return "its time is over; 'hib fork' copies it";
	if (strcmp(state, "suspended") == 0 || strcmp(state, "closed") == 0 ||
	    strcmp(state, "failed") == 0)
		return "'hib session resume' starts its agent again";
	return "'hib attach' joins it";
}

static int not_live(const struct hib_error *e)
{
	autojson struct json j = {0};
	char state[16] = "suspended";
	int status = cli_fail_hib(e);

	if (json_parse(&j, e->data, strlen(e->data), NULL) == 0)
		(void)jv_strcpy(jv_get(json_root(&j), "state"), state,
				sizeof(state));
	fprintf(stderr, "hib: %s\n", attach_advice(state));
	return status;
}

/* Without hibd no client can reach an agent, if one runs at all. */
static int no_daemon(const char *session)
{
	struct err e = {0};
	int status;

	err_set(&e, -FAULT_SESSION_NOT_LIVE,
		"hibd does not run, so nobody can join %s", session);
	status = cli_fail(&e);
	fprintf(stderr, "hib: %s\n", attach_advice("suspended"));
	return status;
}

/* --- what is typed ------------------------------------------------------- */

static void send_prompt(struct attached *a, const char *text)
{
	struct hib_prompt p = {
		.size = sizeof(p),
		.text = text,
		.actor = cli_actor(NULL),
		.no_wait = true,
		.no_wake = true,
	};
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;

	if (hib_send_prompt(a->hib, a->session, &p, &reply, &e) < 0)
		a->status = cli_fail_hib(&e);
	else
		a->status = 0;
	hib_reply_done(&reply);
}

static void decide(struct attached *a, char *request, bool approve)
{
	char *argv[] = {(char *)(uintptr_t)a->session, request, NULL};
	struct cli c = *a->c;

	c.hib = a->hib;
	c.argv = argv;
	c.argc = request != NULL ? 2 : 1;
	a->status = cli_decide(&c, approve);
}

static void cancel(struct attached *a)
{
	struct hib_error e;

	a->status = hib_cancel_prompt(a->hib, a->session, NULL, &e) < 0
			    ? cli_fail_hib(&e)
			    : 0;
}

/* A command of ours, alone or with one word.  NULL: it is none. */
static char *command_rest(char *line, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(line, word, n) != 0 || (line[n] != '\0' && line[n] != ' '))
		return NULL;
	line += n;
	return line + strspn(line, " ");
}

/* Other lines with a slash are the agent's own commands. */
static void take_line(struct attached *a, char *line)
{
	char *rest;

	if (line[strspn(line, " \t")] == '\0')
		return;
	if ((rest = command_rest(line, "/approve")) != NULL)
		decide(a, *rest ? rest : NULL, true);
	else if ((rest = command_rest(line, "/deny")) != NULL)
		decide(a, *rest ? rest : NULL, false);
	else if (command_rest(line, "/cancel") != NULL)
		cancel(a);
	else if (command_rest(line, "/quit") != NULL)
		a->over = true;
	else
		send_prompt(a, line);
}

static void take_typed(struct attached *a, const char *data, size_t n)
{
	while (n > 0 && !a->over) {
		const char *end = memchr(data, '\n', n);
		size_t len = end != NULL ? (size_t)(end - data) : n;

		if (a->line.len + len > LINE_BYTES_MAX) {
			a->status = cli_usage(a->c, "a line is too long");
			a->over = true;
			return;
		}
		jw_lit(&a->line, data, len);
		if (end == NULL)
			return;
		if (a->line.buf != NULL)
			take_line(a, a->line.buf);
		jw_reset(&a->line);
		data += len + 1;
		n -= len + 1;
	}
}

/* --- what comes ---------------------------------------------------------- */

static void attach_on_event(const struct hib_event *ev, void *arg)
{
	struct attached *a = arg;
	autofree struct event *parsed = NULL;

	if (event_parse(ev->json, ev->len, &parsed, NULL) == 0)
		render_talk(&a->talk, parsed);
	a->over |= a->talk.over;
}

static void attach_on_end(const struct hib_error *e, void *arg)
{
	struct attached *a = arg;

	fflush(stdout);
	a->status = cli_fail_hib(e);
	a->over = true;
}

static void wait_for_more(struct attached *a)
{
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = hib_fd(a->hib), .events = POLLIN},
	};
	char buf[4096];
	ssize_t n;

	if (poll(fds, ARRAY_LEN(fds), hib_timeout(a->hib)) < 0)
		return;
	(void)hib_dispatch(a->hib);
	if (fds[0].revents == 0 || a->over)
		return;
	n = read(STDIN_FILENO, buf, sizeof(buf));
	if (n > 0)
		take_typed(a, buf, (size_t)n);
	else if (n == 0 || errno != EINTR)
		a->over = true; /* The turn goes on. */
}

static int follow(struct attached *a, int64_t since)
{
	struct hib_subscribe s = {
		.size = sizeof(s),
		.since = since,
		.on_event = attach_on_event,
		.on_end = attach_on_end,
		.arg = a,
	};
	struct hib_subscription *sub;
	struct hib_error e;

	if (hib_on_event(a->hib, a->session, &s, &sub, &e) < 0)
		return cli_fail_hib(&e);
	while (!a->over) {
		wait_for_more(a);
		if (fflush(stdout) != 0)
			break; /* Nobody reads it. */
	}
	return a->status;
}

/* --- attach --------------------------------------------------------------- */

/* A handle that starts nothing. */
static int open_handle(struct cli *c, const char *token, struct hib **out)
{
	struct hib_options o = {
		.size = sizeof(o),
		.home = c->home.root,
		.token = token,
		.no_autostart = true,
	};
	struct hib_error e;

	return hib_open(&o, out, &e) < 0 ? cli_fail_hib(&e) : -1;
}

static int run_attached(struct cli *c, const struct attach_options *o,
			const char *answer)
{
	struct attached a = {.c = c, .session = c->argv[0]};
	autojson struct json j = {0};
	autofree char *token = NULL;
	int64_t since = o->since;
	int r;

	if (json_parse(&j, answer, strlen(answer), NULL) == 0)
		token = jv_strdup(jv_get(json_root(&j), "token"), NULL);
	if (since < 0)
		since = jv_int(jv_get(json_root(&j), "last_seq"), 0);
	r = open_handle(c, token ? token : "", &a.hib);
	if (r < 0)
		r = follow(&a, since);
	hib_close(a.hib);
	jw_done(&a.line);
	return r;
}

int attach_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, attach_options, read_only, "read-only"),
		OPT(OPT_NUMBER, attach_options, since, "since"),
		OPT_END,
	};
	struct attach_options o = {.since = -1};
	autofree char *answer = NULL;
	struct hib_error e;
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r < 0)
		r = open_handle(c, getenv("HIB_TOKEN"), &c->hib);
	if (r >= 0)
		return r;
	if (hib_attach_session(c->hib, c->argv[0], o.read_only, &answer, &e) ==
	    0)
		return run_attached(c, &o, answer);
	if (e.code == HIB_SESSION_NOT_LIVE)
		return not_live(&e);
	if (e.code == HIB_VM_UNAVAILABLE || e.code == HIB_GUEST_UNREACHABLE)
		return no_daemon(c->argv[0]);
	return cli_fail_hib(&e);
}
