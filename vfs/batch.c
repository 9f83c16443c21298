// SPDX-License-Identifier: Apache-2.0
/*
 * batch.c - Add many objects to a repository at once, durably
 *
 * A pack (gitformat-pack(5), version 2, without deltas) is written to a
 * temporary file, object by object as they come; its index at the end.  Both
 * are synced before they are renamed to their names, the index last: git finds
 * a pack by its index.  The temporary files have fixed names, so what a killed
 * writer left is used up by the next; git-gc(1) knows them for garbage, too.
 *
 * A blob that is larger than memory should hold is compressed while it is
 * hashed; when it turns out to be known, the file is cut back to where the blob
 * began.
 */
#include "vfs/batch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "vfs/durable.h"
#include "vfs/sha1.h"

#define OUT_MAX	 (256u << 10) /* Bytes gathered for one write. */
#define HEADER	 12
#define DISTANT	 0x80000000u /* Offsets from here are in a second table. */
#define TMP_PACK "tmp_pack_hib"
#define TMP_IDX	 "tmp_idx_hib"

struct object {
	struct vfs_oid oid;
	uint32_t crc;
	uint64_t offset;
};

struct vfs_batch {
	struct vfs_repo *repo;
	char dir[PATH_MAX - 64]; /* objects/pack */
	int fd;
	uint64_t offset; /* Of the next byte of the pack. */
	unsigned char *out;
	size_t out_len;
	z_stream z;
	bool z_ready;

	struct object *objects;
	size_t n, cap;
	uint32_t *slots; /* Of a hash table: 1 + index, 0: free. */
	size_t n_slots;	 /* A power of 2, more than 2 n. */

	/* The object that is being written. */
	struct object now;
	struct sha1 sha;
	uint64_t left;
};

static int no_memory(struct err *e)
{
	return err_set(e, -FAULT_INTERNAL, "workspace: out of memory");
}

static int io_error(struct err *e, int code)
{
	return vfs_repo_errno(e, code, "workspace: writing objects");
}

/*
 * Files.
 */

static int write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int flush(struct vfs_batch *b)
{
	int r = write_all(b->fd, b->out, b->out_len);

	b->out_len = 0;
	return r;
}

static int put(struct vfs_batch *b, const void *data, size_t n)
{
	const unsigned char *p = data;

	b->offset += n;
	b->now.crc = (uint32_t)crc32(b->now.crc, p, (uInt)n);
	while (n > 0) {
		size_t room = OUT_MAX - b->out_len;
		size_t take = n < room ? n : room;
		int r;

		memcpy(b->out + b->out_len, p, take);
		b->out_len += take;
		p += take;
		n -= take;
		r = b->out_len == OUT_MAX ? flush(b) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Forget what was written from @offset on. */
static int cut(struct vfs_batch *b, uint64_t offset)
{
	uint64_t written = b->offset - b->out_len;

	b->offset = offset;
	if (offset >= written) {
		b->out_len = (size_t)(offset - written);
		return 0;
	}
	b->out_len = 0;
	if (ftruncate(b->fd, (off_t)offset) < 0 ||
	    lseek(b->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	return 0;
}

static void path_in(const struct vfs_batch *b, const char *name,
		    char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", b->dir, name);
}

static int open_tmp(const struct vfs_batch *b, const char *name)
{
	char path[PATH_MAX];
	int fd;

	path_in(b, name, path);
	(void)unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	return fd < 0 ? -errno : fd;
}

/*
 * Which objects are there.
 */

static size_t slot_of(const struct vfs_batch *b, const struct vfs_oid *oid)
{
	uint64_t h;
	size_t i;

	memcpy(&h, oid->b, sizeof(h));
	for (i = (size_t)h & (b->n_slots - 1); b->slots[i] != 0;
	     i = (i + 1) & (b->n_slots - 1))
		if (vfs_oid_eq(&b->objects[b->slots[i] - 1].oid, oid))
			break;
	return i;
}

static int grow(struct vfs_batch *b)
{
	size_t cap = b->cap ? 2 * b->cap : 256;
	struct object *objects = realloc(b->objects, cap * sizeof(*objects));
	uint32_t *slots;

	if (objects == NULL)
		return -ENOMEM;
	b->objects = objects;
	slots = calloc(4 * cap, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	free(b->slots);
	b->slots = slots;
	b->n_slots = 4 * cap;
	b->cap = cap;
	for (size_t i = 0; i < b->n; i++)
		b->slots[slot_of(b, &objects[i].oid)] = (uint32_t)(i + 1);
	return 0;
}

static bool is_known(struct vfs_batch *b, const struct vfs_oid *oid)
{
	git_oid id = vfs_oid_to_git(oid);

	if (b->n > 0 && b->slots[slot_of(b, oid)] != 0)
		return true;
	return git_odb_exists_ext(vfs_repo_odb(b->repo), &id,
				  GIT_ODB_LOOKUP_NO_REFRESH) != 0;
}

static int keep(struct vfs_batch *b)
{
	if (b->n == b->cap && grow(b) < 0)
		return -ENOMEM;
	b->objects[b->n] = b->now;
	b->slots[slot_of(b, &b->now.oid)] = (uint32_t)++b->n;
	return 0;
}

/*
 * Objects.
 */

static int put_head(struct vfs_batch *b, git_object_t type, uint64_t size)
{
	unsigned char head[12];
	unsigned char c = (unsigned char)((unsigned)type << 4 | (size & 15));
	size_t n = 0;

	b->now = (struct object){.offset = b->offset};
	b->now.crc = (uint32_t)crc32(0, NULL, 0);
	for (size >>= 4; size > 0; size >>= 7) {
		head[n++] = c | 0x80;
		c = size & 0x7f;
	}
	head[n++] = c;
	return put(b, head, n);
}

static int deflate_some(struct vfs_batch *b, const void *data, size_t n,
			int how)
{
	unsigned char out[16384];
	int r, z;

	b->z.next_in = (Bytef *)(uintptr_t)data;
	b->z.avail_in = (uInt)n;
	do {
		b->z.next_out = out;
		b->z.avail_out = sizeof(out);
		z = deflate(&b->z, how);
		if (z == Z_STREAM_ERROR)
			return -EIO;
		r = put(b, out, sizeof(out) - b->z.avail_out);
	} while (r == 0 &&
		 (how == Z_FINISH ? z != Z_STREAM_END : b->z.avail_out == 0));
	return r;
}

/* Pieces that zlib can count. */
static int deflate_all(struct vfs_batch *b, const char *p, size_t n, int how)
{
	const size_t most = 1u << 30;
	int r = 0;

	for (; r == 0 && n > most; p += most, n -= most)
		r = deflate_some(b, p, most, Z_NO_FLUSH);
	return r < 0 ? r : deflate_some(b, p, n, how);
}

static int write_object(struct vfs_batch *b, git_object_t type,
			const void *data, size_t n)
{
	int r = put_head(b, type, n);

	if (r == 0)
		r = deflateReset(&b->z) == Z_OK ? 0 : -EIO;
	return r < 0 ? r : deflate_all(b, data, n, Z_FINISH);
}

int vfs_batch_add(struct vfs_batch *b, git_object_t type, const void *data,
		  size_t n, struct vfs_oid *out, struct err *e)
{
	struct vfs_oid oid;
	struct sha1 s;
	int r;

	sha1_init_object(&s, git_object_type2string(type), n);
	sha1_add(&s, data, n);
	oid = sha1_end(&s);
	if (!is_known(b, &oid)) {
		r = write_object(b, type, data, n);
		b->now.oid = oid;
		if (r == 0)
			r = keep(b);
		if (r < 0)
			return io_error(e, r);
	}
	*out = oid;
	return 0;
}

int vfs_batch_blob(struct vfs_batch *b, uint64_t size, struct err *e)
{
	int r = put_head(b, GIT_OBJECT_BLOB, size);

	if (r == 0)
		r = deflateReset(&b->z) == Z_OK ? 0 : -EIO;
	if (r < 0)
		return io_error(e, r);
	sha1_init_object(&b->sha, "blob", size);
	b->left = size;
	return 0;
}

int vfs_batch_blob_data(struct vfs_batch *b, const char *data, size_t n,
			struct err *e)
{
	int r;

	if (n > b->left)
		return err_set(e, -FAULT_INTERNAL, "a blob is too long");
	b->left -= n;
	sha1_add(&b->sha, data, n);
	r = deflate_all(b, data, n, Z_NO_FLUSH);
	return r < 0 ? io_error(e, r) : 0;
}

int vfs_batch_blob_end(struct vfs_batch *b, struct vfs_oid *out, struct err *e)
{
	int r;

	if (b->left > 0)
		return err_set(e, -FAULT_INTERNAL, "a blob is too short");
	r = deflate_some(b, NULL, 0, Z_FINISH);
	b->now.oid = sha1_end(&b->sha);
	if (r == 0)
		r = is_known(b, &b->now.oid) ? cut(b, b->now.offset) : keep(b);
	if (r < 0)
		return io_error(e, r);
	*out = b->now.oid;
	return 0;
}

/*
 * The end of the pack, and its index.
 */

static void be32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

static int put_header(int fd, size_t n)
{
	unsigned char header[HEADER] = "PACK\0\0\0\2";

	be32(header + 8, (uint32_t)n);
	return pwrite(fd, header, HEADER, 0) == HEADER ? 0 : -EIO;
}

/* The number of objects stands first, so the sum can only be made now. */
static int sum_of_file(int fd, unsigned char *buf, struct vfs_oid *out)
{
	struct sha1 s;
	off_t at = 0;
	ssize_t n;

	sha1_init(&s);
	while ((n = pread(fd, buf, OUT_MAX, at)) > 0) {
		sha1_add(&s, buf, (size_t)n);
		at += n;
	}
	*out = sha1_end(&s);
	return n < 0 ? -errno : 0;
}

static int finish_pack(struct vfs_batch *b, struct vfs_oid *sum)
{
	int r = flush(b);

	if (r == 0)
		r = put_header(b->fd, b->n);
	if (r == 0)
		r = sum_of_file(b->fd, b->out, sum);
	if (r == 0)
		r = write_all(b->fd, sum->b, VFS_OID_BYTES);
	if (r == 0 && fsync(b->fd) < 0)
		r = -errno;
	return r;
}

static int by_oid(const void *a, const void *b)
{
	return memcmp(((const struct object *)a)->oid.b,
		      ((const struct object *)b)->oid.b, VFS_OID_BYTES);
}

static size_t count_far(const struct vfs_batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->objects[i].offset >= DISTANT;
	return n;
}

static unsigned char *put_fanout(unsigned char *p, const struct vfs_batch *b)
{
	size_t n = 0;

	for (unsigned first = 0; first < 256; first++, p += 4) {
		while (n < b->n && b->objects[n].oid.b[0] <= first)
			n++;
		be32(p, (uint32_t)n);
	}
	return p;
}

static unsigned char *put_offsets(unsigned char *p, const struct vfs_batch *b)
{
	unsigned char *far = p + 4 * b->n;
	uint32_t n_far = 0;

	for (size_t i = 0; i < b->n; i++, p += 4) {
		uint64_t offset = b->objects[i].offset;

		if (offset < DISTANT) {
			be32(p, (uint32_t)offset);
			continue;
		}
		be32(p, DISTANT | n_far++);
		be32(far, (uint32_t)(offset >> 32));
		be32(far + 4, (uint32_t)offset);
		far += 8;
	}
	return far;
}

/* All of an index; objects are in order. */
static size_t make_index(const struct vfs_batch *b, const struct vfs_oid *sum,
			 unsigned char *buf)
{
	unsigned char *p = buf;
	struct vfs_oid own;
	struct sha1 s;

	memcpy(p, "\377tOc\0\0\0\2", 8);
	p = put_fanout(p + 8, b);
	for (size_t i = 0; i < b->n; i++, p += VFS_OID_BYTES)
		memcpy(p, b->objects[i].oid.b, VFS_OID_BYTES);
	for (size_t i = 0; i < b->n; i++, p += 4)
		be32(p, b->objects[i].crc);
	p = put_offsets(p, b);
	memcpy(p, sum->b, VFS_OID_BYTES);
	p += VFS_OID_BYTES;
	sha1_init(&s);
	sha1_add(&s, buf, (size_t)(p - buf));
	own = sha1_end(&s);
	memcpy(p, own.b, VFS_OID_BYTES);
	return (size_t)(p + VFS_OID_BYTES - buf);
}

static int write_index(struct vfs_batch *b, const struct vfs_oid *sum)
{
	size_t most = 8 + 1024 + (VFS_OID_BYTES + 8) * b->n + 8 * count_far(b) +
		      2 * VFS_OID_BYTES;
	autoclose int fd = open_tmp(b, TMP_IDX);
	autofree unsigned char *buf = NULL;
	int r;

	if (fd < 0)
		return fd;
	buf = malloc(most);
	if (buf == NULL)
		return -ENOMEM;
	qsort(b->objects, b->n, sizeof(*b->objects), by_oid);
	r = write_all(fd, buf, make_index(b, sum, buf));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

static int give_name(const struct vfs_batch *b, const char *tmp,
		     const char *hex, const char *suffix)
{
	char from[PATH_MAX], to[PATH_MAX], name[64];

	snprintf(name, sizeof(name), "pack-%s.%s", hex, suffix);
	path_in(b, tmp, from);
	path_in(b, name, to);
	return rename(from, to) < 0 ? -errno : 0;
}

static int publish(const struct vfs_batch *b, const struct vfs_oid *sum)
{
	char hex[VFS_OID_HEX];
	int r;

	vfs_oid_format(sum, hex);
	r = give_name(b, TMP_PACK, hex, "pack");
	if (r == 0)
		r = give_name(b, TMP_IDX, hex, "idx");
	return r < 0 ? r : vfs_durable_sync_dir(b->dir);
}

static int write_pack(struct vfs_batch *b)
{
	struct vfs_oid sum;
	int r = finish_pack(b, &sum);

	if (r == 0)
		r = write_index(b, &sum);
	return r < 0 ? r : publish(b, &sum);
}

int vfs_batch_end(struct vfs_batch *b, struct err *e)
{
	int r;

	/* A killed predecessor may have given names that are not synced. */
	r = b->n > 0 ? write_pack(b) : vfs_durable_sync_dir(b->dir);
	if (r < 0)
		return io_error(e, r);
	r = git_odb_refresh(vfs_repo_odb(b->repo));
	return r < 0 ? vfs_repo_giterr(e, r, "workspace") : 0;
}

static int set_dir(struct vfs_batch *b)
{
	int n = snprintf(b->dir, sizeof(b->dir), "%s/objects/pack",
			 vfs_repo_dir(b->repo));

	return n < (int)sizeof(b->dir) ? 0 : -ENAMETOOLONG;
}

static inline void free_batch(struct vfs_batch **b)
{
	vfs_batch_free(*b);
}

int vfs_batch_begin(struct vfs_repo *r, struct vfs_batch **out, struct err *e)
{
	cleanup(free_batch) struct vfs_batch *b = calloc(1, sizeof(*b));
	int code;

	if (b == NULL)
		return no_memory(e);
	b->fd = -1;
	b->repo = r;
	code = set_dir(b);
	if (code < 0)
		return io_error(e, code);
	b->out = malloc(OUT_MAX);
	b->z_ready = deflateInit(&b->z, Z_BEST_SPEED) == Z_OK;
	if (b->out == NULL || !b->z_ready || grow(b) < 0)
		return no_memory(e);
	b->fd = open_tmp(b, TMP_PACK);
	if (b->fd < 0)
		return io_error(e, b->fd);
	code = put(b, "PACK\0\0\0\2\0\0\0\0", HEADER);
	if (code < 0)
		return io_error(e, code);
	*out = take_ptr(b);
	return 0;
}

void vfs_batch_free(struct vfs_batch *b)
{
	char path[PATH_MAX];

	if (b == NULL)
		return;
	if (b->fd >= 0) {
		path_in(b, TMP_PACK, path);
		(void)unlink(path);
		path_in(b, TMP_IDX, path);
		(void)unlink(path);
		close(b->fd);
	}
	if (b->z_ready)
		(void)deflateEnd(&b->z);
	free(b->objects);
	free(b->slots);
	free(b->out);
	free(b);
}
