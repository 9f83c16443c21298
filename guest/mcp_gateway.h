/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_gateway.h - Between the MCP clients of a session and its MCP servers
 *
 *	peers (agent, outside clients)      fronts              upstreams
 *	  stdio stream --.
 *	  stdio stream ---+--> front "files" ------------> upstream "files"
 *	  HTTP session --'
 *	  stdio stream ------> front "hib" (of all) --+--> upstream "files"
 *	                                              '--> upstream "search"
 *
 * A front is one server as its clients see it: it says of itself what its
 * upstream says, offers the tools that the session's globs let through, and
 * passes requests on, each with an id and a progress token of its own.  What a
 * server answers comes back byte for byte.  Each call of a tool that is passed on
 * leaves one mcp.call event, and is passed on once, whatever becomes of it.  A
 * server that is dead leaves its tools in the list; a call then fails in words.
 *
 * A server may ask back.  Roots are answered with the session's folder.  An
 * elicitation goes to the client whose request it is about, if that offers it, and
 * else to the user of the session; sampling to that client or nowhere.
 */
#ifndef GUEST_MCP_GATEWAY_H
#define GUEST_MCP_GATEWAY_H

#include "guest/journal.h"
#include "guest/mcp_upstream.h"

#define MCP_AGGREGATE "hib" /* The name of the front of all. */

struct mcp_gateway; /* Opaque. */
struct mcp_front;   /* One server; opaque. */
struct mcp_peer;    /* One client's connection; opaque. */

/* A question to the user. */
struct mcp_user_question {
	struct jv params; /* Of elicitation/create; valid in the call. */
	/* Once, during the call or later, with an ElicitResult. */
	void (*done)(const char *result, void *arg);
	void *arg;
};

struct mcp_gateway_spec {
	uv_loop_t *loop;
	struct journal *journal; /* Of the session; must outlive it. */
	const char *cwd;	 /* Copied. */
	/* Ask the user.  *out is set before done() runs, and valid until then
	 * or forget().  Return: 0; a failure, and nobody was asked. */
	int (*ask)(const struct mcp_user_question *q, void **out, void *arg,
		   struct err *e);
	/* Nobody wants that answer any more. */
	void (*forget)(void *asked, void *arg);
	void *arg;
};

/* NULL when memory is out. */
struct mcp_gateway *mcp_gateway_new(const struct mcp_gateway_spec *spec);
/* End all peers and calls, during this call.  Before the upstreams are freed; not
 * from a callback of a peer.  NULL is allowed. */
void mcp_gateway_free(struct mcp_gateway *g);

/* Make a front of @u, which must outlive the gateway.  Return: 0; -ENOMEM. */
int mcp_gateway_add(struct mcp_gateway *g, struct upstream *u);
/* Make one of all that were added, by the name of MCP_AGGREGATE. */
int mcp_gateway_add_all(struct mcp_gateway *g);

/* NULL: there is no such server. */
struct mcp_front *mcp_gateway_find(const struct mcp_gateway *g,
				   const char *name);

/* Walk those of one server each; NULL at the end. */
struct mcp_front *mcp_gateway_first(const struct mcp_gateway *g);
struct mcp_front *mcp_gateway_next(struct mcp_front *f);

/* NULL: it is the front of all. */
struct upstream *mcp_front_upstream(const struct mcp_front *f);
/* Write the result of tools/list as its clients see it, for those of the modern
 * era or the legacy one.  Return: 0; -ENOENT: it is not known yet; -ENOMEM. */
int mcp_front_write_tools(struct mcp_front *f, bool modern, struct jw *w);
/* The same of @tools, an array of the server of a front of one. */
int mcp_front_write_list(const struct mcp_front *f, struct jv tools,
			 bool modern, struct jw *w);

/*
 * Peers.
 */

struct mcp_peer_spec {
	/* Send a message, without newline.  Must call nothing of the gateway.
	 */
	void (*send)(const char *msg, size_t len, void *arg);
	/* The gateway is going: the peer is no more after this. */
	void (*ended)(void *arg);
	/* All that was asked is answered, after mcp_peer_finish(). */
	void (*idle)(void *arg);
	void *arg;
};

/* Return: NULL when memory is out. */
struct mcp_peer *mcp_peer_open(struct mcp_front *f,
			       const struct mcp_peer_spec *spec);
/* Bytes that the client sent; scratch space of the call.  Callbacks may end the
 * peer.  Return: 0; -ENOMEM, and it is to be closed. */
int mcp_peer_feed(struct mcp_peer *p, char *data, size_t n);
/* Bytes of memory that the client makes us have. */
size_t mcp_peer_held(const struct mcp_peer *p);
/* The client says no more: idle() comes when it has all answers, in this call
 * or later. */
void mcp_peer_finish(struct mcp_peer *p);
/* Its requests are cancelled.  No callback comes any more. */
void mcp_peer_close(struct mcp_peer *p);

/*
 * Calls without a client's connection.
 */

struct mcp_gateway_call; /* Opaque. */

struct mcp_gateway_call_spec {
	const char *tool;   /* As shown by the front. */
	struct jv args;	    /* An object or absent; valid until done(). */
	int64_t timeout_ms; /* 0: as the server's spec says. */
	/* Once, after mcp_front_call() has returned. */
	void (*done)(const struct upstream_answer *a, void *arg);
	void *arg;
};

/* Return: 0; -FAULT_INVALID_ARGUMENT: there is no such tool; as upstream_ask(). */
int mcp_front_call(struct mcp_front *f,
		   const struct mcp_gateway_call_spec *spec,
		   struct mcp_gateway_call **out, struct err *e);
/* Ask the server of a front of one for its tools, all of them, in an array.
 * @spec: done and arg.  Return: as mcp_front_call(). */
int mcp_front_ask_tools(struct mcp_front *f,
			const struct mcp_gateway_call_spec *spec,
			struct mcp_gateway_call **out, struct err *e);
/* Nobody wants the answer; done() does not come. */
void mcp_gateway_cancel(struct mcp_gateway_call *c);

#endif
