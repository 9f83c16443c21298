// SPDX-License-Identifier: Apache-2.0
/*
 * fswalk.c - Everything below a folder, in order
 *
 * Of each folder on the way down its names are kept, in one block of memory; its
 * descriptor is closed before a folder in it is entered and opened again behind.
 * Folders nest as deep as a path is long, and so do our calls: what they keep on
 * the stack must stay small (FS_STACK).
 */
#include "guest/fswalk.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "guest/fsat.h"
#include "guest/limits.h"
#include "vfs/passing.h"
#include "vfs/path.h"

struct names {
	char *text; /* One after the other, each with its NUL. */
	size_t len, cap, n;
	const char **sorted;
};

static void names_done(struct names *l)
{
	free(l->text);
	free(l->sorted);
	*l = (struct names){0};
}

static int names_add(struct names *l, const char *name)
{
	size_t n = strlen(name) + 1, cap = l->cap ? l->cap : 1024;
	char *grown;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (l->n == FS_NAMES_MAX)
		return -E2BIG;
	while (cap < l->len + n)
		cap *= 2;
	if (cap != l->cap) {
		grown = realloc(l->text, cap);
		if (grown == NULL)
			return -ENOMEM;
		l->text = grown;
		l->cap = cap;
	}
	memcpy(l->text + l->len, name, n);
	l->len += n;
	l->n++;
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int names_sort(struct names *l)
{
	const char *p = l->text;

	l->sorted = calloc(l->n + 1, sizeof(*l->sorted));
	if (l->sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		l->sorted[i] = p;
		p += strlen(p) + 1;
	}
	qsort(l->sorted, l->n, sizeof(*l->sorted), by_bytes);
	return 0;
}

/* @dir stays the caller's. */
static int names_read(struct names *l, int dir)
{
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *en;
	int r = 0;

	if (d == NULL) {
		r = -errno;
		close_fd(&fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		en = readdir(d);
		if (en == NULL) {
			r = -errno;
			break;
		}
		r = names_add(l, en->d_name);
	}
	closedir(d);
	return r == 0 ? names_sort(l) : r;
}

/* Gone or closed to us meanwhile.  All else is a failure: who copies a tree and
 * then removes it must not take what cannot be read for empty. */
static bool is_passed_over(int r)
{
	return r == -FAULT_FILE_NOT_FOUND || r == -FAULT_FORBIDDEN ||
	       r == -FAULT_PATH_ESCAPE || r == -FAULT_INVALID_ARGUMENT;
}

struct walk {
	const struct fswalk_spec *spec;
	char path[VFS_PATH_MAX + 1]; /* Of the folder we are in. */
	size_t len;
};

/* Is @path, or something in it, behind what is to be left out? */
static bool is_due(const struct walk *w, bool *enter)
{
	const char *after = w->spec->after;
	size_t n = w->len;

	*enter = true;
	if (after == NULL || vfs_path_cmp(w->path, after) > 0)
		return true;
	*enter = strncmp(w->path, after, n) == 0 &&
		 (after[n] == '/' || after[n] == '\0');
	return false;
}

static int walk_folder(struct walk *w, int fd, unsigned depth);

static int enter_folder(struct walk *w, int *dir, unsigned depth)
{
	int fd;

	if (depth >= w->spec->depth)
		return 0;
	close_fd(dir);
	*dir = -1;
	fd = fsat_folder(w->spec->root, w->path, NULL);
	if (fd < 0)
		return is_passed_over(fd) ? 0 : fd;
	return walk_folder(w, fd, depth + 1);
}

static int walk_entry(struct walk *w, int *dir, const char *name,
		      unsigned depth)
{
	struct stat st;
	const struct fswalk_entry en = {w->path, name, *dir, &st};
	bool enter;
	bool due = is_due(w, &enter);
	int r = 0;

	if ((!due && !enter) || vfs_passing_is(w->spec->passing, name))
		return 0;
	if (fstatat(*dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = fsat_fail(errno, w->path, NULL);
		return is_passed_over(r) ? 0 : r;
	}
	if (due)
		r = w->spec->entry(&en, w->spec->arg);
	if (r != 0)
		return r == FSWALK_SKIP ? 0 : r;
	return enter && S_ISDIR(st.st_mode) ? enter_folder(w, dir, depth) : 0;
}

/* Append a name to the path.  Return: where to cut it again, or 0 when it is
 * too long to be named. */
static size_t push(struct walk *w, const char *name)
{
	size_t n = strlen(name), at = w->len;

	if (at + 1 + n > VFS_PATH_MAX)
		return SIZE_MAX;
	if (at > 0)
		w->path[w->len++] = '/';
	memcpy(w->path + w->len, name, n + 1);
	w->len += n;
	return at;
}

/* @fd is closed. */
static int walk_folder(struct walk *w, int fd, unsigned depth)
{
	autoclose int dir = fd;
	struct names l = {0};
	int r = names_read(&l, dir);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		size_t at;

		if (dir < 0)
			dir = fsat_folder(w->spec->root, w->path, NULL);
		if (dir < 0) {
			r = is_passed_over(dir) ? 0 : dir;
			break;
		}
		at = push(w, l.sorted[i]);
		if (at == SIZE_MAX)
			continue;
		r = walk_entry(w, &dir, l.sorted[i], depth);
		w->len = at;
		w->path[at] = '\0';
	}
	names_done(&l);
	return r;
}

int fswalk(const struct fswalk_spec *spec, struct err *e)
{
	struct walk w = {.spec = spec};
	int fd = fsat_folder(spec->root, spec->path, e);
	int r;

	if (fd < 0)
		return fd;
	w.len = strlen(spec->path);
	memcpy(w.path, spec->path, w.len + 1);
	r = walk_folder(&w, fd, 1);
	if (r == -E2BIG)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "/%.*s: a folder has more than %u entries",
			       ERR_MSG_MAX / 2, w.path, FS_NAMES_MAX);
	if (r <= -FAULT_INVALID_ARGUMENT) /* Not of the system. */
		return err_set(e, r, "/%.*s: cannot be read to its end",
			       ERR_MSG_MAX / 2, spec->path);
	return r < 0 ? fsat_fail(-r, spec->path, e) : 0;
}
