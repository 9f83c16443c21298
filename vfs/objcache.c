// SPDX-License-Identifier: Apache-2.0
/*
 * objcache.c - What was fetched of commits, kept on the VM's disk
 *
 * How much is there is counted by walking it, once after the first object was
 * added and then whenever the count since has gone beyond the limit; the same
 * walk finds what to remove, the oldest first, until a quarter is free.
 */
#include "vfs/objcache.h"

#include <dirent.h>
#include <fcntl.h>
#include <nettle/sha1.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vfs/listing.h"

#define FOLDERS	    256
#define PATH_BYTES  64 /* "xx/<38 hex>" and "tmp/<serial>". */
#define HASH_PIECE  (256u << 10)
#define TMP	    "tmp"
#define FOLDER_MODE 0700
#define DIR_SUFFIX  ".d"

struct objcache {
	int dir;
	uint64_t max_bytes;
	atomic_uint serial; /* Of the next file in tmp. */
	_Atomic uint64_t bytes;
	_Atomic uint64_t parts; /* Bytes of large objects under way. */
	atomic_bool counted;	/* bytes is true, not only what was added. */
	atomic_flag trimming;
};

struct found {
	struct timespec mtime;
	uint64_t size;
	char path[PATH_BYTES];
};

struct founds {
	struct found *v;
	size_t n, cap;
};

/* @suffix is "" or DIR_SUFFIX. */
static void object_path(const struct vfs_oid *oid, const char *suffix,
			char out[PATH_BYTES])
{
	char hex[VFS_OID_HEX];

	vfs_oid_format(oid, hex);
	snprintf(out, PATH_BYTES, "%.2s/%s%s", hex, hex + 2, suffix);
}

static void tmp_path(unsigned serial, char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, TMP "/%u", serial);
}

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static DIR *open_folder(const struct objcache *c, const char *name)
{
	int fd = openat(c->dir, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static int empty_tmp(const struct objcache *c)
{
	cleanup(close_dirp) DIR *tmp = NULL;
	const struct dirent *entry;

	if (mkdirat(c->dir, TMP, FOLDER_MODE) < 0 && errno != EEXIST)
		return -errno;
	tmp = open_folder(c, TMP);
	if (tmp == NULL)
		return -errno;
	while ((entry = readdir(tmp)) != NULL)
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(tmp), entry->d_name, 0);
	return 0;
}

int objcache_open(const char *dir, uint64_t max_bytes, struct objcache **out,
		  struct err *e)
{
	struct objcache *c;
	int r;

	if (mkdir(dir, FOLDER_MODE) < 0 && errno != EEXIST) {
		r = -errno;
		return err_set(e, r, "make %s: %s", dir, strerror(-r));
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_set(e, -ENOMEM, "object cache: out of memory");
	c->max_bytes = max_bytes > 0 ? max_bytes : OBJCACHE_BYTES_DEFAULT;
	atomic_flag_clear(&c->trimming);
	c->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = c->dir < 0 ? -errno : empty_tmp(c);
	if (r < 0) {
		objcache_close(c);
		return err_set(e, r, "open %s: %s", dir, strerror(-r));
	}
	*out = c;
	return 0;
}

void objcache_close(struct objcache *c)
{
	if (c == NULL)
		return;
	if (c->dir >= 0)
		close(c->dir);
	free(c);
}

/* --- ids --- */

static void hash_begin(struct sha1_ctx *h, uint64_t n)
{
	char head[32];
	int len = snprintf(head, sizeof(head), "blob %llu",
			   (unsigned long long)n);

	sha1_init(h);
	sha1_update(h, (size_t)len + 1, (const uint8_t *)head);
}

static struct vfs_oid hash_end(struct sha1_ctx *h)
{
	struct vfs_oid oid;

	sha1_digest(h, sizeof(oid.b), oid.b);
	return oid;
}

static struct vfs_oid hash_blob(const char *data, size_t n)
{
	struct sha1_ctx h;

	hash_begin(&h, n);
	sha1_update(&h, n, (const uint8_t *)data);
	return hash_end(&h);
}

bool objcache_is_blob(const struct vfs_oid *oid, const char *data, size_t n)
{
	const struct vfs_oid is = hash_blob(data, n);

	return vfs_oid_eq(&is, oid);
}

/* --- what is too much --- */

static int note(struct founds *all, DIR *folder, const char *in,
		const char *name)
{
	struct stat st;

	if (fstatat(dirfd(folder), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	if (all->n == all->cap) {
		size_t cap = all->cap > 0 ? 2 * all->cap : 1024;
		struct found *v = realloc(all->v, cap * sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		all->v = v;
		all->cap = cap;
	}
	all->v[all->n].mtime = st.st_mtim;
	all->v[all->n].size = (uint64_t)st.st_size;
	snprintf(all->v[all->n].path, PATH_BYTES, "%s/%.40s", in, name);
	all->n++;
	return 0;
}

static int walk(const struct objcache *c, struct founds *all)
{
	int r = 0;

	for (unsigned i = 0; i < FOLDERS && r == 0; i++) {
		cleanup(close_dirp) DIR *folder = NULL;
		const struct dirent *entry;
		char name[3];

		snprintf(name, sizeof(name), "%02x", i);
		folder = open_folder(c, name);
		while (folder != NULL && r == 0 &&
		       (entry = readdir(folder)) != NULL)
			r = note(all, folder, name, entry->d_name);
	}
	return r;
}

static int older(const void *a, const void *b)
{
	const struct timespec *x = &((const struct found *)a)->mtime;
	const struct timespec *y = &((const struct found *)b)->mtime;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static void remove_oldest(struct objcache *c, struct founds *all)
{
	uint64_t bytes = 0, low = c->max_bytes - c->max_bytes / 4;

	for (size_t i = 0; i < all->n; i++)
		bytes += all->v[i].size;
	if (bytes > c->max_bytes) {
		qsort(all->v, all->n, sizeof(*all->v), older);
		for (size_t i = 0; i < all->n && bytes > low; i++)
			if (unlinkat(c->dir, all->v[i].path, 0) == 0)
				bytes -= all->v[i].size;
	}
	atomic_store(&c->bytes, bytes);
	atomic_store(&c->counted, true);
}

static void added(struct objcache *c, uint64_t n)
{
	struct founds all = {0};

	if (atomic_fetch_add(&c->bytes, n) + n <= c->max_bytes &&
	    atomic_load(&c->counted))
		return;
	if (atomic_flag_test_and_set(&c->trimming))
		return;
	if (walk(c, &all) == 0)
		remove_oldest(c, &all);
	free(all.v);
	atomic_flag_clear(&c->trimming);
}

/* --- objects --- */

static bool read_all(int fd, char *buf, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, buf, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		buf += got;
		n -= (size_t)got;
	}
	return true;
}

/* Return: a descriptor with the file's size; -ENOENT. */
static int open_object(struct objcache *c, const char *path, uint64_t *out_size)
{
	autoclose int fd =
		openat(c->dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	*out_size = (uint64_t)st.st_size;
	return take_fd(&fd);
}

int objcache_read(struct objcache *c, const struct vfs_oid *oid, uint64_t size)
{
	char path[PATH_BYTES];
	autoclose int fd = -1;
	uint64_t is;

	object_path(oid, "", path);
	fd = open_object(c, path, &is);
	if (fd < 0)
		return -ENOENT;
	if (is != size) {
		(void)unlinkat(c->dir, path, 0);
		return -ENOENT;
	}
	return take_fd(&fd);
}

int objcache_get(struct objcache *c, const struct vfs_oid *oid, char *buf,
		 size_t n)
{
	autoclose int fd = objcache_read(c, oid, n);
	char path[PATH_BYTES];

	if (fd < 0)
		return fd;
	if (read_all(fd, buf, n) && objcache_is_blob(oid, buf, n))
		return 0;
	object_path(oid, "", path);
	(void)unlinkat(c->dir, path, 0);
	return -ENOENT;
}

static bool has(struct objcache *c, const struct vfs_oid *oid,
		const char *suffix)
{
	char path[PATH_BYTES];

	object_path(oid, suffix, path);
	return faccessat(c->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool objcache_has(struct objcache *c, const struct vfs_oid *oid)
{
	return has(c, oid, "");
}

bool objcache_has_dir(struct objcache *c, const struct vfs_oid *oid)
{
	return has(c, oid, DIR_SUFFIX);
}

/* Return: the listing in a file of @size bytes; NULL when it is damaged. */
static char *read_dir(int fd, uint64_t size, size_t *out_n)
{
	struct vfs_oid sum;
	autofree char *data = NULL;
	size_t n;

	if (size < sizeof(sum) || size > LISTING_BYTES_MAX + sizeof(sum))
		return NULL;
	data = malloc(size);
	if (data == NULL || !read_all(fd, data, size))
		return NULL;
	n = (size_t)size - sizeof(sum);
	memcpy(&sum, data + n, sizeof(sum));
	if (!objcache_is_blob(&sum, data, n))
		return NULL;
	*out_n = n;
	return take_ptr(data);
}

int objcache_get_dir(struct objcache *c, const struct vfs_oid *oid, char **out,
		     size_t *out_n)
{
	char path[PATH_BYTES], *data;
	autoclose int fd = -1;
	uint64_t size;

	object_path(oid, DIR_SUFFIX, path);
	fd = open_object(c, path, &size);
	if (fd < 0)
		return -ENOENT;
	data = read_dir(fd, size, out_n);
	if (data == NULL) {
		(void)unlinkat(c->dir, path, 0);
		return -ENOENT;
	}
	*out = data;
	return 0;
}

static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, data, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Its folder is made when the first object comes. */
static int give_name(struct objcache *c, unsigned serial, const char *to)
{
	char from[PATH_BYTES], folder[3] = {0};

	tmp_path(serial, from);
	if (renameat(c->dir, from, c->dir, to) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	memcpy(folder, to, 2);
	if (mkdirat(c->dir, folder, FOLDER_MODE) < 0 && errno != EEXIST)
		return -errno;
	return renameat(c->dir, from, c->dir, to) < 0 ? -errno : 0;
}

static int open_tmp(struct objcache *c, unsigned *out_serial)
{
	unsigned serial = atomic_fetch_add(&c->serial, 1);
	char path[PATH_BYTES];
	int fd;

	tmp_path(serial, path);
	fd = openat(c->dir, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*out_serial = serial;
	return fd;
}

static void remove_tmp(struct objcache *c, unsigned serial)
{
	char path[PATH_BYTES];

	tmp_path(serial, path);
	(void)unlinkat(c->dir, path, 0);
}

/* Write a file of two pieces. */
static int put(struct objcache *c, const char *path, const char *data, size_t n,
	       const void *tail, size_t tail_len)
{
	unsigned serial = 0;
	autoclose int fd = open_tmp(c, &serial);
	int r = fd < 0 ? fd : write_all(fd, data, n);

	if (fd < 0)
		return r;
	if (r == 0)
		r = write_all(fd, tail, tail_len);
	if (r == 0)
		r = give_name(c, serial, path);
	if (r < 0)
		remove_tmp(c, serial);
	else
		added(c, n + tail_len);
	return r;
}

int objcache_put(struct objcache *c, const struct vfs_oid *oid,
		 const char *data, size_t n)
{
	char path[PATH_BYTES];

	object_path(oid, "", path);
	return put(c, path, data, n, "", 0);
}

int objcache_put_dir(struct objcache *c, const struct vfs_oid *oid,
		     const char *data, size_t n)
{
	const struct vfs_oid sum = hash_blob(data, n);
	char path[PATH_BYTES];

	object_path(oid, DIR_SUFFIX, path);
	return put(c, path, data, n, &sum, sizeof(sum));
}

int objcache_part_begin(struct objcache *c, const struct vfs_oid *oid,
			uint64_t size, struct objcache_part *out)
{
	struct objcache_part p = {.oid = *oid, .size = size};
	int r = 0;

	if (atomic_fetch_add(&c->parts, size) + size > c->max_bytes / 2)
		r = -EFBIG;
	if (r == 0) {
		p.fd = open_tmp(c, &p.serial);
		r = p.fd < 0 ? p.fd : 0;
	}
	if (r < 0) {
		atomic_fetch_sub(&c->parts, size);
		return r;
	}
	if (ftruncate(p.fd, (off_t)size) < 0) {
		r = -errno;
		objcache_part_end(c, &p);
		return r;
	}
	*out = p;
	return 0;
}

static int verify_file(int fd, uint64_t size, const struct vfs_oid *oid)
{
	autofree char *piece = malloc(HASH_PIECE);
	struct vfs_oid is;
	struct sha1_ctx h;
	uint64_t at = 0;

	if (piece == NULL)
		return -ENOMEM;
	hash_begin(&h, size);
	while (at < size) {
		ssize_t n = pread(fd, piece, HASH_PIECE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		sha1_update(&h, (size_t)n, (const uint8_t *)piece);
		at += (uint64_t)n;
	}
	is = hash_end(&h);
	return vfs_oid_eq(&is, oid) ? 0 : -EBADMSG;
}

int objcache_part_keep(struct objcache *c, const struct objcache_part *p)
{
	int r = verify_file(p->fd, p->size, &p->oid);
	char path[PATH_BYTES];

	object_path(&p->oid, "", path);
	if (r == 0 && fdatasync(p->fd) < 0)
		r = -errno;
	if (r == 0)
		r = give_name(c, p->serial, path);
	if (r == 0)
		added(c, p->size);
	return r;
}

void objcache_part_end(struct objcache *c, struct objcache_part *p)
{
	remove_tmp(c, p->serial);
	close(p->fd);
	p->fd = -1;
	atomic_fetch_sub(&c->parts, p->size);
}
