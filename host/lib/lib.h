/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib.h - Private to libhib: the handle, and one request
 */
#ifndef HOST_LIB_LIB_H
#define HOST_LIB_LIB_H

#include <stdatomic.h>
#include <sys/queue.h>
#include <uv.h>

#include "core/event_line.h"
#include "core/http_client.h"
#include "core/id.h"
#include "core/json.h"
#include "host/hib.h"
#include "host/home.h"

#define LIB_ATTEMPTS	 8  /* To connect, in one call. */
#define LIB_PAUSE_MS	 20 /* Before the second attempt; doubles. */
#define LIB_PAUSE_MAX_MS 1000
#define LIB_BODY_MAX	 (64u << 20) /* An answer that is not a stream. */

enum start_state { START_IDLE, START_WAITING, START_CLOSING };

struct hib {
	uv_loop_t loop;
	struct http_client *http;
	struct home home;
	bool autostart;
	unsigned attempts;
	bool running; /* In uv_run(): calls would be nested. */
	atomic_bool interrupted;
	uv_async_t interrupt;
	uv_timer_t timer; /* Pauses and time limits of the running call. */
	bool timer_fired;
	enum start_state start; /* Of the daemon, by us. */
	bool stopping;		/* It ends: nothing of ours starts another. */
	uv_poll_t ready;
	int ready_fd;
	TAILQ_HEAD(sub_list, hib_subscription) subs;
	TAILQ_HEAD(watch_list, hib_watch) watches;
	TAILQ_HEAD(tool_list, tool) tools;
	TAILQ_HEAD(tool_watch_list, tool_watch) tool_watches;
	TAILQ_HEAD(tool_call_list, tool_call) tool_calls;
};

/* --- hib.c -------------------------------------------------------------- */

/* Turn the end of a call into what the user gets: @e to @out, @r to 0 or
 * -code. */
int lib_result(int r, const struct err *e, struct hib_error *out);

/* Options of any earlier version: what the caller's struct does not have is
 * zero.  @size_of: of ours.  -FAULT_INVALID_ARGUMENT when size is not set. */
int lib_options(void *ours, size_t size_of, const void *theirs, struct err *e);

/* A member of JSON that the caller wrote, checked before it goes into ours; NULL
 * adds none.  -FAULT_INVALID_ARGUMENT. */
int lib_put_json(struct jw *w, const char *key, const char *text,
		 struct err *e);

/* The member "env" of "NAME=value" strings, and of secrets, "NAME=SECRET" or
 * "NAME"; two times NULL adds none.  -FAULT_INVALID_ARGUMENT, -ENOMEM. */
int lib_put_env(struct jw *w, const char *const *env,
		const char *const *secrets, struct err *e);

/* May a call run now?  -FAULT_INVALID_ARGUMENT from within a callback. */
int lib_may_run(const struct hib *h, struct err *e);
void lib_run(struct hib *h, uv_run_mode mode);
/* Was hib_interrupt() called?  Asking takes it away. */
bool lib_interrupted(struct hib *h);
/* Run the loop for a time.  -ECANCELED when interrupted. */
int lib_pause(struct hib *h, uint64_t ms);
/* Length of the pause after @failures attempts. */
uint64_t lib_pause_ms(unsigned failures);

/* --- start.c ------------------------------------------------------------ */

/* Start the daemon unless that is under way, or one ends.  Does not wait. */
int start_daemon(struct hib *h, struct err *e);
/* Wait until it serves, or has given up, or too long. */
int start_wait(struct hib *h);
void start_close(struct hib *h);

/* --- request.c ---------------------------------------------------------- */

struct request {
	const char *method, *path;
	const char *body; /* NULL: none. */
	size_t body_len;
	const char *headers, *content_type;
	bool once; /* Repeat only what cannot have arrived. */
	/* The head of a good answer is there; or NULL. */
	void (*on_head)(struct request *q);
	/* Bytes of a good answer; NULL: they are gathered in @out.  A non-zero
	 * result ends the request and is its result. */
	int (*on_data)(struct request *q, char *data, size_t n);
	void *arg;
	/* Body from a callback instead: see hib_read_cb. */
	hib_read_cb read;
	/* Result; jw_done() by the caller. */
	struct jw out;
	/* Private. */
	struct http_call *call;
	int stopped, r, status;
	bool done;
};

/* Send it and wait for the answer, connecting again and again as the handle
 * says.  Return: 0; the error that the server answered; -FAULT_VM_UNAVAILABLE
 * or -FAULT_GUEST_UNREACHABLE. */
int request_run(struct hib *h, struct request *q, struct err *e);

/* The whole of a call whose answer is JSON for the user. */
int request_json(struct hib *h, struct request *q, char **json,
		 struct hib_error *e);
/* Its short forms.  @path is jw_done() by them.  @body may be NULL; it is
 * jw_done(), too. */
int request_get(struct hib *h, struct jw *path, char **json,
		struct hib_error *e);
int request_post(struct hib *h, struct jw *path, struct jw *body, bool once,
		 char **json, struct hib_error *e);
int request_delete(struct hib *h, struct jw *path, struct hib_error *e);

/* Paths.  "/v1/sessions/ID" and what follows; marks the path as failed when the
 * id is not one, which request_run() then says. */
struct jw path_session(const char *session, const char *rest);
struct jw path_vm(const char *vm, const char *rest);
/* Append a word, encoded. */
void path_encoded(struct jw *path, const char *word);
/* Append "?name=value" or "&name=value", encoded; NULL appends nothing. */
void path_query(struct jw *path, const char *name, const char *value);
void path_query_int(struct jw *path, const char *name, int64_t value);

/* --- subscribe.c -------------------------------------------------------- */

/* Decode what a callback gets from an envelope; the strings stand in @text.
 * False when it is none. */
bool event_decode(struct hib_event *ev, struct event_line *text,
		  const char *line, size_t len);
/* Close all of a handle's subscriptions. */
void subs_close(struct hib *h);

/* --- tools.c ------------------------------------------------------------ */

/* The member "tools" of a session that is to be made, if there are any; and then
 * listen to it. */
void tools_put(struct hib *h, struct jw *w);
int tools_attach(struct hib *h, const char *session, struct hib_error *e);
/* Forget all of a handle's tools and calls. */
void tools_close(struct hib *h);

/* --- toolcall.c --------------------------------------------------------- */

struct tool_call; /* Opaque. */
struct tool_call_spec {
	const char *session, *id, *name, *arguments;
	size_t arguments_len;
	int64_t deadline_ms;
	void (*cancelled)(struct hib_tool_call *call, void *arg);
	void *arg;
};
/* It frees itself once it is answered.  NULL: out of memory. */
struct tool_call *tool_call_new(struct hib *h, const struct tool_call_spec *s);
struct hib_tool_call *tool_call_public(struct tool_call *c);
struct tool_call *tool_call_find(struct hib *h, const char *id);
/* Somebody else has ended it. */
void tool_call_ended(struct tool_call *c);
/* Those whose answer is on its way end with the connection. */
void tool_calls_close(struct hib *h);

/* --- watch.c ------------------------------------------------------------ */

/* Close all of a handle's watches. */
void watches_close(struct hib *h);

#endif
