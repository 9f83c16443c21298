/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front.h - Streamable HTTP in front of anything that speaks lines of MCP
 *
 * HTTP requests become messages for a far end, and what comes back becomes
 * answers, streams of events, or the stream that a client opened with GET.  The
 * far end may be a server in this process (front_server.c) or a stream to
 * somewhere else.  There is one far end per session of a legacy client and one
 * per request of a modern one, each a link.
 *
 * The front checks headers against bodies, knows sessions, keeps what was sent
 * so that a client can come back for it (Last-Event-ID), and answers what is
 * wrong.  Who may ask at all is decided before: foreign hosts and origins are
 * refused by core/http.h, credentials are the owner's.
 */
#ifndef MCP_FRONT_H
#define MCP_FRONT_H

#include "core/http.h"
#include "mcp/proto.h"

#define MCP_SESSIONS_MAX    64 /* Of one front; then the idlest goes. */
#define MCP_SESSION_IDLE_MS (30 * 60 * 1000)
#define MCP_OUTLETS_MAX	    256	       /* Requests open or kept of a session. */
#define MCP_REPLAY_MAX	    (4u << 20) /* Bytes kept of a session. */
#define MCP_SLOW_MAX	    (16u << 20) /* Bytes a client leaves waiting. */
#define MCP_TICK_MS	    15000	/* Between signs of life. */
#define MCP_RETRY_MS	    1000	/* Before a client comes back. */

struct mcp_front; /* Opaque. */
struct mcp_link;  /* One far end; opaque. */
struct mcp_server;

struct mcp_front_ops {
	/* Make the far end of a new link.  Return: 0; a negative code, and the
	 * client is told @e. */
	int (*open)(struct mcp_link *l, void *arg, struct err *e);
	/* A message of the client, on one line without its end; valid in the
	 * call.  It may be answered during the call. */
	void (*message)(struct mcp_link *l, const char *msg, size_t len,
			void *arg);
	/* The link is over; @l is no more afterwards.  Not called when open()
	 * failed or after mcp_link_lost(). */
	void (*close)(struct mcp_link *l, void *arg);
};

/* NULL when memory is out. */
struct mcp_front *mcp_front_new(uv_loop_t *loop,
				const struct mcp_front_ops *ops, void *arg);
/* In front of a server in this process.  The argument of its connections
 * (mcp_conn_arg()) is the link.  Close the front before the server is freed. */
struct mcp_front *mcp_front_serve(uv_loop_t *loop, struct mcp_server *s);
/* End all links and their HTTP answers.  Memory goes when the loop has closed
 * a handle.  NULL is allowed. */
void mcp_front_close(struct mcp_front *f);

/**
 * mcp_front_request() - Answer an HTTP request
 * @r:	    A whole one; its on_end and data are the front's from here on
 * @target: What it is for: a session is good for the same target only
 */
void mcp_front_request(struct mcp_front *f, struct http_req *r,
		       const char *target);

/* Of a link.  Messages of the far end have no line ends. */

const char *mcp_link_target(const struct mcp_link *l);
bool mcp_link_is_stateless(const struct mcp_link *l); /* Of one request. */
void mcp_link_set_data(struct mcp_link *l, void *data);
void *mcp_link_data(const struct mcp_link *l);

/**
 * mcp_link_send() - A message of the far end
 * @id: Token of the request in whose course it is sent; NULL when that is not
 *      known, and the message itself must tell
 *
 * No callback runs during the call.
 */
void mcp_link_send(struct mcp_link *l, const char *msg, size_t len,
		   const char *id, size_t id_len);
/* The far end is gone: what waits for an answer gets an error.  @l is no more
 * afterwards.  Not in a callback of the front. */
void mcp_link_lost(struct mcp_link *l);
/* Let the client of that request go, to come back after @retry_ms for what is
 * said meanwhile.  For legacy clients that take part; else nothing happens. */
void mcp_link_retry(struct mcp_link *l, const char *id, size_t id_len,
		    int retry_ms);

#endif
