// SPDX-License-Identifier: Apache-2.0
/*
 * treecopy.c - Copy a folder with all that is in it, or take its hash
 *
 * A folder gets its attributes when all of it is there, so one that is closed to
 * its owner is filled first, and what is in it inherits nothing.  The second name of a file is made a link to the
 * first, by its path in the copy, which nobody else writes to.
 */
#include "host/treecopy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <nettle/sha2.h>
#include <search.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "host/acl.h"
#include "host/treewalk.h"

#define BLOCK	   4096u
#define PIECE	   (256u << 10)
#define XATTR_MAX  (64u << 10) /* What the kernel allows. */
#define TARGET_MAX 4096

/* --- contents -------------------------------------------------------------- */

/* Call @cb for the pieces of a file that are no holes. */
struct pieces {
	int (*cb)(const char *data, size_t n, off_t at, void *arg);
	void *arg;
	const atomic_bool *stop;
};

static int each_piece(int fd, off_t size, const struct pieces *p, char *buf)
{
	off_t at = 0;

	while (at < size) {
		off_t from = lseek(fd, at, SEEK_DATA);
		off_t to = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);

		if (from < 0 && errno == ENXIO)
			return 0; /* Only a hole is left. */
		if (from < 0 || to < 0)
			return -errno;
		from -= from % (off_t)BLOCK;
		for (at = from; at < to;) {
			size_t want = to - at < (off_t)PIECE ? (size_t)(to - at)
							     : PIECE;
			ssize_t n = pread(fd, buf, want, at);
			int r;

			if (p->stop != NULL && atomic_load(p->stop))
				return -ECANCELED;
			if (n < 0)
				return -errno;
			if (n == 0)
				return 0; /* It has shrunk. */
			r = p->cb(buf, (size_t)n, at, p->arg);
			if (r < 0)
				return r;
			at += n;
		}
	}
	return 0;
}

static int read_pieces(int fd, off_t size, const struct pieces *p)
{
	autofree char *buf = malloc(PIECE);

	return buf == NULL ? -ENOMEM : each_piece(fd, size, p, buf);
}

static bool is_zero(const char *data, size_t n)
{
	return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

struct writing {
	int fd;
	uint64_t bytes;
};

/* Blocks of zeros become holes. */
static int write_piece(const char *data, size_t n, off_t at, void *arg)
{
	struct writing *w = arg;

	for (size_t i = 0; i < n;) {
		size_t len = n - i < BLOCK ? n - i : BLOCK, end = i + len;

		if (is_zero(data + i, len)) {
			i = end;
			continue;
		}
		while (end < n) {
			size_t more = n - end < BLOCK ? n - end : BLOCK;

			if (is_zero(data + end, more))
				break;
			end += more;
		}
		while (i < end) {
			ssize_t r =
				pwrite(w->fd, data + i, end - i, at + (off_t)i);

			if (r <= 0)
				return r < 0 ? -errno : -ENOSPC;
			i += (size_t)r;
			w->bytes += (uint64_t)r;
		}
	}
	return 0;
}

int treecopy_file(int from, int to, const atomic_bool *stop, uint64_t *bytes)
{
	struct writing w = {.fd = to};
	struct pieces p = {.cb = write_piece, .arg = &w, .stop = stop};
	struct stat st;
	int r;

	if (fstat(from, &st) < 0)
		return -errno;
	if (st.st_size > 0 && ioctl(to, FICLONE, from) == 0) {
		*bytes += (uint64_t)st.st_blocks * 512;
		return 0;
	}
	r = read_pieces(from, st.st_size, &p);
	if (r == 0 && ftruncate(to, st.st_size) < 0)
		r = -errno;
	*bytes += w.bytes;
	return r;
}

/* --- copy ------------------------------------------------------------------ */

struct copying {
	struct treecopy *c;
	int to[TREEWALK_DEPTH_MAX + 1]; /* Folders of the copy, by depth. */
	unsigned depth;
	void *links; /* Of struct linked, by file. */
};

struct linked {
	dev_t dev;
	ino_t ino;
	char path[];
};

static int by_file(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Return: 1 when it was made a link to an earlier one, which has the same file;
 * 0 when it is the first. */
static int copy_link(struct copying *k, const struct treewalk_entry *en, int to)
{
	size_t n = strlen(en->path) + 1;
	struct linked *l = calloc(1, sizeof(*l) + n), **at;

	if (l == NULL)
		return -ENOMEM;
	l->dev = en->st->st_dev;
	l->ino = en->st->st_ino;
	memcpy(l->path, en->path, n);
	at = tsearch(l, &k->links, by_file);
	if (at == NULL) {
		free(l);
		return -ENOMEM;
	}
	if (*at == l)
		return 0;
	free(l);
	/* A path that is too long to be named is a file of its own. */
	return linkat(k->to[0], (*at)->path, to, en->name, 0) == 0;
}

static bool keeps_xattr(const char *name)
{
	return strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "trusted.overlay.", 16) == 0 ||
	       strcmp(name, ACL_ACCESS) == 0 ||
	       strcmp(name, ACL_DEFAULT) == 0 ||
	       (strcmp(name, ACL_CAPABILITY) == 0 && geteuid() == 0);
}

/* Has the file system none of these, or may we not give them? */
static bool is_optional(const char *name, int error)
{
	return strncmp(name, "user.", 5) != 0 &&
	       strncmp(name, "trusted.", 8) != 0 &&
	       (error == ENOTSUP || error == EPERM);
}

static uid_t new_owner(const struct treecopy *c, uid_t id)
{
	return c->n > 0 && id >= c->first && id - c->first < c->n
		       ? id - c->first + c->becomes
		       : id;
}

static uint32_t new_id(uint32_t id, const void *arg)
{
	return new_owner(arg, id);
}

/* Of one descriptor to another, which has its owner: that takes some away. */
static int copy_xattrs(const struct treecopy *c, int from, int to)
{
	autofree char *names = malloc(2 * XATTR_MAX);
	ssize_t n, len;

	if (names == NULL)
		return -ENOMEM;
	n = flistxattr(from, names, XATTR_MAX);
	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *p = names; p < names + n; p += strlen(p) + 1) {
		char *value = names + XATTR_MAX;

		if (!keeps_xattr(p))
			continue;
		len = fgetxattr(from, p, value, XATTR_MAX);
		if (len >= 0)
			(void)acl_map(p, value, (size_t)len, new_id, c);
		if ((len < 0 || fsetxattr(to, p, value, (size_t)len, 0) < 0) &&
		    !is_optional(p, errno))
			return -errno;
	}
	return 0;
}

static int set_owner(const struct treecopy *c, const struct stat *st, int at,
		     const char *name)
{
	const int flags =
		AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0);

	return geteuid() == 0 && fchownat(at, name, new_owner(c, st->st_uid),
					  new_owner(c, st->st_gid), flags) < 0
		       ? -errno
		       : 0;
}

/* All that a file or a folder, @from, has but its content. */
static int copy_attributes(const struct treecopy *c, const struct stat *st,
			   int from, int to)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	int r = set_owner(c, st, to, "");

	if (r == 0)
		r = copy_xattrs(c, from, to);
	if (r < 0)
		return r;
	return fchmod(to, st->st_mode & 07777) < 0 || futimens(to, times) < 0
		       ? -errno
		       : 0;
}

/* Of what is not opened: a link, a fifo, a device. */
static int copy_looks(const struct treecopy *c, const struct stat *st, int at,
		      const char *name)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	int r = set_owner(c, st, at, name);

	if (r == 0 && utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r;
}

static int copy_regular(struct copying *k, const struct treewalk_entry *en,
			int to)
{
	autoclose int in = -1, out = -1;
	int r = en->st->st_nlink > 1 ? copy_link(k, en, to) : 0;

	if (r != 0)
		return r < 0 ? r : 0;
	in = treewalk_open(en);
	if (in < 0)
		return in;
	out = openat(to, en->name,
		     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		     0600);
	if (out < 0)
		return -errno;
	r = treecopy_file(in, out, k->c->stop, &k->c->bytes);
	return r < 0 ? r : copy_attributes(k->c, en->st, in, out);
}

static int copy_symlink(struct copying *k, const struct treewalk_entry *en,
			int to)
{
	char target[TARGET_MAX];
	ssize_t n = readlinkat(en->at, en->name, target, sizeof(target));

	if (n < 0)
		return -errno;
	if (n == (ssize_t)sizeof(target))
		return -ENAMETOOLONG;
	target[n] = '\0';
	if (symlinkat(target, to, en->name) < 0)
		return -errno;
	return copy_looks(k->c, en->st, to, en->name);
}

static int copy_special(struct copying *k, const struct treewalk_entry *en,
			int to)
{
	if (mknodat(to, en->name, en->st->st_mode & (S_IFMT | 0777),
		    en->st->st_rdev) < 0)
		return -errno;
	return copy_looks(k->c, en->st, to, en->name);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static bool is_wanted(const struct treecopy *c, const char *path)
{
	return c->wants == NULL || path[0] == '\0' || c->wants(path);
}

static int copy_other(const struct treewalk_entry *en, void *arg)
{
	struct copying *k = arg;
	int to = k->to[en->depth - 1];

	if (!is_wanted(k->c, en->path))
		return 0;
	if (k->c->stop != NULL && atomic_load(k->c->stop))
		return -ECANCELED;
	if (S_ISREG(en->st->st_mode))
		return copy_regular(k, en, to);
	if (S_ISLNK(en->st->st_mode))
		return copy_symlink(k, en, to);
	if (S_ISFIFO(en->st->st_mode) || is_whiteout(en->st))
		return copy_special(k, en, to);
	return 0;
}

static int copy_enter(const struct treewalk_entry *en, void *arg)
{
	struct copying *k = arg;
	const bool top = en->depth == 0;
	int at = top ? k->c->to_at : k->to[en->depth - 1];
	const char *name = top ? k->c->to : en->name;
	int fd;

	if (!is_wanted(k->c, en->path))
		return 1;
	if (mkdirat(at, name, 0700) < 0)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	k->to[en->depth] = fd;
	k->depth = en->depth + 1;
	return 0;
}

static int copy_leave(const struct treewalk_entry *en, void *arg)
{
	struct copying *k = arg;
	int r;

	if (!is_wanted(k->c, en->path))
		return 0;
	r = copy_attributes(k->c, en->st, en->fd, k->to[en->depth]);
	/* What is made last may look a file up by its path. */
	if (en->depth > 0)
		close(k->to[en->depth]);
	k->depth = en->depth > 0 ? en->depth : 1;
	return r;
}

static int tree_fail(struct err *e, int r, const char *verb, const char *name)
{
	if (r == -ELOOP)
		return err_set(e, -FAULT_QUOTA_EXCEEDED,
			       "%s %s: folders are more than %d deep", verb,
			       name, TREEWALK_DEPTH_MAX);
	return err_set(e, r, "%s %s: %s", verb, name, strerror(-r));
}

int treecopy(struct treecopy *c, struct err *e)
{
	struct copying k = {.c = c};
	const struct treewalk w = {
		.enter = copy_enter,
		.leave = copy_leave,
		.other = copy_other,
		.arg = &k,
	};
	int r = treewalk(c->from_at, c->from, &w);

	if (r == 0 && syncfs(k.to[0]) < 0)
		r = -errno;
	while (k.depth > 0)
		close(k.to[--k.depth]);
	tdestroy(k.links, free);
	return r < 0 ? tree_fail(e, r, "copy", c->from) : 0;
}

/* --- hash ------------------------------------------------------------------ */

struct hashing {
	struct sha256_ctx sha;
	uint64_t bytes;
};

static void hash_number(struct sha256_ctx *sha, uint64_t n)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(n >> (8 * i));
	sha256_update(sha, sizeof(bytes), bytes);
}

static void hash_text(struct sha256_ctx *sha, const char *text, size_t n)
{
	hash_number(sha, n);
	sha256_update(sha, n, (const uint8_t *)text);
}

static int hash_piece(const char *data, size_t n, off_t at, void *arg)
{
	struct hashing *h = arg;

	for (size_t i = 0; i < n; i += BLOCK) {
		size_t len = n - i < BLOCK ? n - i : BLOCK;

		if (is_zero(data + i, len))
			continue;
		hash_number(&h->sha, (uint64_t)at + i);
		sha256_update(&h->sha, len, (const uint8_t *)data + i);
		h->bytes += len;
	}
	return 0;
}

int treecopy_hash_file(int fd, uint8_t hash[TREE_HASH_LEN], uint64_t *bytes)
{
	struct hashing h = {0};
	const struct pieces p = {.cb = hash_piece, .arg = &h};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	sha256_init(&h.sha);
	hash_number(&h.sha, (uint64_t)st.st_size);
	r = read_pieces(fd, st.st_size, &p);
	sha256_digest(&h.sha, TREE_HASH_LEN, hash);
	*bytes += h.bytes;
	return r;
}

static int hash_entry(struct hashing *h, const struct treewalk_entry *en)
{
	hash_text(&h->sha, en->path, strlen(en->path));
	hash_number(&h->sha, en->st->st_mode);
	return 0;
}

static int hash_enter(const struct treewalk_entry *en, void *arg)
{
	return hash_entry(arg, en);
}

static int hash_target(struct hashing *h, const struct treewalk_entry *en)
{
	char target[TARGET_MAX];
	ssize_t n = readlinkat(en->at, en->name, target, sizeof(target));

	if (n < 0)
		return -errno;
	hash_text(&h->sha, target, (size_t)n);
	return 0;
}

static int hash_content(struct hashing *h, const struct treewalk_entry *en)
{
	autoclose int fd = treewalk_open(en);
	uint8_t digest[TREE_HASH_LEN];
	int r = fd < 0 ? fd : treecopy_hash_file(fd, digest, &h->bytes);

	if (r == 0)
		sha256_update(&h->sha, sizeof(digest), digest);
	return r;
}

static int hash_other(const struct treewalk_entry *en, void *arg)
{
	(void)hash_entry(arg, en);
	if (S_ISLNK(en->st->st_mode))
		return hash_target(arg, en);
	return S_ISREG(en->st->st_mode) ? hash_content(arg, en) : 0;
}

int treecopy_hash(int at, const char *name, uint8_t hash[TREE_HASH_LEN],
		  uint64_t *bytes, struct err *e)
{
	struct hashing h = {0};
	const struct treewalk w = {
		.enter = hash_enter, .other = hash_other, .arg = &h};
	int r;

	sha256_init(&h.sha);
	r = treewalk(at, name, &w);
	sha256_digest(&h.sha, TREE_HASH_LEN, hash);
	*bytes += h.bytes;
	return r < 0 ? tree_fail(e, r, "read", name) : 0;
}
