/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - MCP messages in a byte stream: one JSON-RPC message per line
 *
 * The framing of stdio and of every stream of ours that carries MCP, the same
 * for clients and servers.  What is no message never ends the stream: it is
 * counted and told.  Empty lines are nothing, "\r\n" ends a line too.
 */
#ifndef MCP_WIRE_H
#define MCP_WIRE_H

#include "core/lines.h"
#include "core/rpc.h"
#include "mcp/proto.h"

/* Why a line was dropped. */
enum mcp_drop {
	MCP_DROP_LONG,	  /* Over MCP_LINE_MAX bytes. */
	MCP_DROP_DEEP,	  /* Nested too deeply, or too many values. */
	MCP_DROP_JUNK,	  /* No JSON. */
	MCP_DROP_INVALID, /* JSON, but no message of JSON-RPC 2.0; a batch. */
	MCP_DROP_REASONS
};

struct mcp_wire_ops {
	/* A message; its values live until the call returns, or as long as the
	 * document that mcp_wire_keep() gives. */
	void (*message)(const struct rpc_msg *m, void *arg);
	/* A line that was dropped.  @line: its bytes, or the first of them when
	 * it was too long.  May be NULL. */
	void (*dropped)(enum mcp_drop why, const char *line, size_t len,
			void *arg);
};

/* A message that outlives its line. */
struct mcp_doc {
	struct json json;
	char *text;
};

struct mcp_wire {
	uint64_t messages;		    /* Since the start. */
	uint64_t dropped[MCP_DROP_REASONS]; /* The same. */

	/* Private. */
	const struct mcp_wire_ops *ops;
	void *arg;
	struct lines lines;
	struct mcp_doc *doc;
	const char *line; /* The message being handed on. */
	size_t line_len;
	bool skipping; /* The rest of a line that is too long. */
	bool stopped;
};

/* @ops must outlive @w. */
void mcp_wire_init(struct mcp_wire *w, const struct mcp_wire_ops *ops,
		   void *arg);
/* Not from a callback of it. */
void mcp_wire_done(struct mcp_wire *w);

/**
 * mcp_wire_feed() - Add bytes that were read
 * @data: Scratch space of the call
 *
 * Return: 0; -ECANCELED after mcp_wire_stop(); -ENOMEM, and bytes were lost.
 */
int mcp_wire_feed(struct mcp_wire *w, char *data, size_t n);
/* Hand on one message that came with a framing of its own; line ends inside it
 * are white space.  Return: as mcp_wire_feed(). */
int mcp_wire_message(struct mcp_wire *w, const char *text, size_t len);
/* Hand on nothing any more; callbacks may call it. */
void mcp_wire_stop(struct mcp_wire *w);

/**
 * mcp_wire_keep() - Keep the message being handed on beyond its callback
 *
 * To be called in ops->message, once.  The values of the message stay valid and
 * belong to the document; what jv_raw() gave out before does not.
 *
 * Return: the document, owned by the caller; NULL when memory is out.
 */
struct mcp_doc *mcp_wire_keep(struct mcp_wire *w);
void mcp_doc_free(struct mcp_doc *d); /* NULL is allowed. */

/* Bytes of memory that they have; of NULL: 0. */
size_t mcp_wire_held(const struct mcp_wire *w);
size_t mcp_doc_held(const struct mcp_doc *d);

#endif
