/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_impl.h - What the three files of h2 share; nobody else includes it
 *
 * h2.c has the life of connections and streams and the public calls, h2_in.c
 * what the peer sends, h2_out.c what goes to the peer.
 *
 * Only h2_in.c calls the owner from inside nghttp2, which forbids that its
 * session be read, sent or deleted there.  Hence no public call ever flushes,
 * and a session is deleted in the connection's last close callback.
 */
#ifndef CORE_H2_IMPL_H
#define CORE_H2_IMPL_H

#include <nghttp2/nghttp2.h>
#include <sys/queue.h>

#include "core/h2.h"

#define H2_FRAME_HEAD 9u
#define H2_FRAME_MAX  (H2_FRAME_HEAD + (16u << 10) + 1) /* nghttp2's buffer. */
#define H2_OUT_BATCH  (8 * H2_FRAME_MAX) /* Bytes in one system call. */
#define H2_IN_BATCH   (64u << 10)
#define H2_IN_TURN    (128u << 10) /* Bytes read in one turn of the loop. */
#define H2_METHOD_MAX 31u

enum h2_state {
	H2_OPEN,
	H2_OVER,   /* Failed or finished; the owner knows or is being told. */
	H2_CLOSED, /* The owner has let go. */
};

/* Our body on one stream, as nghttp2 sees it. */
enum h2_body {
	H2_BODY_NONE,	 /* Server: no head yet. */
	H2_BODY_READY,	 /* It will ask for bytes when the windows allow. */
	H2_BODY_WAITING, /* It has asked in vain and wants to be woken. */
	H2_BODY_SENT,	 /* It has been told that there is no more. */
};

TAILQ_HEAD(h2_chunks, h2_chunk);
TAILQ_HEAD(h2_streams, h2_stream);

struct h2_stream {
	struct h2 *c;
	int32_t id;
	const struct h2_stream_events *ev; /* NULL: not yet set. */
	void *arg;
	TAILQ_ENTRY(h2_stream) link; /* In c->streams, or c->ended. */

	enum h2_body body;
	bool fin; /* The owner writes no more. */
	struct h2_chunks chunks;
	size_t queued;		     /* Bytes in chunks. */
	size_t batched;		     /* Bytes in c->out. */
	struct h2_streams *out_list; /* &c->sending, &c->drained or NULL. */
	TAILQ_ENTRY(h2_stream) out_link;

	bool got_head;	   /* Client: the final answer's head. */
	bool got_fin;	   /* The peer's body is complete. */
	bool got_reset;	   /* The peer sent RST_STREAM. */
	size_t unconsumed; /* Bytes received that h2_consume() is to return. */

	bool ended; /* In c->ended: @end is due, with r. */
	int r;
};

/* The header block that is arriving; blocks are never interleaved. */
struct h2_head {
	char method[H2_METHOD_MAX + 1];
	char path[H2_PATH_MAX + 1];
	int status;
	size_t size; /* As SETTINGS_MAX_HEADER_LIST_SIZE counts it. */
};

struct h2_ping {
	void (*cb)(struct h2 *c, int64_t ns, void *arg); /* NULL: free. */
	void *arg;
	uint64_t id, sent_ns;
};

#define H2_PINGS_MAX 16

struct h2 {
	enum h2_state state;
	bool server;
	bool leaving; /* GOAWAY was sent or received. */
	int error;    /* What closed() will say when the session has ended. */
	const struct h2_events *ev;
	void *arg;
	nghttp2_session *ng;
	uv_stream_t *io;
	uv_idle_t turn; /* Active while there is something to do this turn. */
	int doom;	/* What to fail with at the end of this turn. */
	unsigned open;	/* Handles not yet closed. */

	struct h2_streams streams, ended;
	struct h2_ping pings[H2_PINGS_MAX];
	uint64_t next_ping;

	/* In. */
	struct h2_head head;
	size_t debt;	   /* Frames owed to the peer, on its account. */
	unsigned cheap;	   /* Cheap frames that it may still send.. */
	uint64_t cheap_ms; /* ..as of this time of the loop. */
	bool heard;	   /* Something was read since the last turn. */
	size_t in_turn;	   /* Bytes read since then. */
	uint64_t received; /* Bytes read. */

	/* Out. */
	struct h2_streams sending; /* With bytes in out. */
	struct h2_streams drained; /* With nothing queued: to be told. */
	uv_write_t write;
	int write_error;
	size_t out_len; /* Not 0 between turns: a write is under way. */
	char in[H2_IN_BATCH];
	char out[H2_OUT_BATCH + H2_FRAME_MAX];
};

/* h2.c */
struct h2_stream *h2_stream_new(struct h2 *c);
void h2_stream_free(struct h2_stream *s);
/* Take @s from nghttp2 and make its @end due.  Runs no callback. */
void h2_stream_end(struct h2_stream *s, int r);
/* Reset @s with an error code of HTTP/2; the owner gets -ECANCELED. */
void h2_stream_reset(struct h2_stream *s, uint32_t code);
/* See to it that something happens at the end of this loop turn. */
void h2_poke(struct h2 *c);
/* Let the connection fail at the end of this loop turn. */
void h2_doom(struct h2 *c, int r);
/* The connection is over: end the streams, tell the owner. */
void h2_fail(struct h2 *c, int r);
/* Tell what is due outside of nghttp2: drained, ended, over. */
void h2_settle(struct h2 *c);

/* h2_in.c */
int h2_in_session(struct h2 *c);
int h2_in_start(struct h2 *c);
/* A turn of the loop is over: read again. */
void h2_in_go_on(struct h2 *c);

/* h2_out.c */
int h2_out_append(struct h2_stream *s, const char *data, size_t n);
/* Wake nghttp2 if it waits for this stream's body. */
int h2_out_resume(struct h2_stream *s);
/* Forget what is queued, leave all lists of the out side. */
void h2_out_drop(struct h2_stream *s);
void h2_out_flush(struct h2 *c);
ssize_t h2_out_source(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max,
		      uint32_t *flags, nghttp2_data_source *src, void *arg);
int h2_out_data(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head,
		size_t n, nghttp2_data_source *src, void *arg);

#endif
