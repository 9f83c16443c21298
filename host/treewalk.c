// SPDX-License-Identifier: Apache-2.0
/*
 * treewalk.c - Look at all that is in a folder, whoever has filled it
 */
#include "host/treewalk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct walk {
	const struct treewalk *ops;
	char *path; /* NUL-terminated. */
	size_t len, cap;
};

static int walk_push(struct walk *w, const char *name)
{
	size_t n = strlen(name) + (w->len > 0 ? 1 : 0);

	if (w->len + n + 1 > w->cap) {
		size_t cap = (w->len + n + 1) * 2;
		char *path = realloc(w->path, cap);

		if (path == NULL)
			return -ENOMEM;
		w->path = path;
		w->cap = cap;
	}
	if (w->len > 0)
		w->path[w->len] = '/';
	memcpy(w->path + w->len + (w->len > 0 ? 1 : 0), name, strlen(name) + 1);
	w->len += n;
	return 0;
}

static void walk_pop(struct walk *w, size_t len)
{
	w->len = len;
	w->path[len] = '\0';
}

/* Change the mode of what @fd, made with O_PATH, stands for. */
static int set_mode(int fd, mode_t mode)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode & 07777) < 0 ? -errno : 0;
}

/* Open what its owner has closed: it is open as long as @pin is. */
static int open_closed(int at, const char *name, int flags, mode_t bits,
		       int *out_pin)
{
	autoclose int pin = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int fd, r;

	if (pin < 0 || fstat(pin, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	r = set_mode(pin, st.st_mode | bits);
	if (r < 0)
		return r;
	fd = openat(at, name, flags);
	r = fd < 0 ? -errno : fd;
	if (fd < 0)
		(void)set_mode(pin, st.st_mode);
	else
		*out_pin = take_fd(&pin);
	return r;
}

int treewalk_open(const struct treewalk_entry *en)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	autoclose int fd = openat(en->at, en->name, flags), pin = -1;
	struct stat st;

	if (fd < 0 && errno == EACCES) {
		int r = open_closed(en->at, en->name, flags, 0400, &pin);

		if (r < 0)
			return r;
		fd = r;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ENOENT || errno == ELOOP ? -ESTALE : -errno;
	if (pin >= 0)
		(void)set_mode(pin, en->st->st_mode);
	return S_ISREG(st.st_mode) ? take_fd(&fd) : -ESTALE;
}

/* A folder; @out_pin is set when its mode is to be put back. */
static int open_folder(int at, const char *name, int *out_pin)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags);

	if (fd < 0 && errno == EACCES)
		return open_closed(at, name, flags, 0700, out_pin);
	if (fd >= 0 && faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) < 0 &&
	    errno == EACCES) {
		close(fd); /* It lists, but lets nobody through. */
		return open_closed(at, name, flags, 0700, out_pin);
	}
	return fd < 0 ? -errno : fd;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int walk_entry(struct walk *w, int at, const char *name, unsigned depth);

static int walk_names(struct walk *w, int fd, unsigned depth)
{
	struct dirent **names;
	int n = scandirat(fd, ".", &names, no_dots, by_bytes), r = 0;

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		size_t len = w->len;

		if (r == 0)
			r = walk_push(w, names[i]->d_name);
		if (r == 0)
			r = walk_entry(w, fd, names[i]->d_name, depth);
		walk_pop(w, len);
		free(names[i]);
	}
	free(names);
	return r;
}

static int walk_folder(struct walk *w, struct treewalk_entry *en)
{
	autoclose int pin = -1;
	autoclose int fd = -1;
	int r;

	if (en->depth >= TREEWALK_DEPTH_MAX)
		return -ELOOP;
	fd = open_folder(en->at, en->name, &pin);
	if (fd < 0)
		return fd;
	en->fd = fd;
	r = w->ops->enter(en, w->ops->arg);
	if (r == 0)
		r = walk_names(w, fd, en->depth + 1);
	if (r >= 0 && w->ops->leave != NULL) {
		en->path = w->path;
		r = w->ops->leave(en, w->ops->arg);
	}
	if (pin >= 0)
		(void)set_mode(pin, en->st->st_mode);
	return r < 0 ? r : 0;
}

static int walk_entry(struct walk *w, int at, const char *name, unsigned depth)
{
	struct stat st;
	struct treewalk_entry en = {
		.at = at,
		.name = name,
		.path = w->path,
		.depth = depth,
		.st = &st,
		.fd = -1,
	};
	int r;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return walk_folder(w, &en);
	if (depth == 0)
		return -ENOTDIR;
	r = w->ops->other(&en, w->ops->arg);
	return r < 0 ? r : 0;
}

int treewalk(int at, const char *name, const struct treewalk *w)
{
	struct walk walk = {.ops = w, .path = calloc(1, 64), .cap = 64};
	int r = walk.path != NULL ? walk_entry(&walk, at, name, 0) : -ENOMEM;

	free(walk.path);
	return r;
}
