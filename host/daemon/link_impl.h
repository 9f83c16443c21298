/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_impl.h - Private to link*.c: the link object
 *
 *	link.c		the connection, its end, calls
 *	link_hello.c	from hello until the guest is started
 *	link_sync.c	the event stream and its acknowledgements
 *	link_watch.c	a guest that is silent
 */
#ifndef HOST_DAEMON_LINK_IMPL_H
#define HOST_DAEMON_LINK_IMPL_H

#include "host/daemon/dialer.h"
#include "host/daemon/latefeed.h"
#include "host/daemon/link.h"

enum link_state {
	LINK_DOWN,
	LINK_HELLO,
	LINK_THAW,
	LINK_FEED,
	LINK_START,
	LINK_UP
};

/* An acknowledgement not yet sent. */
struct ack {
	char session[ID_MAX];
	int64_t seq;
};

struct link {
	struct link_spec spec;
	char vm[ID_MAX], clone_of[ID_MAX];
	char boot_id[64], build[64];
	int64_t upgrades;
	char *workspace;
	char mode[16];
	const struct link_events *ev;
	void *arg;

	enum link_state state;
	bool closed, was_up;
	bool paused;	   /* The guest is, as far as we know, */
	bool frozen;	   /* or was for good when it said hello. */
	bool thawed;	   /* Between two hellos of this connection. */
	bool cannot_pause; /* As its hello says, by not saying it. */
	struct h2 *h2;
	struct h2_stream *sync;
	struct mirror_feed *feed;
	struct latefeed_list late; /* Sessions fed since it is up. */
	struct jw have; /* {"ses_..":seq,..} as sent with the next sync. */

	struct jw ahead; /* Members {"ses_..":{..},..} of a thaw; see
			  * link_write_ahead(). */

	struct ack *acks;
	size_t n_acks, cap_acks;
	uv_idle_t ack_idle;

	struct dialer *dialer;
	uv_timer_t deadline; /* While it is not up; see link_on_deadline(). */
	bool greeted;	     /* A hello was answered since it was up. */
	uv_timer_t watch; /* While something is expected; see link_watch.c. */
	uint64_t tick_ms, heard; /* Bytes, as of the last tick. */
	unsigned silent;	 /* Ticks since then. */
	bool thawing;		 /* It was told to thaw. */
	unsigned handles;	 /* Not yet closed. */
	uint64_t up_at, resynced_at;
	unsigned resyncs; /* Since resynced_at. */
	struct err full;  /* Why the host could not store; code 0: it can. */
};

/* link.c.  The guest cannot be used. */
void link_fail(struct link *l, const struct err *e);
/* The connection is of no use; it is made again. */
void link_lost(struct link *l, const char *why);
/* It is to be up in @ms. */
void link_expect(struct link *l, uint64_t ms);

/* link_hello.c: connected; ends in link_sync(). */
void link_hello(struct link *l);

/* link_sync.c: begins with l->have; up when the guest takes it. */
void link_sync(struct link *l);
/* The idle handle: acknowledgements wait. */
void link_on_ack_idle(uv_idle_t *h);

/* link_watch.c: something may be expected from now on. */
void link_watch(struct link *l);

#endif
