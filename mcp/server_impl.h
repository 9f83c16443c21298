/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_impl.h - Private to mcp/server*.c
 */
#ifndef MCP_SERVER_IMPL_H
#define MCP_SERVER_IMPL_H

#include "mcp/meta.h"
#include "mcp/seal.h"
#include "mcp/server.h"
#include "mcp/wire.h"

TAILQ_HEAD(mcp_requests, mcp_request);
TAILQ_HEAD(mcp_conns, mcp_conn);
STAILQ_HEAD(mcp_parked_list, mcp_parked);

/* A message that waits for the server to open. */
struct mcp_parked {
	STAILQ_ENTRY(mcp_parked) link;
	size_t len;
	char text[];
};

struct mcp_server {
	uv_loop_t *loop;
	const struct mcp_server_ops *ops;
	void *arg;
	enum { SERVER_STARTING, SERVER_OPEN, SERVER_FAILED } state;
	char *why;	    /* FAILED. */
	char *initialize;   /* Members of its result, without version. */
	char *discover;	    /* The result for modern clients. */
	char *server_info;  /* JSON. */
	char *capabilities; /* JSON. */
	char cache[64];	    /* `"ttlMs":0,"cacheScope":"private",` */
	struct json caps;   /* Parsed `capabilities`. */
	struct mcp_seal seal;
	struct mcp_conns conns;
};

struct mcp_conn {
	struct mcp_server *server;
	struct mcp_conn_spec spec;
	struct mcp_wire wire;
	enum mcp_era era;
	const char *version;	 /* Legacy. */
	struct mcp_doc *client;	 /* Of initialize. */
	struct jv client_params; /* In it. */
	bool initialized;
	int log_level; /* Legacy: the least to be sent. */
	struct mcp_requests requests;
	unsigned n_requests;
	size_t open_bytes; /* Texts kept for them. */
	struct rpc *calls; /* To the client; made at the first. */
	const struct mcp_request *calling;
	struct jw out; /* The message being built. */
	struct mcp_parked_list parked;
	unsigned n_parked;
	size_t parked_bytes;
	unsigned busy; /* Calls that use it; it is freed after the last. */
	bool closed;
	TAILQ_ENTRY(mcp_conn) link;
};

/* server.c: use of a connection that callbacks may close. */
void mcp_conn_enter(struct mcp_conn *c);
void mcp_conn_leave(struct mcp_conn *c);

/* server_send.c: begin a message, end and send it. */
struct jw *mcp_send_begin(struct mcp_conn *c);
int mcp_send(struct mcp_conn *c, const struct mcp_request *related);
/* An error for what is no request. @id may be NULL. */
void mcp_send_error(struct mcp_conn *c, const char *id, size_t id_len, int code,
		    const char *message);
/* The least level that is @name; -1 when there is no such level. */
int mcp_log_level(struct jv name);

/* server_request.c: decide on a request that came and serve it. */
void mcp_request_begin(struct mcp_conn *c, const struct rpc_msg *m);
/* Give the request to the owner, once more perhaps. */
void mcp_request_serve(struct mcp_request *q);
void mcp_request_cancel(struct mcp_server *s, struct mcp_request *q);
/* Take it out of its connection and free it. */
void mcp_request_end(struct mcp_request *q);

/* server_listen.c */
void mcp_listen_begin(struct mcp_request *q);
void mcp_listen_end(struct mcp_request *q); /* With its result. */
void mcp_listen_free(struct mcp_listen *l);

/* server_ask.c */
void mcp_asks_free(struct mcp_request *q);
/* The connection ends; the answers that are there stay. */
void mcp_asks_leave(struct mcp_request *q);
/* Does the client owe answers, and nobody else anything? */
bool mcp_asks_wait(const struct mcp_request *q);

#endif
