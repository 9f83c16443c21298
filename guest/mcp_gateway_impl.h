/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_gateway_impl.h - Private to the parts of the gateway
 *
 *	mcp_gateway.c  fronts and peers
 *	mcp_relay.c    requests on their way to a server, and their answers
 *	mcp_ask.c      what servers ask back
 *	mcp_subs.c     subscriptions to resources
 *	mcp_all.c      the front of all
 */
#ifndef GUEST_MCP_GATEWAY_IMPL_H
#define GUEST_MCP_GATEWAY_IMPL_H

#include "guest/mcp_gateway.h"
#include "guest/mcp_index.h"
#include "mcp/server.h"

TAILQ_HEAD(mcp_front_list, mcp_front);
TAILQ_HEAD(mcp_peer_list, mcp_peer);
TAILQ_HEAD(mcp_relay_list, mcp_gateway_call);
TAILQ_HEAD(mcp_sub_list, mcp_sub);
TAILQ_HEAD(mcp_asked_list, mcp_asked);
TAILQ_HEAD(mcp_gather_list, mcp_gather);

struct mcp_gateway {
	struct mcp_gateway_spec spec; /* cwd is its own. */
	struct mcp_front_list fronts; /* Of one server each. */
	struct mcp_front *all;	      /* Or NULL. */
	struct mcp_relay_list relays; /* The newest first. */
	struct mcp_asked_list asked;  /* Of servers, not answered. */
	struct mcp_sub_list subs;
};

/* Where a resource is. */
struct mcp_place {
	char *uri; /* Or a template. */
	struct upstream *upstream;
};
struct mcp_places {
	struct mcp_place *list;
	size_t n;
};

struct mcp_front {
	TAILQ_ENTRY(mcp_front) link;
	struct mcp_gateway *gateway;
	struct mcp_server *server;
	struct upstream *upstream; /* NULL: the front of all. */
	bool known;		   /* The server is open, or has failed. */
	struct mcp_peer_list peers;

	/* Of the front of all. */
	struct mcp_index tools, prompts;
	bool fresh; /* tools is of what the servers have now. */
	struct mcp_places resources, templates;
	struct mcp_gather_list gathers;
};

struct mcp_peer {
	TAILQ_ENTRY(mcp_peer) link;
	struct mcp_front *front;
	struct mcp_conn *conn;
	struct mcp_peer_spec spec;
	unsigned n_open; /* Requests that are not answered. */
	bool finishing;
};

/* mcp_gateway.c: a request of a peer is taken; it has been answered. */
void mcp_peer_began(struct mcp_request *q);
void mcp_peer_answered(struct mcp_peer *p);
struct mcp_peer *mcp_peer_of(const struct mcp_request *q);
/* Is there such a member in what a server says it can do? */
bool mcp_upstream_can(const struct upstream *u, const char *what);

/* mcp_relay.c */
/* Pass @q on to @u; @name: instead of params.name, or NULL. */
void mcp_relay(struct mcp_front *f, struct mcp_request *q, struct upstream *u,
	       const char *name);
/* The same of a request of ours, whose answer nobody waits for. */
void mcp_relay_unheard(struct upstream *u, const char *method,
		       const char *params);
/* Its client does not want it any more. */
void mcp_relay_cancelled(struct mcp_request *q);
/* The request of a client that a server's question is about; NULL: none. */
struct mcp_request *mcp_relay_about(struct mcp_gateway *g, struct upstream *u,
				    const struct upstream_call *call);
/* Forget those that have no client. */
void mcp_relays_drop(struct mcp_gateway *g);

/* mcp_ask.c */
void mcp_ask_back(struct mcp_gateway *g, struct upstream *u,
		  const struct upstream_question *q);
void mcp_ask_gone(struct mcp_gateway *g, struct upstream *u, int64_t id);
void mcp_asks_drop(struct mcp_gateway *g);

/* mcp_subs.c */
/* resources/subscribe and unsubscribe of a client. */
void mcp_subscribe(struct mcp_front *f, struct mcp_request *q,
		   struct upstream *u);
void mcp_unsubscribe(struct mcp_front *f, struct mcp_request *q);
/* A modern client listens to resources: params.notifications. */
void mcp_subs_listen(struct mcp_peer *p, struct jv wants);
void mcp_subs_end(struct mcp_peer *p);
/* The server is another process now. */
void mcp_subs_renew(struct mcp_gateway *g, struct upstream *u);
/* notifications/resources/updated of it. */
void mcp_subs_updated(struct mcp_gateway *g, struct upstream *u,
		      struct jv params);

/* mcp_all.c */
int mcp_all_open(struct mcp_front *f);
void mcp_all_request(struct mcp_front *f, struct mcp_request *q);
/* Return: whether it was a list of ours. */
bool mcp_all_cancelled(struct mcp_front *f, struct mcp_request *q);
/* Something has changed with a server, or also its tools. */
void mcp_all_update(struct mcp_front *f, bool tools);
int mcp_all_write_tools(struct mcp_front *f, struct jw *w);
/* Where a tool or a prompt is.  NULL: nowhere. */
const struct mcp_index_entry *mcp_all_find(struct mcp_front *f,
					   const char *shown);
/* Whose resource is it?  NULL: nobody's. */
struct upstream *mcp_all_place(const struct mcp_front *f, struct jv uri);
void mcp_all_done(struct mcp_front *f);

#endif
