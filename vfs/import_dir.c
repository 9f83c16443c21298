// SPDX-License-Identifier: Apache-2.0
/*
 * import_dir.c - A folder of this machine becomes a commit
 *
 * Folders are taken from a stack of paths, each opened from the first one, so
 * that neither the C stack nor the number of descriptors grows with the depth.
 * Links are kept, never followed.  What is neither file, folder nor link is
 * left out; what cannot be read fails the import: nobody should miss a file
 * later.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "vfs/entry.h"
#include "vfs/ignore.h"
#include "vfs/import_impl.h"
#include "vfs/path.h"
#include "vfs/steady.h"

struct walk {
	struct import *im;
	int root;
	struct vfs_ignore *ignore;
	char **todo; /* Paths of folders. */
	size_t n, cap;
	char *buffer;	  /* Of vfs/steady.h. */
	const char *path; /* Of the file that is read. */
};

static int no_memory(struct walk *w)
{
	return err_set(w->im->e, -ENOMEM, "import: out of memory");
}

static int fail(struct walk *w, const char *path)
{
	return err_set(w->im->e, -FAULT_INVALID_ARGUMENT, "import: %.128s: %s",
		       path[0] ? path : ".", strerror(errno));
}

/* --- files -------------------------------------------------------------- */

static int steady_on_begin(const struct stat *st, void *arg)
{
	struct walk *w = arg;

	return import_file(w->im, w->path, st->st_mode, (uint64_t)st->st_size);
}

static int steady_on_data(const char *data, size_t n, void *arg)
{
	struct walk *w = arg;

	return import_data(w->im, data, n);
}

static int steady_on_end(void *arg)
{
	struct walk *w = arg;

	return import_file_end(w->im);
}

static int take_file(struct walk *w, int dir, const char *name,
		     const char *path)
{
	const struct vfs_steady_sink sink = {steady_on_begin, steady_on_data,
					     steady_on_end, w, w->buffer};
	autoclose int fd = openat(
		dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	bool racy;
	int r;

	if (fd < 0)
		return fail(w, path);
	w->path = path;
	r = vfs_steady_read(fd, &sink, &st, &racy);
	if (r < 0 && w->im->e != NULL && w->im->e->code != r) {
		errno = -r;
		return fail(w, path);
	}
	return r;
}

static int take_link(struct walk *w, int dir, const char *name,
		     const char *path)
{
	char target[VFS_LINK_MAX + 1];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0)
		return fail(w, path);
	return import_content(w->im, path, S_IFLNK, target, (size_t)n);
}

/* --- folders ------------------------------------------------------------ */

static int push(struct walk *w, const char *path)
{
	if (w->n == w->cap) {
		size_t cap = w->cap > 0 ? 2 * w->cap : 64;
		char **todo = realloc(w->todo, cap * sizeof(todo[0]));

		if (todo == NULL)
			return no_memory(w);
		w->todo = todo;
		w->cap = cap;
	}
	w->todo[w->n] = strdup(path);
	if (w->todo[w->n] == NULL)
		return no_memory(w);
	w->n++;
	return 0;
}

static int take_folder(struct walk *w, const char *path, uint32_t mode)
{
	int r = import_folder(w->im, path, mode);

	return r < 0 ? r : push(w, path);
}

static int take_entry(struct walk *w, int dir, const char *folder,
		      const char *name)
{
	char path[VFS_PATH_MAX + VFS_NAME_MAX + 2];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] ? "/" : "",
		 name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(w, path);
	if (vfs_ignore_ask(w->ignore, path, S_ISDIR(st.st_mode)) ==
	    VFS_IGNORE_SKIP)
		return 0;
	if (strlen(path) > VFS_PATH_MAX) {
		errno = ENAMETOOLONG;
		return fail(w, path);
	}
	if (S_ISDIR(st.st_mode))
		return take_folder(w, path, st.st_mode);
	if (S_ISREG(st.st_mode))
		return take_file(w, dir, name, path);
	return S_ISLNK(st.st_mode) ? take_link(w, dir, name, path) : 0;
}

/* The rules of a folder.  Those that are built in are for what an agent makes;
 * here everything is wanted that is not refused. */
static int read_rules(struct walk *w, int dir, const char *path)
{
	static const char all[] = "!*\n";
	const size_t head = path[0] == '\0' ? sizeof(all) - 1 : 0;
	char *text = w->buffer;
	autoclose int fd =
		openat(dir, VFS_IGNORE_FILE,
		       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = 0;

	memcpy(text, all, head);
	if (fd >= 0)
		n = read(fd, text + head, VFS_IGNORE_BYTES_MAX - head);
	if (n < 0)
		n = 0;
	return vfs_ignore_enter(w->ignore, path, text, head + (size_t)n) < 0
		       ? no_memory(w)
		       : 0;
}

static int open_folder(const struct walk *w, const char *path)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, w->root, path[0] ? path : ".", &how,
			    sizeof(how));
}

static int walk_entries(struct walk *w, DIR *d, const char *path)
{
	const struct dirent *entry;
	int r = 0;

	while (r == 0) {
		errno = 0;
		entry = readdir(d);
		if (entry == NULL)
			return errno != 0 ? fail(w, path) : 0;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			r = take_entry(w, dirfd(d), path, entry->d_name);
	}
	return r;
}

static int walk_folder(struct walk *w, const char *path)
{
	int fd = open_folder(w, path), r;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? 0 : fail(w, path);
	r = read_rules(w, fd, path);
	d = r == 0 ? fdopendir(fd) : NULL;
	if (d == NULL) {
		close(fd);
		return r < 0 ? r : fail(w, path);
	}
	r = walk_entries(w, d, path);
	closedir(d);
	return r;
}

static int walk_all(struct walk *w)
{
	int r = push(w, "");

	while (r == 0 && w->n > 0) {
		autofree char *path = w->todo[--w->n];

		r = walk_folder(w, path);
	}
	while (w->n > 0)
		free(w->todo[--w->n]);
	return r;
}

int import_dir(struct import *im, const char *dir)
{
	autoclose int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct walk w = {.im = im, .root = root};
	int r;

	if (root < 0)
		return fail(&w, dir);
	w.buffer = malloc(VFS_STEADY_CHUNK);
	r = w.buffer == NULL || vfs_ignore_new(&w.ignore) < 0 ? no_memory(&w)
							      : walk_all(&w);
	vfs_ignore_free(w.ignore);
	free(w.todo);
	free(w.buffer);
	return r;
}
