/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - Messages of lines on a pair of descriptors: stdio, pipes, sockets
 *
 * What is sent leaves in one system call per turn of the loop.  Bytes are read
 * as they come, and not while more than MCP_QUEUE_MAX wait to be written: a peer
 * that does not read is not listened to.  The program must ignore SIGPIPE.
 */
#ifndef MCP_STREAM_H
#define MCP_STREAM_H

#include <uv.h>

#include "core/base.h"

#define MCP_QUEUE_MAX (32u << 20) /* Bytes waiting; then reading stops. */
#define MCP_QUEUE_END (64u << 20) /* Bytes waiting; then it is broken. */

struct mcp_stream; /* Opaque. */

/* Both come from the loop, and may call anything of the stream. */
struct mcp_stream_ops {
	/* Bytes came; scratch space of the call. */
	void (*data)(char *data, size_t n, void *arg);
	/* No more will come, once: @status is 0 at the end of the input, else
	 * a negative errno, and then nothing can be sent either.  The owner
	 * closes the stream, in this call or later. */
	void (*ended)(int status, void *arg);
};

/**
 * mcp_stream_open() - Take two descriptors to the loop and read
 * @in:  Read from; pipe, socket, terminal or file.  Made non-blocking
 * @out: Written to; may be the same as @in
 *
 * Return: 0 and *out_stream, which owns both descriptors; a negative errno, and
 * they stay the caller's.
 */
int mcp_stream_open(uv_loop_t *loop, int in, int out,
		    const struct mcp_stream_ops *ops, void *arg,
		    struct mcp_stream **out_stream);
/* Send what the kernel takes at once, drop the rest, close.  NULL is allowed.
 * Memory goes when the loop has closed the handles. */
void mcp_stream_close(struct mcp_stream *s);

/* Queue a message and a newline; copied. */
void mcp_stream_send(struct mcp_stream *s, const char *msg, size_t len);
/* Drop what waits and send nothing any more; ended() follows. */
void mcp_stream_break(struct mcp_stream *s);
/* Bytes not yet taken by the kernel. */
size_t mcp_stream_queued(const struct mcp_stream *s);
/* Stop and go on reading, for an owner that cannot take more. */
void mcp_stream_pause(struct mcp_stream *s, bool pause);

#endif
