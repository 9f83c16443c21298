/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lower.h - Committed files as a read-only file system
 *
 * One FUSE mount shows every commit that its source knows as a folder named by
 * the commit's id; the overlay of a workspace has one of these as its lower
 * tree.  Nothing in it ever changes, so the kernel keeps names, attributes, links
 * and contents for as long as it has memory, and asks for each once.  Here, a
 * directory is asked of the source whole, contents by object id, each once for
 * all who wait for it, and kept in the object cache.
 *
 * A source that does not answer costs its readers EIO after the deadline, and
 * nobody else anything; the next reader asks again.  Who waits can be killed.
 *
 * All calls and callbacks are made on the thread of the loop.  That thread must
 * never touch the mount itself, and whoever mounts an overlay over it does so
 * from another thread while the loop runs.
 */
#ifndef VFS_LOWER_H
#define VFS_LOWER_H

#include <uv.h>

#include "core/err.h"
#include "vfs/oid.h"

#define LOWER_DEADLINE_MS  15000
#define LOWER_LOOK_MS	   100 /* Between looks whether who waits is killed. */
#define LOWER_ASKS_MAX	   64  /* Of the source at a time. */
#define LOWER_DIRS_BYTES   (16u << 20) /* Directories in memory. */
#define LOWER_HOT_BYTES	   (2u << 20)  /* Small contents in memory. */
#define LOWER_OPEN_MAX	   16	       /* Large contents in use. */
#define LOWER_CHUNK	   (1u << 20)  /* Of large contents, asked at once. */
#define LOWER_AHEAD	   4	       /* Chunks asked for in advance. */
#define LOWER_STORES_MAX   256 /* Small ones on their way to the cache, */
#define LOWER_STORES_BYTES (8u << 20) /* and their bytes. */

/* @status is 0 with @n bytes, which are valid during the call only; or what went
 * wrong: -FAULT_FILE_NOT_FOUND when there is no such object. */
typedef void (*vfs_bytes_cb)(int status, const char *data, size_t n, void *arg);

/* Where commits come from.  Each function leads to one call of @cb, at any later
 * time but never before it returned; also after vfs_lower_close(), which it then
 * does not harm. */
struct vfs_source_ops {
	/* The directory of a tree or of a commit: a listing (listing.h). */
	void (*tree)(void *source, const struct vfs_oid *oid, vfs_bytes_cb cb,
		     void *arg);
	/* @len bytes of a blob from @off on; never more than LOWER_CHUNK. */
	void (*blob)(void *source, const struct vfs_oid *oid, uint64_t off,
		     size_t len, vfs_bytes_cb cb, void *arg);
};

struct vfs_lower_spec {
	const struct vfs_source_ops *ops;
	void *source;
	uint32_t uid, gid;    /* Owner of everything, in our user namespace. */
	int64_t mtime;	      /* Of everything, seconds. */
	const char *cache;    /* Folder of the object cache; NULL: none. */
	uint64_t cache_bytes; /* At most there; 0: OBJCACHE_BYTES_DEFAULT. */
	unsigned deadline_ms; /* 0: LOWER_DEADLINE_MS */
};

struct vfs_lower; /* Opaque. */

/* Open /dev/fuse in the user namespace that will mount.
 * Return: a descriptor, close-on-exec; negative errno where it is impossible. */
int vfs_fuse_open(void);

/**
 * vfs_lower_open() - Mount and serve
 * @fuse: From vfs_fuse_open() or the launcher; taken over, also on failure
 * @at:   Mount point, an existing folder
 * @spec: Copied, but not what it points to: @ops and @source stay
 *
 * Return: 0; negative errno of what cannot be done here.
 */
int vfs_lower_open(uv_loop_t *loop, int fuse, const char *at,
		   const struct vfs_lower_spec *spec, struct vfs_lower **out,
		   struct err *e);

/* Unmount; whoever waits gets EIO, what has files open there an error at the next
 * use.  @closed is called when the handles are closed and all is freed. */
void vfs_lower_close(struct vfs_lower *l, void (*closed)(void *arg), void *arg);

/* For tests and logs. */
struct vfs_lower_stats {
	uint64_t trees, blobs; /* Asked of the source. */
	uint64_t cache_hits;
	size_t nodes; /* Known to the kernel. */
	size_t dirs, dirs_bytes;
};
void vfs_lower_stats(const struct vfs_lower *l, struct vfs_lower_stats *out);

#endif
