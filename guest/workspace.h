/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace.h - /workspace: what it is made of, and its thread
 *
 * The host says at each start which generation n of the workspace it is, and
 * the commit that it began as.  The same n as at the last boot: what is on the
 * disk is mounted as it is.  Another n: the workspace begins anew as that commit.
 *
 * Calls are of the main loop.  A second loop, on a thread of its own, has the
 * uplink and serves what is read from the host.
 */
#ifndef GUEST_WORKSPACE_H
#define GUEST_WORKSPACE_H

#include <uv.h>

#include "core/json.h"
#include "guest/sideloop.h"
#include "guest/uplink.h"
#include "guest/workspace_state.h"

struct workspace; /* Opaque. */

/* Paths are borrowed for good. */
struct workspace_spec {
	uv_loop_t *loop;
	const char *vfs;   /* Folder of its files. */
	const char *host;  /* Socket or port of the host stream. */
	const char *at;	   /* Where it is seen. */
	const char *lower; /* Where committed files are mounted. */
	int fuse_fd;	   /* Of vfs_lower_open(), taken over; or -1. */
};

/* Read what is on the disk and listen for the host; nothing is mounted yet.
 * Return: 0; -ENOENT when there is no such folder: a guest without it. */
int workspace_open(const struct workspace_spec *spec, struct workspace **out,
		   struct err *e);
/* Wait for the thread's end.  Mounts stay.  NULL is allowed. */
void workspace_close(struct workspace *ws);

/**
 * workspace_mount() - Mount it, as the host wants it
 * @want: {"n":N,"base":"<40 hex>"|null,"mounts":[{"at"}]?}; absent: as it is
 * @cb:   On the loop, once, unless this failed
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -EALREADY when it is being mounted.
 */
int workspace_mount(struct workspace *ws, struct jv want,
		    void (*cb)(const struct err *e, void *arg), void *arg,
		    struct err *e);
bool workspace_is_mounted(const struct workspace *ws);
/* A program that was here before us has mounted it, plain, and it is so still. */
void workspace_stay(struct workspace *ws);

/* As it is, or as it was at the last boot while it is not mounted. */
const struct workspace_state *workspace_state(const struct workspace *ws);
/* The same as a member for hello: {"n","mode","lower"}. */
void workspace_write(const struct workspace *ws, struct jw *w);

/* Have @job run on the thread of the workspace. */
void workspace_run(struct workspace *ws, struct sideloop_job *job);
/* For jobs, on that thread: its loop, and the uplink, NULL once the guest is
 * ending. */
uv_loop_t *workspace_loop(struct workspace *ws);
struct uplink *workspace_uplink(struct workspace *ws);
/* The folder of vfs.db, upper/ and so on. */
int workspace_dir(const struct workspace *ws);
/* Records of vfs/passing.h; -1: there are none, or @ws is NULL.  What they say is
 * removed as it is mounted. */
int workspace_passing(const struct workspace *ws);

#endif
