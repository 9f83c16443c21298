/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_impl.h - What the files of the HTTP client share
 *
 * http_client.c has the transport: what is sent when, the session, the end.
 * http_exchange.c has one exchange with the server: its headers, its answer, what
 * follows from how it ended.  http_deliver.c has what the server says.
 */
#ifndef MCP_HTTP_IMPL_H
#define MCP_HTTP_IMPL_H

#include <sys/queue.h>

#include "core/sse.h"
#include "mcp/http_client.h"
#include "mcp/param_headers.h"
#include "mcp/transfers.h"

#define NEVER UINT64_MAX

enum exchange_kind {
	EXCHANGE_POST,	 /* A message of ours. */
	EXCHANGE_LISTEN, /* GET: what the server says unasked. */
	EXCHANGE_DELETE, /* The end of the session. */
};

enum exchange_state {
	EXCHANGE_WAITING,  /* For its turn. */
	EXCHANGE_RUNNING,  /* A transfer is at work. */
	EXCHANGE_RESUMING, /* Its stream broke: again at @again. */
	EXCHANGE_AWAITING, /* The answer comes in another stream. */
	EXCHANGE_GONE,
};

struct exchange {
	struct mcp_http *h;
	enum exchange_kind kind;
	enum exchange_state state;
	struct transfer *t; /* While it is RUNNING. */
	TAILQ_ENTRY(exchange) link;

	/* The message. */
	char *body; /* While no transfer has it. */
	size_t len; /* Its share of the transport's queue; 0 when it is freed. */
	bool taken;    /* The server has it: what is left to do is to listen. */
	char *id;      /* Raw token; NULL: it is no request. */
	char *method;  /* NULL: it is a response. */
	char *name;    /* For Mcp-Name; or NULL. */
	char *version; /* In its _meta: of the modern era; or NULL. */
	bool unanswered; /* A request, and nothing was said of it yet. */

	/* The answer. */
	int status;
	bool is_sse;
	struct jw text; /* If it is no SSE. */
	struct sse_reader reader;
	size_t held;   /* Its share of the transport's. */
	char *last_id; /* Last-Event-ID; or NULL. */
	int retry_ms;  /* -1: the server did not say. */
	unsigned tries, redirects;
	uint64_t again; /* To resume, or when RUNNING to end; or NEVER. */
	char *url;	/* Where it was redirected to; or NULL. */
};
TAILQ_HEAD(exchanges, exchange);

enum http_mode {
	HTTP_STREAMABLE,
	HTTP_TRYING_SSE, /* initialize waits for what becomes of it. */
	HTTP_SSE,
};

struct mcp_http {
	const struct mcp_http_events *events;
	void *arg;
	struct transfers *pool;
	uv_timer_t timer;
	char *url;
	char **headers; /* Secrets; wiped. */
	enum http_mode mode;
	char *endpoint;	     /* Of HTTP+SSE, once it is known. */
	char *session;	     /* Mcp-Session-Id; or NULL. */
	const char *version; /* Agreed on in initialize; NULL before. */
	struct param_headers *params;
	struct exchanges open, gone; /* Gone ones are freed when idle. */
	struct mcp_http_budget *budget, own;
	unsigned depth; /* Of callbacks: nothing is freed meanwhile. */
	bool less;	/* To be told by events->drained. */
	bool lost, closing;
	unsigned handles;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* http_client.c */
/* Between these nothing is freed. */
void http_enter(struct mcp_http *h);
void http_leave(struct mcp_http *h);
struct exchange *exchange_new(struct mcp_http *h, enum exchange_kind kind);
/* It is over.  Memory goes with the last http_leave(). */
void exchange_remove(struct exchange *x);
/* The message is not needed any more. */
void exchange_forget_body(struct exchange *x);
void http_lose(struct mcp_http *h, const char *why);
/* Start what may start. */
void http_pump(struct mcp_http *h);
void http_arm_timer(struct mcp_http *h);
int http_listen(struct mcp_http *h);

/* http_exchange.c */
void exchange_start(struct exchange *x);

/* http_deliver.c */
/* The server said this, in @x.  It may be a batch. */
void http_deliver(struct exchange *x, const char *text, size_t len);
/* Answer the request of @x in the server's place. */
void exchange_fail(struct exchange *x, int status, const char *why);
/* Answer it with the JSON-RPC error of a refusal.  Return: whether it is one. */
bool exchange_refuse(struct exchange *x, const char *text, size_t len);

#endif
