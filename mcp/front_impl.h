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

/* An event that was sent, or waits for its stream to be opened. */
struct mcp_event {
	STAILQ_ENTRY(mcp_event) link;
	uint32_t n; /* In its stream, from 1. */
	size_t len;
	char data[];
};

/* The answer to one POST, or (number 0) what a GET hears. */
struct mcp_answer_stream {
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
	STAILQ_HEAD(, mcp_event) events;
	TAILQ_ENTRY(mcp_answer_stream) next;
};

struct mcp_link {
	struct mcp_front *front;
	char session[SESSION_ID_LEN + 1]; /* "" when stateless. */
	char *target;
	void *data;
	uint64_t used_ms; /* In uv_now() time. */
	bool far_open;
	TAILQ_HEAD(mcp_streams, mcp_answer_stream) streams;
	unsigned n_streams;
	uint32_t next_stream;
	size_t stored; /* Bytes of events. */
	TAILQ_ENTRY(mcp_link) next;
};

struct mcp_front {
	uv_loop_t *loop;
	const struct mcp_front_ops *ops;
	void *arg;
	uv_timer_t tick;
	TAILQ_HEAD(, mcp_link) links;
	unsigned n_sessions;
};

/* front.c */
void mcp_link_end(struct mcp_link *l); /* Close the far end, free. */

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

/* front_stream.c */
struct mcp_answer_stream *mcp_stream_new(struct mcp_link *l, struct http_req *r,
					 const struct rpc_msg *request);
void mcp_stream_free(struct mcp_answer_stream *s);
struct mcp_answer_stream *mcp_stream_find(const struct mcp_link *l,
					  const char *id, size_t id_len);
/* One message for it; @s may be no more afterwards.  @error_code: of an answer
 * that is an error, else 0. */
void mcp_stream_put(struct mcp_answer_stream *s, const char *msg, size_t len,
		    bool is_answer, int error_code);
/* Answer @r with what the stream has after event @after. */
void mcp_stream_attach(struct mcp_answer_stream *s, struct http_req *r,
		       uint32_t after);
/* Its client is let go; nothing more is written to it. */
void mcp_stream_release(struct mcp_answer_stream *s);
/* The same, to come back after @retry_ms. */
void mcp_stream_retry(struct mcp_answer_stream *s, int retry_ms);
void mcp_stream_tick(struct mcp_answer_stream *s);
/* The stream of which an event id speaks.  Return: NULL, if there is none. */
struct mcp_answer_stream *mcp_stream_of_event(const struct mcp_link *l,
					      const char *event_id,
					      uint32_t *out_n);

#endif
