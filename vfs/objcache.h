/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objcache.h - What was fetched of commits, kept on the VM's disk
 *
 *	DIR/xx/<rest of the oid>	contents of a file, as they are
 *	DIR/xx/<rest of the oid>.d	a directory: its listing, and its checksum
 *	DIR/tmp/...			one that is being written
 *
 * It is only a cache: what is not there, or not as it should be, is fetched.  An
 * object gets its name when it is whole, so a kill leaves nothing but files in
 * tmp, which the next open removes.  What a crash of the machine may leave is
 * found by the object id: a small object is verified each time it is read, which
 * costs less than to sync it; a large one is verified and synced before it gets
 * its name.
 *
 * Calls block for as long as a local disk takes, and may come from any thread,
 * several at a time.
 */
#ifndef VFS_OBJCACHE_H
#define VFS_OBJCACHE_H

#include "core/err.h"
#include "vfs/oid.h"

#define OBJCACHE_BYTES_DEFAULT (1ull << 30)
#define OBJCACHE_SMALL_MAX     (1u << 20) /* Bytes of a small object. */

struct objcache; /* Opaque. */

/**
 * objcache_open() - Open or make a cache
 * @dir:       Its folder; the one above it exists
 * @max_bytes: Above that the oldest objects go; 0: OBJCACHE_BYTES_DEFAULT
 */
int objcache_open(const char *dir, uint64_t max_bytes, struct objcache **out,
		  struct err *e);
void objcache_close(struct objcache *c); /* NULL is allowed. */

/* Whether the @n bytes at @data are the blob @oid of git. */
bool objcache_is_blob(const struct vfs_oid *oid, const char *data, size_t n);

/* Read the small object of @n bytes into @buf.
 * Return: 0; -ENOENT, also after one that was damaged has been removed. */
int objcache_get(struct objcache *c, const struct vfs_oid *oid, char *buf,
		 size_t n);
/* Whether there is something by that name, which may be damaged. */
bool objcache_has(struct objcache *c, const struct vfs_oid *oid);
bool objcache_has_dir(struct objcache *c, const struct vfs_oid *oid);
/* Add a small object, which the caller has verified.
 * Return: 0, also when it is there; negative errno, -ENOSPC for one. */
int objcache_put(struct objcache *c, const struct vfs_oid *oid,
		 const char *data, size_t n);

/* The same for the listing of the directory @oid, which is no blob of git and so
 * has a checksum of its own.  @out is the caller's to free. */
int objcache_get_dir(struct objcache *c, const struct vfs_oid *oid, char **out,
		     size_t *out_n);
int objcache_put_dir(struct objcache *c, const struct vfs_oid *oid,
		     const char *data, size_t n);

/* Open a large object of @size bytes for reading.
 * Return: a descriptor, the caller's to close; -ENOENT. */
int objcache_read(struct objcache *c, const struct vfs_oid *oid, uint64_t size);

/* A large object, filled by pwrite(2) in any order. */
struct objcache_part {
	int fd; /* To read and write; stays good when the object has a name. */
	uint64_t size;
	/* Private. */
	struct vfs_oid oid;
	unsigned serial;
};

/* Return: 0; -EFBIG when those under way would take more than half the cache;
 * other negative errno.  Ends with _end(). */
int objcache_part_begin(struct objcache *c, const struct vfs_oid *oid,
			uint64_t size, struct objcache_part *out);
/* All bytes are there: verify, sync, give it its name.
 * Return: 0; -EBADMSG when it is another object; other negative errno. */
int objcache_part_keep(struct objcache *c, const struct objcache_part *p);
/* Remove what has no name yet; close the descriptor. */
void objcache_part_end(struct objcache *c, struct objcache_part *p);

#endif
