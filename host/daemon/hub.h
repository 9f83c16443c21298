/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub.h - Stored events out to whoever listens
 *
 * A subscriber gets history after its cursor and then what is stored live, with
 * nothing missing or doubled at the seam.  Each has a bounded queue, and never
 * slows anybody else: one that reads slowly is served from the log again, one
 * that does not read loses events from its stream and is told which
 * (stream.gap).
 */
#ifndef HOST_DAEMON_HUB_H
#define HOST_DAEMON_HUB_H

#include "core/http.h"
#include "core/reader.h"
#include "core/store.h"

#define HUB_QUEUE_MAX	    (1u << 20) /* Bytes waiting for one subscriber. */
#define HUB_LAG_MAX	    (8u << 20) /* Published while it took nothing. */
#define HUB_SUBSCRIBERS_MAX 64	       /* Of one session. */
#define HUB_PING_MS	    15000
#define HUB_PAGE_BYTES	    (256u << 10) /* Of history in one loop turn. */

struct hub; /* Opaque. */

struct hub *hub_new(uv_loop_t *loop, struct store *s, struct reader *r);
/* End all streams with @reason and all waits with FAULT_DRAINING.  The hub's
 * handle closes on the loop, which frees it. */
void hub_close(struct hub *h, const char *reason);

/**
 * hub_subscribe() - Answer a request with a session's event stream
 * @r:	     Answered here, with the stream or with an error
 * @session: Known to exist
 * @since:   Cursor
 */
void hub_subscribe(struct hub *h, struct http_req *r, const char *session,
		   int64_t since);
/* The session is gone: end its streams, fail its waits. */
void hub_end_session(struct hub *h, const char *session, const char *reason);

/* Run @cb once when the session's event @seq is stored (at once when it is). */
typedef void (*hub_done_cb)(const struct err *e, void *arg);
void hub_await_seq(struct hub *h, const char *session, int64_t seq,
		   uint64_t timeout_ms, hub_done_cb cb, void *arg);
/* Run @cb once when the turn has ended: @ev is its terminal event. */
typedef void (*hub_turn_cb)(const struct event *ev, const struct err *e,
			    void *arg);
void hub_await_turn(struct hub *h, const char *session, const char *turn,
		    hub_turn_cb cb, void *arg);
/* Withdraw whatever waits with this @arg; its callback will not run. */
void hub_forget(struct hub *h, const void *arg);

/* Tell @cb of each stored event that is no acp.* message. */
void hub_observe(struct hub *h, void (*cb)(const struct event *ev, void *arg),
		 void *arg);

bool event_ends_turn(const struct event *ev);

#endif
