/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_conn.h - One connection of an HTTP server, and the request on it
 *
 * Between http.c, which listens and keeps time, http_conn.c, which reads
 * requests, and http_req.c, which answers them.  For others there is http.h.
 */
#ifndef CORE_HTTP_CONN_H
#define CORE_HTTP_CONN_H

#include <llhttp.h>
#include <sys/queue.h>

#include "core/http.h"
#include "core/http_head.h"
#include "core/sock.h"

/* What a server asks of its connections' world. */
struct http_server {
	uv_loop_t *loop;
	const struct http_handler *handler;
	void *arg;

	/* Private to http.c. */
	TAILQ_HEAD(http_listeners, http_listener) listeners;
	TAILQ_HEAD(http_conns, http_conn) conns;
	/* Connections with a deadline, the next one first. */
	TAILQ_HEAD(http_waiting, http_conn) waiting;
	uv_timer_t deadline; /* Runs only while some connection waits. */
	uv_timer_t retry;    /* Of accept(), after it ran out of descriptors. */
	uint64_t idle_ms;
	unsigned n_conns;
	unsigned open; /* Handles and connections not yet closed. */
	bool full, closing;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

struct http_conn {
	struct http_server *server;
	bool tcp;

	/* Private to http_conn.c. */
	enum conn_state {
		CONN_HEAD,
		CONN_BODY,
		CONN_BUSY,
		CONN_FLUSH,
		CONN_LINGER,
		CONN_CLOSED,
	} state;
	struct sock sock;
	llhttp_t parser;
	struct http_req *req; /* NULL between requests. */
	bool keep;	      /* The connection outlives this answer. */
	bool cut;	      /* The request's body will not be read. */
	int refusal;	      /* Why the parser was stopped, or 0. */
	char *early;	      /* Came while a request was being answered. */
	size_t early_len;
	size_t lingered; /* Bytes thrown away. */

	/* Private to http.c. */
	TAILQ_ENTRY(http_conn) all, wait;
	uint64_t deadline_ms;
	bool in_waiting;
};

struct http_req {
	struct http_conn *conn;
	struct http_head head;
	struct http_url url;
	const char *method;
	enum http_answer { ANSWER_NONE, ANSWER_STREAM, ANSWER_DONE } answer;
	bool has_body;	  /* By its head. */
	bool no_content;  /* HEAD: the answer has no body. */
	bool chunked;	  /* The answer is. */
	bool http10;	  /* Knows no chunks and no 100. */
	bool stream_body; /* Pieces go to on_body. */
	bool paused;
	char *body;
	size_t body_len, body_cap;
	char *fields; /* Of the answer, each with its line end; or NULL. */
	void *data;
	int (*on_body)(struct http_req *r, const char *data, size_t n,
		       void *arg);
	void *on_body_arg;
	void (*drained)(struct http_req *r, void *arg);
	void *drained_arg;
	void (*on_end)(struct http_req *r, void *arg);
	void *on_end_arg;
};

/* Serve a connected, non-blocking socket; @fd is owned from here on, also when
 * this fails.  Return: 0, or a negative errno. */
int http_conn_open(struct http_server *s, int fd, bool tcp);
/* End its request, if there is one, and close. */
void http_conn_close(struct http_conn *c);

/* By http_conn.c: read, watch and keep time as the state demands; an answer
 * begins that may leave the rest of the request unread; it is complete. */
void http_conn_update(struct http_conn *c);
void http_conn_cut(struct http_conn *c);
void http_conn_answered(struct http_conn *c);

/* By http_req.c: answer with an error under a status other than its own. */
void http_reply_status(struct http_req *r, int status, const struct err *e);

/* By http.c: the connection has idle_ms from now, or (off) all the time. */
void http_server_wait(struct http_conn *c, bool on);
void http_server_add(struct http_conn *c);
void http_server_remove(struct http_conn *c);

/* Is this request one that a web page made a browser send (DNS rebinding)? */
bool http_is_foreign(const struct http_head *h);

#endif
