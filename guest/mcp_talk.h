/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_talk.h - What an upstream has to say, by the client of mcp/
 *
 * For servers that are spoken to in lines: a process, a stream to the host.  An
 * implementation embeds a talk in place of an upstream, carries bytes, and decides
 * when a conversation begins and ends; requests, tools and questions are served
 * here.  It puts mcp_talk_send() and the others after it into its upstream_ops.
 *
 *	mcp_talk_open -> mcp_talk_start -> (upstream_shook_hands, tools)
 *	  mcp_talk_feed...  -> mcp_talk_hush -> mcp_talk_lost -> open again
 */
#ifndef GUEST_MCP_TALK_H
#define GUEST_MCP_TALK_H

#include "guest/mcp_upstream.h"
#include "mcp/client.h"
#include "mcp/wire.h"

struct mcp_talk;

struct mcp_talk_ops {
	/* Send a line, which ends with its newline.  Return: 0; it cannot be
	 * sent, and broken() follows. */
	int (*write)(struct mcp_talk *t, const char *line, size_t len);
	/* The server is of no use any more; the owner ends it. */
	void (*broken)(struct mcp_talk *t, const char *why);
	/* Its first tools are there: READY is told when this returns. */
	void (*ready)(struct mcp_talk *t);
	/* A line that is no JSON.  May be NULL. */
	void (*junk)(struct mcp_talk *t, const char *line, size_t len);
};

/* Embedded; leave all but @up and @used_ms alone. */
struct mcp_talk {
	struct upstream up;
	uint64_t used_ms; /* Of the last answer, by the loop's clock. */

	/* Private. */
	uv_loop_t *loop;
	const struct mcp_talk_ops *ops;
	struct mcp_client *client; /* NULL: no conversation. */
	struct mcp_wire wire;
	struct jw line;	  /* A message on its way out. */
	enum mcp_era era; /* That the server is known to speak. */
	bool hushed;	  /* It is being ended. */
	bool has_tools;	  /* It says so. */
	bool listing, list_again;
	bool freed;
	const char *why; /* While requests end with the server. */
};

void mcp_talk_init(struct mcp_talk *t, uv_loop_t *loop,
		   const struct mcp_spec *spec, const struct upstream_ops *ops,
		   const struct mcp_talk_ops *talk_ops);
/* The owner is freed: nothing is told any more, upstream_done() included. */
void mcp_talk_free(struct mcp_talk *t);
/* And nothing of it is on the stack. */
void mcp_talk_done(struct mcp_talk *t);

/* Bytes may come. */
void mcp_talk_open(struct mcp_talk *t);
/* Shake hands.  @capabilities: ours, a JSON object.  Return: 0; -ENOMEM. */
int mcp_talk_start(struct mcp_talk *t, const char *capabilities, struct err *e);
/* Bytes that came; scratch space of the call.  Return: 0; -ENOMEM. */
int mcp_talk_feed(struct mcp_talk *t, char *data, size_t n);
/* The server is being ended: it is told nothing more. */
void mcp_talk_hush(struct mcp_talk *t);
/* It has gone: requests that were sent end because @why.  Not from
 * mcp_talk_feed(). */
void mcp_talk_lost(struct mcp_talk *t, const char *why);

/* As in upstream_ops, for any upstream that is a talk's. */
int mcp_talk_send(struct upstream *u, struct upstream_call *c, struct err *e);
void mcp_talk_cancel(struct upstream *u, struct upstream_call *c,
		     const char *reason);
void mcp_talk_notify(struct upstream *u, const char *method,
		     const char *params);
void mcp_talk_reply(struct upstream *u, int64_t id, const char *result,
		    int code, const char *message, const char *data);
void mcp_talk_list_tools(struct upstream *u);

#endif
