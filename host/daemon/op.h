/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op.h - One API request on its way through hibd
 *
 * An op is made for each request, passed from step to step (wake the VM, call
 * the guest, wait until the host has stored what came of it) and answered
 * exactly once, by op_reply...() or op_fail(), which frees it.  The client may
 * leave at any time: the work goes on, the answer goes nowhere.
 */
#ifndef HOST_DAEMON_OP_H
#define HOST_DAEMON_OP_H

#include "host/daemon/daemon.h"
#include "host/image.h"

#define SESSION_TTL_MAX_MS (30LL * 24 * 3600 * 1000)
#define OP_STORED_MS	   10000 /* Guest's answer until the host has stored it. */
#define OP_AGAIN_MAX	   2	 /* Calls of one op made again. */

enum scope {
	SCOPE_READ,
	SCOPE_PROMPT,
	SCOPE_ANSWER,
	SCOPE_ADMIN,
	SCOPES, /* Their number. */
};

struct op {
	struct hibd *d;
	struct http_req *r; /* NULL once the client is gone. */
	char *body;
	struct json json;
	struct jv in; /* The body, an object; {} when there was none. */

	enum scope scope;
	int64_t token_expires_ms; /* 0: it came without a token. */
	char only[ID_MAX]; /* The one session its token is for; "": all. */

	/* From the path or from earlier steps. */
	char session[ID_MAX], turn[ID_MAX], request[ID_MAX];
	char input[ID_MAX];	  /* Of a prompt. */
	char vm[VM_NAME_MAX + 1]; /* Id or, from the path, name. */
	char snapshot[ID_MAX];
	char image[IMAGE_NAME_MAX + 1];
	bool was_warm;		    /* op->vm was to go on from a template. */
	char server[65];	    /* An MCP server's name; "" for none. */
	char what[256];		    /* Last word of the path. */
	struct session_brief brief; /* As of the last op_load_session(). */
	struct jw params;	    /* For the guest. */
	struct jw out;		    /* What will be the answer. */
	char *agent;  /* How the agent is started, JSON; or NULL. */
	char *env;    /* Its environment, with references to secrets. */
	char *mcp;    /* Its MCP servers as they are sealed; or NULL. */
	bool resumed; /* The agent was started for this op. */
	bool wants_os_instructions; /* Says the agent's manifest. */
	char *policy;		    /* Its policy, JSON; or NULL. */
	bool made_snapshot;	    /* The same of op->snapshot. */
	bool made_vm;		    /* The VM was made for this op. */
	bool fed; /* The guest was given the session, or shall not be. */
	const char *method; /* Of the last op_call(), and who gets its end. */
	link_done_cb called;
	void (*again)(struct op *op); /* Makes it again; NULL: nothing does. */
	unsigned n_again;	      /* How often that was. */
	int64_t ttl_ms;		      /* Of an update; < 0: none is given. */
	const char *warning; /* For the answer; static text, or NULL. */
	bool streams;	     /* The answer is the last event of a stream. */
	void (*next)(struct op *op);
	void (*after)(struct op *op); /* Of op_resume(). */
	struct err err;
};

struct op *op_new(struct hibd *d, struct http_req *r);

/* For a client that accepts text/event-stream: answer with events of which the
 * last is "result", or "error" with the error object.  Else nothing. */
void op_stream_if_wanted(struct op *op);
/* One before that; left out while the client is slow. */
void op_event(struct op *op, const char *event, const struct jw *data);

/* Answers; @op is no more afterwards. */
void op_reply(struct op *op, const char *json, size_t len);
void op_reply_out(struct op *op);		   /* op->out. */
void op_reply_as(struct op *op, const char *type); /* That, which is no JSON. */
void op_reply_empty(struct op *op);
void op_fail(struct op *op, const struct err *e);
/* As err_set() and op_fail() in one. */
void op_refuse(struct op *op, int code, const char *fmt, ...) printf_like(3, 4);
/* The row of op->session, as it is now, with "warnings" if there are any. */
void op_reply_session(struct op *op);

/* Open an object again that was written to @w, for more members. */
void op_extend(struct jw *w);
/* The member "warnings", if there are any. */
void op_put_warnings(struct op *op, struct jw *w);
/* Is the time of the session over, whatever its log says yet? */
bool op_is_expired(const struct op *op);

/* Find op->session in the store and the VM it belongs to.  On failure the op
 * has been answered and false is returned. */
bool op_load_session(struct op *op);

/* Wake the VM op->vm, then op->next; failure answers the op. */
void op_wake(struct op *op, void (*next)(struct op *op));
/* Call the guest of op->vm with op->params; @done gets the result.  A guest that
 * does not know op->session yet, because it was forked here, is given it first,
 * unless op->fed is set.  @method: static text. */
void op_call(struct op *op, const char *method, link_done_cb done);
/* Ask the guest, if it is up, what it knows of op->session.  That a VM is looked at
 * changes nothing, and does not keep it awake. */
void op_look(struct op *op, link_done_cb done);
/* As op_call() for a call that does nothing the second time: when the channel is
 * lost while it is on its way, the VM is woken and then @again is run, which
 * makes it again; up to OP_AGAIN_MAX times.  @again NULL: op_call(). */
void op_call_again(struct op *op, const char *method, link_done_cb done,
		   void (*again)(struct op *op));
/* The usual end of a call: @done's arguments; waits until the host has stored
 * up to result.last_seq, then op->next.  Failure answers the op. */
void op_stored(struct op *op, const char *body, size_t len, const struct err *e,
	       void (*next)(struct op *op));

/* Up to which event a failed call has written, as the guest says; 0: nothing. */
int64_t op_failed_seq(const struct err *e);
/* op_fail() once the host has stored that much. */
void op_fail_stored(struct op *op, const struct err *e);

/* A boolean of the query string, if it is there: "0" and "false" say no; "1", "true"
 * and nothing at all say yes.  Else it answers the op and returns false. */
bool op_query_flag(struct op *op, const char *name, bool *out);

/* Members of the body.  Each answers the op and returns false when the member
 * has a wrong type or size. */
bool op_string(struct op *op, const char *key, size_t max, char **out);
bool op_tags(struct op *op); /* "tags": a list of short strings. */
/* "ttlMs", at least @min; more than SESSION_TTL_MAX_MS is cut to that, with a
 * warning. */
bool op_ttl(struct op *op, int64_t min, int64_t *out);
bool op_integer(struct op *op, const char *key, int64_t min, int64_t max,
		int64_t *out);

#endif
