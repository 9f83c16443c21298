/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - hibd's end of the guest channel of one machine
 *
 * A link connects, says hello, hands the guest the events that it lacks, starts
 * it and then keeps one event stream open.  A lost connection is made again for
 * as long as the machine lives; nothing is lost by it but calls on their way,
 * which end with guest_unreachable and are safe to repeat.
 *
 *	DOWN --connect--> HELLO --> FEED --> START --> UP
 *	  ^-------- connection lost, sync refused ------'
 *
 * A guest that is paused (a warm sleep, guest/pause.h) says so in its hello.  Its
 * owner has it thawed, and hello begins anew; or it stays paused, and then its
 * events flow all the same, but it takes no calls:
 *
 *	HELLO --> THAW --> HELLO		HELLO --> UP, paused
 *
 * One that has the disk of another VM (clone_of) is thawed before it is started.
 */
#ifndef HOST_DAEMON_LINK_H
#define HOST_DAEMON_LINK_H

#include "core/event.h"
#include "core/h2.h"
#include "host/backend.h"
#include "host/daemon/exchange.h"
#include "host/daemon/mirror.h"

#define LINK_LOST_MS  60000  /* Until a guest that was UP says hello again. */
#define LINK_START_MS 600000 /* Hello until UP: files are unpacked there. */
#define LINK_TICK_MS  5000   /* How often one that owes an answer is watched. */

struct link; /* Opaque. */

struct link_spec {
	uv_loop_t *loop;
	const struct backend_ops *ops;
	struct machine *machine;
	struct mirror *mirror;
	struct reader *reader;
	const char *vm;	 /* Copied. */
	const char *dir; /* VM folder; copied.  Its run/ is watched. */
	int64_t generation;
	int64_t max_sessions; /* Live at a time; the guest keeps to it. */
	/* Of /start, a JSON object; copied.  NULL: the guest is told nothing of
	 * its files. */
	const char *workspace;
	/* What a guest that is paused, or not started, may call itself until it
	 * is thawed: the VM that it was copied from; copied.  NULL: nothing
	 * else. */
	const char *clone_of;
	uint64_t tick_ms; /* 0: LINK_TICK_MS. */
};

struct link_events {
	/* The guest serves calls, or is paused (link_is_paused()).  Comes again
	 * after each reconnect, and after link_thaw(). */
	void (*up)(struct link *l, void *arg);
	/* The guest cannot be used: wrong disk, broken protocol, diverged log,
	 * or no answer in time.  Comes once; the owner ends the
	 * machine and closes the link. */
	void (*failed)(struct link *l, const struct err *e, void *arg);
	/* The guest is paused.  Write the parameters of its thaw into @params,
	 * one JSON object, and return true; false: it stays paused.  NULL: it
	 * always does. */
	bool (*thaw)(struct link *l, struct jw *params, void *arg);
	/* It has thawed, and comes up; @tails, {ses:seq}, is how far its logs go
	 * with what it wrote of that.  NULL: nobody wants to know. */
	void (*thawed)(struct link *l, struct jv tails, void *arg);
	/* Are events to come though nobody calls?  NULL: never. */
	bool (*expects)(struct link *l, void *arg);
	/* Something is expected of the guest, and for @silent_ms nothing has come
	 * from it, not even the answer to a ping.  True: the channel is made anew;
	 * then it is up again, or fails.  False: it is known what the guest waits
	 * for, ask again after as long.  NULL: always true. */
	bool (*deaf)(struct link *l, uint64_t silent_ms, void *arg);
};

/* Start connecting.  @ev must outlive the link.  NULL: out of memory. */
struct link *link_open(const struct link_spec *spec,
		       const struct link_events *ev, void *arg);
/* Open calls end with guest_unreachable during this call.  NULL is allowed. */
void link_close(struct link *l);

bool link_is_up(const struct link *l);		/* And takes calls. */
bool link_is_paused(const struct link *l);	/* Up, but for calls. */
const char *link_boot_id(const struct link *l); /* "" before hello. */
/* Is the guest one that can be paused?  The first ones take it for a cold sleep.
 * Of one that has not said hello nobody knows: true. */
bool link_can_pause(const struct link *l);
/* The version of the guest's program, and how often it has been replaced in this
 * boot; as of the last hello. */
const char *link_build(const struct link *l);
int64_t link_upgrades(const struct link *l);
/* How the guest has mounted its workspace: "plain", "overlay"; "" when it has
 * not said. */
const char *link_mode(const struct link *l);

/* The end of a call, or of an exchange that the link makes by itself. */
typedef exchange_cb link_done_cb;

/* Call a method of the guest.  @params: JSON object.  Never calls @cb before it
 * returned, but for a link that is not up: then at once. */
void link_call(struct link *l, const char *method, const char *params,
	       link_done_cb cb, void *arg);

/* For events.thaw: the member "sessions" of a guest whose logs end before ours,
 * though nobody here has set it back (a folder that was copied back, say).  They
 * go on behind ours, as after a restore (guest/rekey.h).  Return: whether there
 * are any. */
bool link_write_ahead(const struct link *l, struct jw *params);

/*
 * Calls that a paused guest takes: freeze and poweroff.  link_pause(): a freeze
 * that was to pause it has done so; from now on no other call is made.
 * link_thaw(): ask events.thaw now, whose answer is no longer "no".  link_redial():
 * nobody knows what the guest does; begin anew at hello.
 */
void link_pause(struct link *l);
void link_thaw(struct link *l);
void link_redial(struct link *l, const char *why);

/* Give a started guest a session that it does not know, whole.  Who asks while
 * that is under way joins.  Never calls @cb before it returned, but for a link
 * that is not up and without memory: then at once. */
typedef void (*link_fed_cb)(const struct err *e, void *arg);
void link_feed_session(struct link *l, const char *session, link_fed_cb cb,
		       void *arg);

/* An operation on files: POST /fs/@name, as link_call() else. */
void link_files(struct link *l, const char *name, const char *params,
		link_done_cb cb, void *arg);
/* POST to a path as a stream of the caller's, @more: the body goes on.  Return:
 * NULL when the link is not up or memory is out; else the stream, which ends with
 * the link at the latest. */
struct h2_stream *link_stream(struct link *l, const char *path,
			      const char *body, size_t len, bool more,
			      const struct h2_stream_events *ev, void *arg);
/* The same to /fs/@name. */
struct h2_stream *link_files_stream(struct link *l, const char *name,
				    const char *body, size_t len, bool more,
				    const struct h2_stream_events *ev,
				    void *arg);

/* Tell the guest what is stored; joined into one line per loop turn. */
void link_ack(struct link *l, const char *session, int64_t seq);
/* An event stream that cannot be followed: begin anew at hello.  Too often
 * without progress, and the link fails with @why. */
void link_resync(struct link *l, const struct err *why);
/* The host cannot store now: let the guest hold back, come again in a while. */
void link_later(struct link *l, const struct err *why);
/* Bytes of the event stream have been dealt with. */
void link_consume(struct link *l, size_t n);

#endif
