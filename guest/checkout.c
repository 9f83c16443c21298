// SPDX-License-Identifier: Apache-2.0
/*
 * checkout.c - All files of a commit, put into upper/
 *
 * A stack of folders, each with its listing and how far that is read.  The one
 * on top is read on while there is room for one more file to be fetched; a
 * folder in it is made and goes on top.  So memory is bounded by the depth, and
 * by CHECKOUT_FILES files at a time, each with one piece of its content.
 *
 * A file is written under a name of its own in work/ and renamed when it is
 * whole.  The first failure ends the pumping; the end is told when the last
 * request has come back.
 */
#include "guest/checkout.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "core/log.h"
#include "guest/limits.h"
#include "vfs/listing.h"

#define LOG_COMPONENT "checkout"
#define URL_MAX	      128
#define TEMP_MAX      48
#define OPAQUE	      "user.overlay.opaque"

/* A folder: on the stack, or with files that are being fetched. */
struct folder {
	SLIST_ENTRY(folder) link;
	unsigned refs;
	int fd;
	bool loaded;
	char *listing;
	struct listing_reader reader;
};

struct checkout {
	struct checkout_spec spec;
	SLIST_HEAD(folder_stack, folder) stack;
	unsigned n_requests;
	uint64_t n_files, n_temp;
	bool pumping, over;
	struct err err; /* The first failure. */
};

/* A file, or a symbolic link, that is being fetched. */
struct fetch {
	struct checkout *checkout;
	struct folder *folder;
	struct vfs_oid oid;
	mode_t mode;
	uint64_t off, size;
	int fd; /* Of the temporary file. */
	char temp[TEMP_MAX];
	char name[VFS_NAME_MAX + 1];
};

static void pump(struct checkout *c);

static int fail(struct err *e, const char *verb, const char *name)
{
	int code = -errno;

	return err_set(e, code, "checkout: %s %.100s: %s", verb, name,
		       strerror(-code));
}

static void checkout_fail(struct checkout *c, const struct err *e)
{
	if (c->err.code == 0)
		c->err = *e;
}

/* --- folders --- */

static void folder_unref(struct folder *f)
{
	if (--f->refs > 0)
		return;
	close_fd(&f->fd);
	free(f->listing);
	free(f);
}

static void folder_pop(struct checkout *c)
{
	struct folder *f = SLIST_FIRST(&c->stack);

	SLIST_REMOVE_HEAD(&c->stack, link);
	folder_unref(f);
}

static void folder_on_listing(const struct err *e, char *body, size_t n,
			      void *arg)
{
	struct checkout *c = arg;
	struct folder *f = SLIST_FIRST(&c->stack);
	struct err why = {0};

	c->n_requests--;
	f->loaded = true;
	if (e == NULL) {
		f->listing = malloc(n + 1);
		if (f->listing == NULL) {
			err_set(&why, -ENOMEM, "checkout: out of memory");
		} else {
			memcpy(f->listing, body, n);
			(void)listing_read(&f->reader, f->listing, n, &why);
		}
		e = why.code < 0 ? &why : NULL;
	}
	if (e != NULL)
		checkout_fail(c, e);
	pump(c);
}

static int ask(struct checkout *c, const char *path, size_t max,
	       const struct uplink_events *ev, void *arg, struct err *e)
{
	const struct uplink_spec spec = {
		.method = "GET",
		.path = path,
		.answer_max = max,
		.ev = ev,
		.arg = arg,
	};

	if (uplink_request(c->spec.uplink, &spec) == NULL)
		return err_set(e, -ENOMEM, "checkout: out of memory");
	c->n_requests++;
	return 0;
}

/* Put a folder on the stack and ask for its listing.  @fd is taken. */
static int folder_push(struct checkout *c, int fd, const struct vfs_oid *oid,
		       struct err *e)
{
	static const struct uplink_events events = {.done = folder_on_listing};
	struct folder *f = calloc(1, sizeof(*f));
	char hex[VFS_OID_HEX], path[URL_MAX];

	if (f == NULL) {
		close(fd);
		return err_set(e, -ENOMEM, "checkout: out of memory");
	}
	f->fd = fd;
	f->refs = 1;
	SLIST_INSERT_HEAD(&c->stack, f, link);
	snprintf(path, sizeof(path), "/tree/%s", vfs_oid_format(oid, hex));
	return ask(c, path, LISTING_BYTES_MAX, &events, c, e);
}

static int open_folder(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static bool is_opaque(int dir)
{
	char value;

	return fgetxattr(dir, OPAQUE, &value, 1) == 1 && value == 'y';
}

/* Go into a folder, unless something else is in its place, or it hides what the
 * commit has. */
static int enter_folder(struct checkout *c, const struct vfs_entry *entry,
			struct err *e)
{
	const struct folder *top = SLIST_FIRST(&c->stack);
	const mode_t mode = entry->mode & 07777;
	const unsigned owner = c->spec.owner;
	bool is_new = mkdirat(top->fd, entry->name, 0700) == 0;
	autoclose int fd = -1;

	if (!is_new && errno != EEXIST)
		return fail(e, "make", entry->name);
	fd = open_folder(top->fd, entry->name);
	if (fd < 0 && !is_new && (errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0)
		return fail(e, "open", entry->name);
	if (is_new && ((owner != 0 && fchown(fd, owner, owner) < 0) ||
		       fchmod(fd, mode) < 0))
		return fail(e, "own", entry->name);
	if (!is_new && is_opaque(fd))
		return 0;
	return folder_push(c, take_fd(&fd), &entry->oid, e);
}

/* --- files --- */

static void fetch_free(struct fetch *f)
{
	if (f->fd >= 0 && f->temp[0] != '\0')
		(void)unlinkat(f->checkout->spec.dir, f->temp, 0);
	close_fd(&f->fd);
	folder_unref(f->folder);
	free(f);
}

static int write_piece(struct fetch *f, const char *data, size_t n,
		       struct err *e)
{
	while (n > 0) {
		ssize_t r = pwrite(f->fd, data, n, (off_t)f->off);

		if (r < 0)
			return fail(e, "write", f->name);
		data += r;
		n -= (size_t)r;
		f->off += (uint64_t)r;
	}
	return 0;
}

/* Something may be there that was not there before: it stays. */
static int finish_file(struct fetch *f, struct err *e)
{
	const struct checkout_spec *spec = &f->checkout->spec;

	if ((spec->owner != 0 && fchown(f->fd, spec->owner, spec->owner) < 0) ||
	    fchmod(f->fd, f->mode & 07777) < 0)
		return fail(e, "own", f->name);
	if (renameat2(spec->dir, f->temp, f->folder->fd, f->name,
		      RENAME_NOREPLACE) == 0)
		f->temp[0] = '\0';
	else if (errno != EEXIST)
		return fail(e, "put in place", f->name);
	return 0;
}

static int make_link(struct fetch *f, const char *to, struct err *e)
{
	const unsigned owner = f->checkout->spec.owner;

	if (symlinkat(to, f->folder->fd, f->name) < 0)
		return errno == EEXIST ? 0 : fail(e, "link", f->name);
	if (owner != 0 && fchownat(f->folder->fd, f->name, owner, owner,
				   AT_SYMLINK_NOFOLLOW) < 0)
		return fail(e, "own", f->name);
	return 0;
}

static int fetch_next(struct fetch *f, struct err *e);

/* Return: 1 when there is more to come, 0 when it is whole. */
static int fetch_take(struct fetch *f, const char *body, size_t n,
		      struct err *e)
{
	if (n > f->size - f->off || (n == 0 && f->size > f->off))
		return err_set(e, -EPROTO, "checkout: %.100s: wrong size",
			       f->name);
	if (S_ISLNK(f->mode))
		return strlen(body) == n
			       ? make_link(f, body, e)
			       : err_set(e, -EPROTO,
					 "checkout: %.100s: no link", f->name);
	if (write_piece(f, body, n, e) < 0)
		return e->code;
	if (f->off == f->size)
		return finish_file(f, e);
	return fetch_next(f, e) < 0 ? e->code : 1;
}

static void tell_progress(const struct checkout *c)
{
	if (c->n_files % CHECKOUT_LOG_FILES == 0)
		log_info("%llu files", (unsigned long long)c->n_files);
}

static void fetch_on_piece(const struct err *e, char *body, size_t n, void *arg)
{
	struct fetch *f = arg;
	struct checkout *c = f->checkout;
	struct err why = {0};
	int r;

	c->n_requests--;
	if (e != NULL)
		why = *e;
	r = e != NULL ? e->code : fetch_take(f, body, n, &why);
	if (r > 0)
		return;
	if (r < 0)
		checkout_fail(c, &why);
	c->n_files++;
	tell_progress(c);
	fetch_free(f);
	pump(c);
}

static int fetch_next(struct fetch *f, struct err *e)
{
	static const struct uplink_events events = {.done = fetch_on_piece};
	char hex[VFS_OID_HEX], path[URL_MAX];

	snprintf(path, sizeof(path), "/blob/%s/%llu/%u",
		 vfs_oid_format(&f->oid, hex), (unsigned long long)f->off,
		 UPLINK_PIECE);
	return ask(f->checkout, path, UPLINK_PIECE, &events, f, e);
}

static int open_temp(struct checkout *c, struct fetch *f, struct err *e)
{
	snprintf(f->temp, sizeof(f->temp), "work/checkout-%llu",
		 (unsigned long long)c->n_temp++);
	f->fd = openat(c->spec.dir, f->temp,
		       O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	return f->fd < 0 ? fail(e, "create", f->temp) : 0;
}

static int fetch_begin(struct checkout *c, struct fetch *f, struct err *e)
{
	int r = S_ISLNK(f->mode) ? 0 : open_temp(c, f, e);

	if (r == 0 && f->size == 0 && !S_ISLNK(f->mode)) {
		r = finish_file(f, e);
		fetch_free(f);
		return r;
	}
	if (r == 0)
		r = fetch_next(f, e);
	if (r < 0)
		fetch_free(f);
	return r;
}

static int fetch_start(struct checkout *c, const struct vfs_entry *entry,
		       struct err *e)
{
	struct folder *top = SLIST_FIRST(&c->stack);
	struct fetch *f;

	if (faccessat(top->fd, entry->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return err_set(e, -ENOMEM, "checkout: out of memory");
	f->checkout = c;
	f->folder = top;
	top->refs++;
	f->oid = entry->oid;
	f->mode = entry->mode;
	f->size = entry->size;
	f->fd = -1;
	memcpy(f->name, entry->name, entry->name_len + 1);
	return fetch_begin(c, f, e);
}

/* --- the whole --- */

/* Return: whether it can go on at once. */
static bool step(struct checkout *c, struct err *e)
{
	struct folder *top = SLIST_FIRST(&c->stack);
	struct vfs_entry entry;
	int r;

	if (top == NULL || !top->loaded || c->n_requests >= CHECKOUT_FILES)
		return false;
	r = listing_next(&top->reader, &entry, e);
	if (r == 0)
		folder_pop(c);
	else if (r > 0)
		r = S_ISDIR(entry.mode) ? enter_folder(c, &entry, e)
					: fetch_start(c, &entry, e);
	return r >= 0;
}

static void finish(struct checkout *c)
{
	while (!SLIST_EMPTY(&c->stack))
		folder_pop(c);
	if (c->err.code == 0 && syncfs(c->spec.dir) < 0)
		(void)fail(&c->err, "sync", "upper");
	if (c->err.code == 0)
		log_info("done, %llu files", (unsigned long long)c->n_files);
	c->spec.done(c->err.code < 0 ? &c->err : NULL, c->spec.arg);
	free(c);
}

static void pump(struct checkout *c)
{
	struct err e = {0};

	while (c->err.code == 0 && step(c, &e))
		;
	if (e.code < 0)
		checkout_fail(c, &e);
	if (c->n_requests == 0)
		finish(c);
}

int checkout_start(const struct checkout_spec *spec, struct err *e)
{
	struct checkout *c = calloc(1, sizeof(*c));
	int fd, r;

	if (c == NULL)
		return err_set(e, -ENOMEM, "checkout: out of memory");
	c->spec = *spec;
	SLIST_INIT(&c->stack);
	fd = open_folder(spec->dir, "upper");
	r = fd < 0 ? fail(e, "open", "upper")
		   : folder_push(c, fd, &spec->commit, e);
	if (r < 0) {
		while (!SLIST_EMPTY(&c->stack))
			folder_pop(c);
		free(c);
	}
	return r;
}

/* --- what overlay leaves --- */

static void close_dirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static int sweep_folder(int fd, unsigned depth, struct err *e);

static int sweep_entry(int dir, const char *name, unsigned depth, struct err *e)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(e, "stat", name);
	if (is_whiteout(&st) && unlinkat(dir, name, 0) < 0)
		return fail(e, "remove", name);
	if (!S_ISDIR(st.st_mode) || depth == WORKSPACE_DEPTH_MAX)
		return 0;
	fd = open_folder(dir, name);
	return fd < 0 ? fail(e, "open", name) : sweep_folder(fd, depth + 1, e);
}

/* @fd is taken.  What is left of an overlay in the deepest folders does no harm:
 * nothing below is there to be hidden. */
static int sweep_folder(int fd, unsigned depth, struct err *e)
{
	cleanup(close_dirp) DIR *d = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (d == NULL) {
		r = fail(e, "read", "a folder");
		close(fd);
		return r;
	}
	(void)fremovexattr(fd, OPAQUE);
	(void)fremovexattr(fd, "user.overlay.impure");
	(void)fremovexattr(fd, "user.overlay.origin");
	while (r == 0 && (entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			r = sweep_entry(dirfd(d), entry->d_name, depth, e);
	return r;
}

int checkout_sweep(int dir, struct err *e)
{
	int fd = open_folder(dir, "upper");

	return fd < 0 ? fail(e, "open", "upper") : sweep_folder(fd, 1, e);
}
