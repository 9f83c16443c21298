/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_upstream.h - One MCP server of one session, wherever it runs
 *
 *	       want            handshake, tools
 *	  OFF ------> STARTING -----------------> READY
 *	   ^             | ^                        |
 *	   |         fails | want, or by itself     | ends by itself
 *	   |             v |                        v
 *	   |            DOWN <------------------ (again, up to a bound)
 *	   '------------- STOPPING <----------------- nobody uses it
 *
 * It is made and owned by the session's mcp_set, from a spec; a local process, a
 * shared one, a remote server and a builtin each implement upstream_ops.  Who
 * talks to it makes requests in any state: they wait until it is ready, start it
 * when it is off, and end with the reason when it cannot be had.
 *
 * Who uses it is told nothing from inside a call of its own but that it is
 * starting.  Each callback may use the upstream in any way, but for freeing it.
 */
#ifndef GUEST_MCP_UPSTREAM_H
#define GUEST_MCP_UPSTREAM_H

#include <sys/queue.h>

#include "core/rpc.h"
#include "guest/mcp_config.h"

#define UPSTREAM_HASH_MAX 65 /* Hexadecimal digits and a NUL. */

enum upstream_state {
	UPSTREAM_OFF,	   /* Not begun, or stopped while nobody used it. */
	UPSTREAM_STARTING, /* Also between one try and the next. */
	UPSTREAM_READY,
	UPSTREAM_STOPPING, /* It is being ended; requests wait for the next. */
	UPSTREAM_DOWN,	   /* It could not be had; tried again when wanted. */
};

/* What a server says of itself; JSON texts owned by the upstream, valid from its
 * first readiness on. */
struct upstream_info {
	bool modern;	    /* The era that it speaks. */
	char version[32];   /* Of the protocol. */
	char *server;	    /* {name,version,..}; {} if it has not said. */
	char *capabilities; /* An object. */
	char *instructions; /* In words, or NULL. */
};

/* How a process ended, or why there is none. */
struct upstream_end {
	struct err why;	  /* In words. */
	bool has_process; /* code and signal say something. */
	int code, signal;
	bool expected;	  /* We ended it. */
	const char *tail; /* Of its stderr, as a JSON string; or NULL. */
};

struct upstream;
struct upstream_call;

/* How a request ended. */
struct upstream_answer {
	int status; /* 0; -EREMOTEIO: it answered with an error; -ETIMEDOUT;
		     * -EPIPE: it ended or cannot be had; -EPROTO: what it said
		     * is no answer; -ELOOP: it asked back too often. */
	struct jv result; /* When status is 0. */
	struct jv error;  /* When status is -EREMOTEIO: {code,message,data?}. */
	const char *why;  /* In words, when status is any other. */
};

struct upstream_request {
	const char *method;
	const char *params; /* JSON object, or NULL. */
	/* Instead of a method: all pages of "prompts", "resources" or
	 * "resourceTemplates"; the result is one array.  (Tools are in
	 * upstream.tools.) */
	const char *list;
	int64_t timeout_ms, max_ms; /* 0: as the spec says. */
	/* A result of type input_required is an answer as any other. */
	bool pass_input_required;
	/* Params of a notifications/progress of it; may be NULL. */
	void (*progress)(struct jv params, void *arg);
	/* Once, after upstream_ask() has returned; all is valid in the call
	 * only. */
	void (*done)(const struct upstream_answer *a, void *arg);
	void *arg;
};

/* A request of the server: sampling/createMessage, elicitation/create,
 * roots/list. */
struct upstream_question {
	int64_t id;
	struct upstream_call *call; /* That it is about; NULL: not known. */
	struct jv method, params;   /* Valid in the call. */
};

/* Of the owner, the set, and of the one who uses it, the gateway.  Each may be
 * NULL. */
struct upstream_events {
	void (*starting)(struct upstream *u, void *arg);
	/* info, tools and their hash are there.  @fresh: the tools are others
	 * than when it was ready before. */
	void (*ready)(struct upstream *u, bool fresh, void *arg);
	/* It was ready, and is not any more; requests that were sent have ended.
	 * It comes back by itself (STARTING) or when it is wanted (OFF, DOWN). */
	void (*exited)(struct upstream *u, const struct upstream_end *end,
		       void *arg);
	/* It did not become ready. */
	void (*failed)(struct upstream *u, const struct upstream_end *end,
		       void *arg);
	/* Its list of @kind ("tools", "prompts", "resources") has changed.  Of
	 * tools: they have been read again, and differ. */
	void (*changed)(struct upstream *u, const char *kind, void *arg);
	/* Any other notification: message, resources/updated... */
	void (*notify)(struct upstream *u, const struct rpc_msg *m, void *arg);
	/* It asks something; to be answered, now or later, by
	 * upstream_reply() or upstream_reply_error().  NULL: method not found.
	 * Of the user alone. */
	void (*request)(struct upstream *u, const struct upstream_question *q,
			void *arg);
	/* Nobody waits for the answer any more.  The same. */
	void (*request_gone)(struct upstream *u, int64_t id, void *arg);
	/* A line of its stderr; @dropped: so many before it were too many. */
	void (*said)(struct upstream *u, const char *line, size_t len,
		     unsigned dropped, void *arg);
};

/* A request on its way.  Made by upstream_ask(), ended by upstream_end_call(). */
struct upstream_call {
	TAILQ_ENTRY(upstream_call) link;
	struct upstream *upstream;
	struct upstream_request q;
	char *method, *params, *list; /* What q points at. */
	uint64_t n;		      /* They are counted. */
	bool sent;		      /* Else it waits for the server. */
	bool forgotten;		      /* Nobody wants the answer. */
	int64_t id;		      /* These two: of the implementation. */
	void *data;
};
TAILQ_HEAD(upstream_call_list, upstream_call);

/* What an implementation does. */
struct upstream_ops {
	/* OFF, DOWN: begin, by upstream_starting().  Return: 0; a refusal (tried
	 * too often). */
	int (*start)(struct upstream *u, struct err *e);
	/* Not OFF or DOWN: end it in peace.  upstream_stopping() and then
	 * upstream_exited(), or upstream_failed(), follow if it runs. */
	void (*stop)(struct upstream *u);
	/* READY.  upstream_end_call() follows. */
	int (*send)(struct upstream *u, struct upstream_call *c, struct err *e);
	/* A sent one: tell the server, and call upstream_end_call() in any
	 * case: now or later. */
	void (*cancel)(struct upstream *u, struct upstream_call *c,
		       const char *reason);
	/* NULL: it hears no notifications. */
	void (*notify)(struct upstream *u, const char *method,
		       const char *params);
	/* @result NULL: an error, with @data or NULL.  NULL: it asks nothing. */
	void (*reply)(struct upstream *u, int64_t id, const char *result,
		      int code, const char *message, const char *data);
	/* All pages of tools/list: upstream_tools() or the end follows. */
	void (*list_tools)(struct upstream *u);
	/* Whatever it does, at once and without a word; then free what embeds
	 * it, upstream_done() included. */
	void (*free)(struct upstream *u);
};

/* Embedded by an implementation. */
struct upstream {
	TAILQ_ENTRY(upstream) link; /* In the set. */
	const struct upstream_ops *ops;
	const struct mcp_spec *spec; /* Must outlive it. */
	enum upstream_state state;
	struct upstream_info info;
	char *tools; /* JSON array, all pages; NULL: not read yet. */
	size_t tools_len;
	char tools_hash[UPSTREAM_HASH_MAX]; /* "": not read yet. */
	pid_t pid;			    /* 0: none. */
	unsigned n_ready;		    /* Times that it has become so. */
	uint64_t ready_ms;		    /* That the last start took. */
	bool over; /* Its session's agent is ending: it is not begun again. */

	const struct upstream_events *owner, *user; /* user may be NULL. */
	void *owner_arg, *user_arg;

	/* Private. */
	struct upstream_call_list calls; /* Waiting and sent, oldest first. */
	unsigned n_calls;
	uint64_t last_call;
};

/*
 * For who uses it.
 */

/* Hear of it, instead of who did before; NULL: nobody. */
void upstream_listen(struct upstream *u, const struct upstream_events *ev,
		     void *arg);
/* Have it started, if it is not.  Return: 0; a refusal: it was tried too often. */
int upstream_start(struct upstream *u, struct err *e);
/* The same, for who hears of it anyway. */
void upstream_want(struct upstream *u);

/**
 * upstream_ask() - Make a request
 * @u:   The server
 * @q:   Copied
 * @out: Set on success; valid until done() runs or upstream_forget()
 * @e:   Set on failure
 *
 * Return: 0; -FAULT_OVERLOADED with UPSTREAM_CALLS_MAX open; -EPIPE when the
 * server cannot be had; -ENOMEM.
 */
int upstream_ask(struct upstream *u, const struct upstream_request *q,
		 struct upstream_call **out, struct err *e);
/* Tell the server that nobody wants the answer.  done() does not run. */
void upstream_forget(struct upstream_call *c, const char *reason);

void upstream_notify(struct upstream *u, const char *method,
		     const char *params);
/* Answer a question of it; JSON texts, @data may be NULL.  One that nobody waits
 * for any more is ignored. */
void upstream_reply(struct upstream *u, int64_t id, const char *result);
void upstream_reply_error(struct upstream *u, int64_t id, int code,
			  const char *message, const char *data);

const char *upstream_state_name(enum upstream_state state);

/*
 * For implementations.
 */

void upstream_init(struct upstream *u, const struct mcp_spec *spec,
		   const struct upstream_ops *ops);
/* Forget all requests without a word, free what it holds.  Nobody is told of it
 * any more. */
void upstream_done(struct upstream *u);

void upstream_info_done(struct upstream_info *info);

/* It has been begun. */
void upstream_starting(struct upstream *u);
/* The handshake is done: tools are read next.  @info is taken over. */
void upstream_shook_hands(struct upstream *u, struct upstream_info *info);
/* Here they are: after a handshake the server is READY; later, changed() runs
 * if they differ.  @json NULL, or more than UPSTREAM_TOOLS_MAX: there are none. */
void upstream_tools(struct upstream *u, const char *json, size_t len);
/* It says that a list has changed. */
void upstream_list_changed(struct upstream *u, const char *kind);
/* Its end has been begun, while READY. */
void upstream_stopping(struct upstream *u);
/* It ended while READY or STOPPING, and all requests that were sent have ended; @next is the
 * state now.  Ends those that wait for it, or begins it again for those that were
 * made while it was stopping. */
void upstream_exited(struct upstream *u, const struct upstream_end *end,
		     enum upstream_state next);
/* It did not become ready; @next as before. */
void upstream_failed(struct upstream *u, const struct upstream_end *end,
		     enum upstream_state next);
/* A sent request has ended; it is freed. */
void upstream_end_call(struct upstream_call *c,
		       const struct upstream_answer *a);

/* Pass on what it says and asks. */
void upstream_tell(struct upstream *u, const struct rpc_msg *m);
void upstream_question(struct upstream *u, const struct upstream_question *q);
void upstream_question_gone(struct upstream *u, int64_t id);
void upstream_said(struct upstream *u, const char *line, size_t len,
		   unsigned dropped);

#endif
