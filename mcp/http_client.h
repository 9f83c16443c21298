/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client.h - Streamable HTTP, the client's side: messages to and from a URL
 *
 * A transport: what is sent goes to one server, what the server says comes out.
 * Who speaks MCP above it (mcp/client.h, or a guest through hibd) does not see
 * how: POST with JSON and SSE answers, the session's id and the headers of both
 * eras, streams that break and are taken up again, the stream of what the server
 * says unasked, and the transport of 2024 (HTTP+SSE) where a server has no other.
 *
 * A request that cannot be carried is answered here, by an error with
 * MCP_HTTP_STATUS in its data.  The headers given are secrets: they are sent to
 * the origin of the URL alone, and never part of an error or the log.
 *
 * Programs of the host alone link this.
 */
#ifndef MCP_HTTP_CLIENT_H
#define MCP_HTTP_CLIENT_H

#include <uv.h>

#include "core/rpc.h"
#include "mcp/proto.h"

#define MCP_HTTP_OPEN_MAX      64	   /* Requests at a server at once. */
#define MCP_HTTP_WAITING_MAX   1024	   /* Messages behind those. */
#define MCP_HTTP_HELD_MAX      (64u << 20) /* Bytes of unfinished answers. */
#define MCP_HTTP_RETRY_MS      1000  /* Before a stream is taken up again. */
#define MCP_HTTP_RETRY_MAX_MS  60000 /* The most that a server may ask for. */
#define MCP_HTTP_TRIES_MAX     5     /* Without a word in between. */
#define MCP_HTTP_REDIRECTS_MAX 5     /* All within the origin. */
#define MCP_HTTP_LINGER_MS     1000  /* Of a stream that has answered. */
#define MCP_HTTP_DELETE_MS     2000  /* For the end of a session. */
#define MCP_HTTP_SESSION_MAX   512   /* Bytes of a session's id. */

struct mcp_http; /* Opaque. */

/* What transports hold in memory, together. */
struct mcp_http_budget {
	size_t queued; /* Bytes sent whose exchange has not ended. */
	size_t held;   /* Bytes of unfinished answers: at most.. */
	size_t held_max;
};

struct mcp_http_opts {
	const char *url;
	/* "Name: value", ended by NULL; or NULL. */
	const char *const *headers;
	bool sse;	     /* It speaks the transport of 2024. */
	const char *ca_file; /* To trust in place of the system's, or NULL. */
	/* Shared with others; outlives mcp_http_close(), not what it leaves to
	 * the loop.  NULL: one of its own, with MCP_HTTP_HELD_MAX. */
	struct mcp_http_budget *budget;
};

/* Come from the loop only; each may be NULL but message. */
struct mcp_http_events {
	/* What the server said: on one line, valid in the call. */
	void (*message)(struct mcp_http *h, const struct rpc_msg *m,
			const char *text, size_t len, void *arg);
	/* The server has forgotten the session, or cannot be spoken with any
	 * more.  Nothing comes after it; what is sent fails. */
	void (*lost)(struct mcp_http *h, const struct err *e, void *arg);
	/* The budget's queued has become less. */
	void (*drained)(struct mcp_http *h, void *arg);
};

/**
 * mcp_http_open() - Make a transport; nothing is sent yet
 * @opts:   Copied
 * @events: Must outlive it
 *
 * Return: 0; -EINVAL with a URL that is not http or https, or a header that is
 * none or belongs to the transport; -ENOMEM.
 */
int mcp_http_open(uv_loop_t *loop, const struct mcp_http_opts *opts,
		  const struct mcp_http_events *events, void *arg,
		  struct mcp_http **out, struct err *e);
/* End the session with the server, within MCP_HTTP_DELETE_MS, break off the rest
 * and free.  No event comes any more; @cb (may be NULL) tells when it is done.
 * NULL is allowed, and then @cb does not run. */
void mcp_http_close(struct mcp_http *h, void (*cb)(void *arg), void *arg);

/* Send one message; copied.  Return: 0; as rpc_decode() for what is none; -EAGAIN
 * with MCP_HTTP_WAITING_MAX waiting; -EPIPE when it is lost; -ENOMEM. */
int mcp_http_send(struct mcp_http *h, const char *msg, size_t len);
/* The same, of one that is decoded. */
int mcp_http_message(struct mcp_http *h, const struct rpc_msg *m);
/* Take nothing more of the server's answers; or go on. */
void mcp_http_pause(struct mcp_http *h, bool pause);

#endif
