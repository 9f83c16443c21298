// SPDX-License-Identifier: Apache-2.0
/*
 * fswrite.c - Write one file, piece by piece
 *
 * A new content is gathered in a file without a name (O_TMPFILE), or where the
 * file system knows none in one beside its place.  A file that was not there is
 * linked into its place, which fails if another has come; one that was is
 * replaced by a rename from a passing name (vfs/passing.h).  Look and change are
 * one step to all who hold the tree's lock.
 *
 * The kernel takes times from a clock that stands still for milliseconds, and
 * gives the inode number of a removed file to the next one: two contents written
 * at once could not be told apart.  So we set the time of modification from the
 * exact clock.
 */
#include "guest/fswrite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guest/fsat.h"
#include "vfs/passing.h"
#include "vfs/path.h"

#define TRIES 16 /* While others put files in the place and away. */

struct fswrite {
	struct fstree *tree;
	char path[VFS_PATH_MAX + 1]; /* All links followed. */
	char temp[VFS_PASSING_MAX];  /* "": the file has no name yet. */
	const char *name;	     /* Last part of @path. */
	int dir;		     /* What that is in; O_PATH. */
	int fd;
	int mode;
	int64_t at; /* -1: it is replaced, or appended to. */
	bool in_place;
	bool over; /* Whatever is there. */
	struct fsexpect expect;
};

/*
 * What is expected.
 */

int fsexpect_read(struct fsexpect *x, struct jv in, struct err *e)
{
	struct jv etag = jv_get(in, "etag");

	*x = (struct fsexpect){0};
	x->nothing = jv_bool(jv_get(in, "must_not_exist"), false);
	if (!jv_has(etag) || jv_is(etag, JV_NULL))
		return 0;
	if (!jv_is(etag, JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "etag is no string");
	/* A longer one is none of ours, so it is that of no file. */
	if (jv_strcpy(etag, x->etag, sizeof(x->etag)) <= 0)
		(void)stpcpy(x->etag, "-");
	return 0;
}

int fsexpect_check(const struct fsexpect *x, const struct stat *st,
		   const char *path, struct err *e)
{
	char etag[FSENTRY_ETAG_MAX] = "";

	if (x->nothing && st != NULL)
		return fsat_fail(EEXIST, path, e);
	if (st != NULL)
		fsentry_etag(etag, st);
	if (x->etag[0] == '\0' || strcmp(x->etag, etag) == 0 ||
	    (strcmp(x->etag, "*") == 0 && st != NULL))
		return 0;
	err_set(e, -FAULT_CAS_MISMATCH, "/%.*s: it is another version",
		ERR_MSG_MAX / 2, path);
	if (st != NULL)
		err_data(e, "\"etag\":\"%s\"", etag);
	return -FAULT_CAS_MISMATCH;
}

/*
 * Begin.
 */

/* Where it will be: what all links lead to, or @path itself if it is new. */
static int find_place(struct fswrite *w, int root, const char *path,
		      struct err *e)
{
	struct err missing = {0}, none = {0};
	autoclose int fd = -1;
	int r = w->over ? 0
			: fsat_real(root, path, w->path, sizeof(w->path),
				    &missing);

	if (w->over)
		(void)stpcpy(w->path, path);
	if (r == 0)
		return 0;
	if (r == -FAULT_FILE_NOT_FOUND)
		fd = fsat_look(root, path, false, &none);
	if (r != -FAULT_FILE_NOT_FOUND || fd >= 0) {
		*e = missing; /* Also of a link that leads to nothing. */
		return r;
	}
	(void)stpcpy(w->path, path);
	return 0;
}

/* Look at the place.  Return: 1: what may be replaced is there; 0: nothing is. */
static int look(const struct fswrite *w, struct stat *st, struct err *e)
{
	int r = fstatat(w->dir, w->name, st, AT_SYMLINK_NOFOLLOW);

	if (r < 0 && errno != ENOENT)
		return fsat_fail(errno, w->path, e);
	r = r == 0;
	if (fsexpect_check(&w->expect, r ? st : NULL, w->path, e) < 0)
		return e->code;
	if (r && S_ISDIR(st->st_mode))
		return fsat_fail(EISDIR, w->path, e);
	if (r && !S_ISREG(st->st_mode) && !w->over)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "/%.*s: it is no regular file", ERR_MSG_MAX / 2,
			       w->path);
	return r;
}

static int open_temp(struct fswrite *w)
{
	w->fd = openat(w->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (w->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return w->fd;
	if (vfs_passing_take(w->tree->passing, w->path, w->temp) < 0)
		return -1;
	w->fd = openat(w->dir, w->temp,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	return w->fd;
}

static int begin_replace(struct fswrite *w, const struct stat *old,
			 struct err *e)
{
	/* Who may not write to a file may not put another in its place, if not
	 * told to. */
	if (old != NULL && !w->over &&
	    faccessat(w->dir, w->name, W_OK, AT_EACCESS) < 0)
		return fsat_fail(errno, w->path, e);
	if (w->mode < 0)
		w->mode = old != NULL && S_ISREG(old->st_mode)
				  ? (int)(old->st_mode & 07777)
				  : 0644;
	return open_temp(w) < 0 ? fsat_fail(errno, w->path, e) : 0;
}

static int begin_in_place(struct fswrite *w, int root, bool exists, bool append,
			  struct err *e)
{
	int flags = O_WRONLY | (append ? O_APPEND : 0);
	struct stat st;

	if (!exists) {
		w->fd = openat(w->dir, w->name,
			       flags | O_CREAT | O_EXCL | O_NOFOLLOW |
				       O_CLOEXEC,
			       w->mode < 0 ? 0644 : w->mode);
		return w->fd < 0 ? fsat_fail(errno, w->path, e) : 0;
	}
	w->fd = fsat_file(root, w->path, flags, &st, e);
	return w->fd < 0 ? w->fd : 0;
}

static int begin(struct fswrite *w, int root, const struct fswrite_spec *spec,
		 struct err *e)
{
	struct stat st;
	int r = find_place(w, root, spec->path, e);

	if (r < 0)
		return r;
	w->dir = fsat_parent(root, w->path, !spec->expect.etag[0], &w->name, e);
	if (w->dir == -FAULT_FILE_NOT_FOUND && spec->expect.etag[0] != '\0')
		return fsexpect_check(&spec->expect, NULL, w->path, e);
	if (w->dir < 0)
		return w->dir;
	r = look(w, &st, e);
	if (r < 0)
		return r;
	if (w->in_place)
		return begin_in_place(w, root, r, spec->append, e);
	return begin_replace(w, r ? &st : NULL, e);
}

int fswrite_begin(struct fstree *t, int root, const struct fswrite_spec *spec,
		  struct fswrite **out, struct err *e)
{
	struct fswrite *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL)
		return err_set(e, -ENOMEM, "write: out of memory");
	w->tree = t;
	w->dir = w->fd = -1;
	w->mode = spec->mode;
	w->at = spec->append ? -1 : spec->offset;
	w->in_place = spec->append || spec->offset >= 0;
	w->over = spec->over && !w->in_place;
	w->expect = spec->expect;
	r = begin(w, root, spec, e);
	if (r < 0)
		fswrite_free(w);
	else
		*out = w;
	return r;
}

int fswrite_feed(struct fswrite *w, const char *data, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t r = w->at >= 0 ? pwrite(w->fd, data, n, w->at)
				       : write(w->fd, data, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fsat_fail(errno, w->path, e);
		if (w->at >= 0)
			w->at += r;
		data += r;
		n -= (size_t)r;
	}
	return 0;
}

/*
 * Commit.
 */

/* Give the file, if it has none, the name @name in its folder. */
static int link_to(struct fswrite *w, const char *name)
{
	char self[32];

	if (w->temp[0] != '\0')
		return renameat2(w->dir, w->temp, w->dir, name,
				 RENAME_NOREPLACE);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", w->fd);
	return linkat(AT_FDCWD, self, w->dir, name, AT_SYMLINK_FOLLOW);
}

static int rename_to(struct fswrite *w)
{
	if (w->temp[0] == '\0') {
		const int passing = w->tree->passing;
		char temp[VFS_PASSING_MAX];

		if (vfs_passing_take(passing, w->path, temp) < 0)
			return -1;
		if (link_to(w, temp) < 0) {
			vfs_passing_drop(passing, temp);
			return -1;
		}
		memcpy(w->temp, temp, sizeof(temp));
	}
	return renameat(w->dir, w->temp, w->dir, w->name);
}

/* No file has the passing name any more. */
static void forget_temp(struct fswrite *w)
{
	if (w->temp[0] != '\0')
		vfs_passing_drop(w->tree->passing, w->temp);
	w->temp[0] = '\0';
}

/* With the lock held: what is there may have changed since the beginning. */
static int put_in_place(struct fswrite *w, struct err *e)
{
	struct stat st;

	for (int i = 0; i < TRIES; i++) {
		int r = look(w, &st, e);

		if (r < 0)
			return r;
		r = r > 0 ? rename_to(w) : link_to(w, w->name);
		if (r == 0) {
			forget_temp(w);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return fsat_fail(errno, w->path, e);
}

static int set_time(const struct fswrite *w)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}};

	clock_gettime(CLOCK_REALTIME, &t[1]);
	return futimens(w->fd, t);
}

static int complete(struct fswrite *w, struct err *e)
{
	int r;

	if (w->mode >= 0 && fchmod(w->fd, (mode_t)w->mode) < 0)
		return fsat_fail(errno, w->path, e);
	/* Not the owner of what is written in place: then the clock will do. */
	if (set_time(w) < 0 && !w->in_place)
		return fsat_fail(errno, w->path, e);
	if (w->in_place)
		return 0;
	pthread_mutex_lock(&w->tree->lock);
	r = put_in_place(w, e);
	pthread_mutex_unlock(&w->tree->lock);
	return r;
}

int fswrite_commit(struct fswrite *w, struct jw *out, struct err *e)
{
	int r = complete(w, e);

	return r < 0 ? r : fsentry_put_fd(out, w->path, w->fd, false, e);
}

void fswrite_free(struct fswrite *w)
{
	if (w == NULL)
		return;
	if (w->temp[0] != '\0')
		(void)unlinkat(w->dir, w->temp, 0);
	forget_temp(w);
	close_fd(&w->fd);
	close_fd(&w->dir);
	free(w);
}
