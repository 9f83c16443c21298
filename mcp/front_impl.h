/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_impl.h - Private to mcp/front*.c
 */
#ifndef MCP_FRONT_IMPL_H
#define MCP_FRONT_IMPL_H

#include <sys/queue.h>

#include "core/rpc.h"
#include "mcp/front.h"
#include "mcp/meta.h"

#define SESSION_ID_LEN 32 /* Hexadecimal digits. */

/* An event that was sent, or waits for its outlet to be opened. */
struct mcp_event {
	STAILQ_ENTRY(mcp_event) link;
	uint32_t n; /* In its outlet, from 1. */
	size_t len;
	char data[];
};

/* The answer to one POST, or (number 0) what a GET hears. */
struct mcp_outlet {
	struct mcp_link *link;
	uint32_t n;	      /* In its link. */
	struct http_req *req; /* NULL: nobody is connected. */
	char *id;	      /* Token of the request; NULL for GET. */
	size_t id_len;
	char *token; /* Its progress token, or NULL. */
	bool begun;  /* As a stream of events; else it may be JSON yet. */
	bool primes; /* The client knows events without data. */
	bool done;   /* The answer was sent, or nobody waits for one. */
	bool old;    /* Was there at the last tick. */
	uint32_t last_event, last_written;
	STAILQ_HEAD(mcp_events, mcp_event) events;
	TAILQ_ENTRY(mcp_outlet) next;
};

struct mcp_link {
	struct mcp_front *front;
	char session[SESSION_ID_LEN + 1]; /* "" when stateless. */
	char *target;
	void *data;
	uint64_t used_ms; /* In loop_now() time. */
	bool far_open;
	TAILQ_HEAD(mcp_outlets, mcp_outlet) outlets;
	unsigned n_outlets;
	uint32_t next_outlet;
	size_t stored; /* Bytes of events. */
	TAILQ_ENTRY(mcp_link) next;
};

struct mcp_front {
	uv_loop_t *loop;
	const struct mcp_front_ops *ops;
	void *arg;
	uv_timer_t tick;
	TAILQ_HEAD(mcp_links, mcp_link) links;
	unsigned n_sessions;
};

/* front_link.c */
/* Open a far end, for a session or for one request. */
struct mcp_link *mcp_link_new(struct mcp_front *f, const char *target,
			      bool session, struct err *e);
void mcp_link_end(struct mcp_link *l); /* Close the far end, free. */
struct mcp_link *mcp_link_find(struct mcp_front *f, const char *session,
			       const char *target);
/* The outlet for GET.  NULL when memory is out. */
struct mcp_outlet *mcp_link_outlet(struct mcp_link *l);

/* front_check.c: what a POST brought. */
struct mcp_post {
	struct rpc_msg msg;
	struct mcp_meta meta;
	const char *version; /* Header, or NULL. */
	bool modern;
};
/* Does the header @name list @word? Absent headers do. */
bool mcp_header_lists(const struct http_req *r, const char *name,
		      const char *word);
/**
 * mcp_check_modern() - Hold the headers of a modern request against its body
 * @data: As of mcp_meta_check()
 * Return: 0, or the code of the error to answer with.
 */
int mcp_check_modern(const struct http_req *r, const struct mcp_post *p,
		     const char **message, struct jw *data);
/* Answer with an error of JSON-RPC. @id may be absent; @data: JSON or NULL. */
void mcp_refuse(struct http_req *r, int status, struct jv id, int code,
		const char *message, const char *data);

/* front_outlet.c */
struct mcp_outlet *mcp_outlet_new(struct mcp_link *l, struct http_req *r,
				  const struct rpc_msg *request);
void mcp_outlet_free(struct mcp_outlet *s);
/* Free it and leave its HTTP request, which is not answered, to the caller. */
void mcp_outlet_disown(struct mcp_outlet *s);
struct mcp_outlet *mcp_outlet_find(const struct mcp_link *l, const char *id,
				   size_t id_len);
/* One message for it; @s may be no more afterwards.  @error_code: of an answer
 * that is an error, else 0. */
void mcp_outlet_put(struct mcp_outlet *s, const char *msg, size_t len,
		    bool is_answer, int error_code);
/* Answer @r with what the outlet has after event @after. */
void mcp_outlet_attach(struct mcp_outlet *s, struct http_req *r,
		       uint32_t after);
/* Its client is let go; nothing more is written to it. */
void mcp_outlet_release(struct mcp_outlet *s);
/* The same, to come back after @retry_ms. */
void mcp_outlet_retry(struct mcp_outlet *s, int retry_ms);
void mcp_outlet_tick(struct mcp_outlet *s);
/* The outlet of which an event id speaks.  Return: NULL, if there is none. */
struct mcp_outlet *mcp_outlet_of_event(const struct mcp_link *l,
				       const char *event_id, uint32_t *out_n);

#endif
