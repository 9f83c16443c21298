/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_host.h - The host's side of the guest channel, for unit tests
 *
 * Starts a real hib-guest in a folder of its own and plays its host; agents are
 * echo-agent, scripted by their prompts.  What the daemon sends by /sync is kept
 * in the order of its arrival, and confirmed.  One host in a process; whatever
 * fails ends the case.
 */
#ifndef TESTS_GUEST_HOST_H
#define TESTS_GUEST_HOST_H

#include "core/event.h"
#include "core/h2.h"
#include "core/lines.h"

#define VM     "vm_00000000000000000000000000000001"
#define SES    "ses_00000000000000000000000000000001"
#define SES2   "ses_00000000000000000000000000000002"
#define EVENTS 120000

struct host {
	uv_loop_t *loop;
	struct h2 *h2;
	struct h2_stream *sync;
	struct lines lines;
	pid_t pid;
	char dir[64];
	char bin[2048], agent[2048], mcp[2048];
	struct event *events[EVENTS];
	size_t n;     /* Events that came. */
	size_t seen;  /* Before which await() does not look. */
	size_t bytes; /* Of all events. */
	bool silent;  /* Acknowledge nothing. */
	bool isolate; /* The guest is process 1 of namespaces of its own. */
};
extern struct host host;

struct reply {
	struct host *h;
	bool done;
	int status;
	struct jw text;
	struct json json;
	struct jv v;
};

/*
 * Requests.
 */

/* Begin one; "begin" takes the method of a call. */
struct reply *begin_text(struct host *h, const char *path, const char *body);
struct reply *begin(struct host *h, const char *method, const char *fmt, ...)
	printf_like(3, 4);
/* Wait for its answer.  Return: @r. */
struct reply *finish(struct reply *r);
void drop(struct reply *r);
/* h2_stream_events.end, of a stream whose arg is a reply. */
void reply_on_end(struct h2_stream *s, int rc, void *arg);
/* It must succeed. */
void expect_ok(struct reply *r);
/* The same, and forget it. */
void done(struct reply *r);
/* Finish it; it must fail by that name. */
void refused(struct reply *r, const char *name);
bool str_is(struct jv v, const char *s);

/*
 * The guest.
 */

/* Its folders are made, it does not run. */
struct host *host_new(void);
void host_spawn(struct host *h);
void host_connect(struct host *h);
struct reply *hello(struct host *h);
/* Say hello, and start. */
void host_serve(struct host *h);
void sync_begin(struct host *h, const char *have);
/* Spawn, serve and sync from the beginning. */
void host_start(struct host *h);
/* All of that; isolated: see struct host. */
struct host *up(void);
struct host *up_isolated(void);
/* Before it runs: give its log a disk of 6 MiB.  Return: false with an errno. */
bool small_disk(struct host *h);
/* Context switches of all its threads until now. */
long switches(const struct host *h);
void disconnect(struct host *h);
/* One turn of our loop. */
void tick(struct host *h);
/* The daemon must end by itself, cleanly (also for the leak checker). */
void down(struct host *h);
/* As a VM that is lost: nothing of it goes on. */
void power_cut(struct host *h);

/*
 * Events.
 */

void drop_events(struct host *h);
/* Wait for the next event of that type, from where the last wait ended. */
const struct event *await(struct host *h, const char *type);
/* @type: NULL for any. */
size_t count(const struct host *h, const char *session, const char *type);
/* Is the text in the event's data? */
bool has(const struct event *ev, const char *text);
void expect(const struct event *ev, const char *text);
/* The agent's text of everything that came since event @from. */
char *said(const struct host *h, size_t from);
/* Every session's events are 1, 2, 3... and turns are properly nested. */
void check_log(const struct host *h, const char *session);
const char *ctx_of(const struct event *ev, const char *key, char out[ID_MAX]);

/*
 * Calls, of session SES but for the first.
 */

struct reply *create_as(struct host *h, const char *session, const char *args,
			const char *more);
void create(struct host *h);
/* For create_as() and resume(): the local MCP server "a"; @more: of its members.
 * Return: good until the next call. */
const char *mcp_local(const struct host *h, const char *more);
struct reply *prompt_more(struct host *h, const char *text, const char *more);
struct reply *prompt(struct host *h, const char *text);
/* A whole turn; what the agent said. */
char *turn(struct host *h, const char *text);
void says(struct host *h, const char *text, const char *want);
struct reply *simple(struct host *h, const char *method, const char *more);
void state_is(struct host *h, const char *state);
int64_t pid_of(struct host *h);
struct reply *resume(struct host *h, const char *args, const char *more);
struct reply *answer(struct host *h, const char *request, const char *option);

#endif
