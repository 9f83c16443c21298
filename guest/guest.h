/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h - The daemon in the VM: its loop, store, sessions and channel
 *
 *	NEW --start--> SERVING --freeze--> FREEZING --> FROZEN
 *	                ^   |
 *	                '---'-- freeze {warm}, thaw: guest/pause.h
 *
 * A new daemon takes the tails of logs that the host has (feed), is started by
 * the host, serves calls, and ends frozen: nothing is accepted any more, what
 * is in the log still flows to the host.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include "core/reader.h"
#include "guest/call.h"
#include "guest/cgroups.h"
#include "guest/feed.h"
#include "guest/mcp_shared.h"
#include "guest/outbox.h"
#include "guest/prewarm.h"
#include "guest/reaper.h"

struct session;
struct workspace;
struct exec;
TAILQ_HEAD(session_list, session);
TAILQ_HEAD(exec_list, exec);

struct guest_options {
	const char *state;     /* Folder of guest.db. */
	const char *run;       /* Folder of api.sock and host.sock. */
	const char *vfs;       /* Folder of /workspace's files; isolate only. */
	int fuse_fd;	       /* /dev/fuse, opened for us; or -1. */
	const char *workspace; /* What the host calls files. */
	bool isolate;	       /* A PID namespace for each agent. */
	bool machine;	       /* The host is behind ports, not sockets. */
	int take_over;	       /* File of guest/reexec.h; or -1. */
	char *const *argv;     /* All of it. */
};

enum guest_state {
	GUEST_NEW,
	GUEST_SERVING,
	GUEST_PAUSING,
	GUEST_PAUSED,
	GUEST_THAWING,
	GUEST_UPGRADING,
	GUEST_FREEZING,
	GUEST_FROZEN,
};

struct guest {
	uv_loop_t *loop;
	const struct guest_options *opt;
	enum guest_state state;
	struct store *store;
	struct reader *reader; /* Of the loop's thread. */
	struct journal_hub hub;
	struct cgroups cgroups;
	struct outbox *outbox;
	struct server *server;
	struct workspace *workspace;	 /* NULL: a guest without one. */
	struct checkpoints *checkpoints; /* Of the workspace. */
	struct turn_files *late_files;	 /* To be tried again; or NULL. */
	uv_timer_t late_timer;		 /* For them; for the last one. */
	struct last_files *last_files;	 /* Told before the VM sleeps. */
	struct fsserve *files;		 /* Of the workspace, for the host. */
	struct mcp_sharing sharing;	 /* MCP servers of many sessions. */
	struct session_list sessions;	 /* Those in memory. */
	struct prewarm_list prewarmed;	 /* Agents without one. */
	struct sqlops *sql;		 /* Databases of sessions. */
	struct lookups *lookups;	 /* In their logs. */
	struct exec_list execs;		 /* Programs that the host has run. */
	struct feed_list feeds;		 /* Late ones. */
	char vm[ID_MAX];		 /* "" until the first hello. */
	char boot_id[ID_MAX];
	int64_t generation;
	int64_t max_sessions; /* With an agent at a time. */
	bool holding;	      /* Agents are made to wait. */
	bool sweeping;	      /* Some session waits for session_sweep(). */
	unsigned n_gone;      /* Sessions freed since memory was given back. */
	unsigned stuck;	      /* Sessions that wait for the store to recover. */
	struct call_list starting; /* Calls of start, to be answered. */
	unsigned n_starting;	   /* Sessions still to be reconciled. */
	struct call_list freezing; /* Calls of freeze. */
	bool ending;		   /* End once frozen. */
	struct named *named;	   /* While NEW: see named.h. */
	struct pause *pause;	   /* PAUSING to THAWING; else NULL. */
	struct reexec *reexec;	   /* UPGRADING; else NULL. */
	bool becoming;		   /* The loop has stopped for that. */
	int64_t upgrades;	   /* In this boot. */

	/* Private. */
	bool stored; /* A commit has succeeded since the last look. */
	bool have_handles, have_reaper;
	struct reaper reaper;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_signal_t sigterm;
	uv_timer_t alone; /* Until the first hello of this boot. */
};

/* Serve until told to end.  Return: 0 or what start-up failed with. */
int guest_run(const struct guest_options *opt, struct err *e);

/* The requests of the channel that are about the daemon; each answers. */
int guest_hello(struct guest *g, struct call *c, struct err *e);
int guest_start(struct guest *g, struct call *c, struct err *e);
int guest_freeze(struct guest *g, const char *reason, struct call *c,
		 struct err *e);
void guest_poweroff(struct guest *g, struct call *c);

/* Store a row of meta. */
void guest_put_meta(struct guest *g, const char *key, const char *value);

/* The last checkpoint has been made, or given up. */
void guest_on_slept(struct guest *g);

/* Sessions that live by the store, and have no agent: suspend them.
 * Return: 0 or a negative errno. */
int guest_settle_rest(struct guest *g, struct err *e);

/* How many sessions have or are getting an agent. */
int64_t guest_live_sessions(const struct guest *g);
/* What others than the loop's thread do, which may add to a log at its end; NULL:
 * nothing. */
const char *guest_busy_work(const struct guest *g);
/* Have session_sweep() called when this turn of the loop is over. */
void guest_sweep_later(struct guest *g);

#endif
