/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lower_impl.h - What lower.c and lower_ops.c share
 */
#ifndef VFS_LOWER_IMPL_H
#define VFS_LOWER_IMPL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "vfs/ahead.h"
#include "vfs/blobs.h"
#include "vfs/dirs.h"
#include "vfs/lower.h"
#include "vfs/nodes.h"

struct op;

struct vfs_lower {
	uv_loop_t *loop;
	struct vfs_lower_spec spec;
	struct fuse_session *session;
	struct fuse_buf buf; /* For one request. */
	uv_poll_t poll;
	char *at;
	struct objcache *cache;
	struct fetch fetch;
	struct nodes nodes;
	struct dirs dirs;
	struct blobs blobs;
	struct ahead ahead;
	TAILQ_HEAD(op_list, op) interrupted;
	uv_timer_t look; /* Whether their processes are being killed. */
	uint64_t told;	 /* nodes.changes that the kernel knows of. */
	unsigned open;	 /* Parts still to be closed. */
	void (*closed)(void *arg);
	void *arg;
};

/* The kernel's requests. */
extern const struct fuse_lowlevel_ops lower_ops;

/* After each request: answer those whose process is being killed; */
void lower_end_killed(struct vfs_lower *l);
/* tell the kernel when a commit has become known or forgotten. */
void lower_tell_changes(struct vfs_lower *l);

#endif
