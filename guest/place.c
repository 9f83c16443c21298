// SPDX-License-Identifier: Apache-2.0
/*
 * place.c - Files that are in an agent's home when it starts
 *
 * A file is written aside (vfs/aside.h).  What is there already is noticed before
 * that, which is the usual case, and once more then: another session may start
 * the same agent in the same home.
 */
#include "guest/place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/limits.h"
#include "vfs/aside.h"
#include "vfs/passing.h"

/* --- from a call -------------------------------------------------------- */

static int wrong(const char *what, struct err *e)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "agent: files: %s", what);
}

/* The part of a path below the home. */
static int take_path(struct jv v, char **out, struct err *e)
{
	const size_t skip = strlen(PLACE_HOME) + 1;
	char path[PLACE_PATH_MAX + 1];

	if (jv_strcpy(v, path, sizeof(path)) < 0 ||
	    strncmp(path, PLACE_HOME "/", skip) != 0 || path[skip] == '\0')
		return wrong("a path is none below " PLACE_HOME, e);
	*out = strdup(path + skip);
	return *out != NULL ? 0 : err_set(e, -ENOMEM, "agent: out of memory");
}

static int take_mode(struct jv v, mode_t *out, struct err *e)
{
	char text[8], *end;

	*out = 0644;
	if (!jv_has(v))
		return 0;
	if (jv_strcpy(v, text, sizeof(text)) <= 0)
		return wrong("a mode is no string of octal digits", e);
	*out = (mode_t)strtoul(text, &end, 8);
	if (*end != '\0' || (*out & ~(mode_t)0777) != 0)
		return wrong("a mode is no string of octal digits", e);
	return 0;
}

static int take_file(struct jv v, struct place_file *f, struct err *e)
{
	if (take_path(jv_get(v, "path"), &f->path, e) < 0 ||
	    take_mode(jv_get(v, "mode"), &f->mode, e) < 0)
		return e->code;
	f->replace = jv_bool(jv_get(v, "replace"), false);
	f->content = jv_strdup(jv_get(v, "content"), &f->len);
	if (f->content == NULL || f->len > PLACE_FILE_MAX)
		return wrong("a content is no string, or too long", e);
	return 0;
}

int place_read(struct jv files, struct place *out, struct err *e)
{
	struct place p = {0};
	size_t n = jv_count(files);

	*out = p;
	if (!jv_has(files) || jv_is(files, JV_NULL) || n == 0)
		return 0;
	if (!jv_is(files, JV_ARRAY) || n > PLACE_FILES_MAX)
		return wrong("no list, or too many", e);
	p.file = calloc(n, sizeof(*p.file));
	if (p.file == NULL)
		return err_set(e, -ENOMEM, "agent: out of memory");
	for (struct jv v = jv_first(files); jv_has(v); v = jv_next(files, v)) {
		if (take_file(v, &p.file[p.n++], e) < 0) {
			place_done(&p);
			return e->code;
		}
	}
	*out = p;
	return 0;
}

void place_done(struct place *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->file[i].path);
		free(p->file[i].content);
	}
	free(p->file);
	*p = (struct place){0};
}

/* --- as bytes ----------------------------------------------------------- */

/* Before the path with its NUL, and the content. */
struct head {
	uint32_t len, mode;
	bool replace;
};

static bool is_same_file(const struct place_file *a, const struct place_file *b)
{
	return strcmp(a->path, b->path) == 0 && a->len == b->len &&
	       memcmp(a->content, b->content, a->len) == 0 &&
	       a->mode == b->mode && a->replace == b->replace;
}

bool place_is_same(const struct place *a, const struct place *b)
{
	size_t i = 0;

	while (a->n == b->n && i < a->n &&
	       is_same_file(&a->file[i], &b->file[i]))
		i++;
	return a->n == b->n && i == a->n;
}

size_t place_size(const struct place *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += sizeof(struct head) + strlen(p->file[i].path) + 1 +
		     p->file[i].len;
	return n;
}

char *place_put(char *at, const struct place *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct place_file *f = &p->file[i];
		const struct head h = {(uint32_t)f->len, f->mode, f->replace};

		memcpy(at, &h, sizeof(h));
		at = stpcpy(at + sizeof(h), f->path) + 1;
		at = mempcpy(at, f->content, f->len);
	}
	return at;
}

static int take_bytes(char **at, const char *end, struct place_file *f)
{
	struct head h;
	char *nul;

	errno = EINVAL;
	if ((size_t)(end - *at) < sizeof(h))
		return -1;
	memcpy(&h, *at, sizeof(h));
	f->path = *at + sizeof(h);
	nul = memchr(f->path, '\0', (size_t)(end - f->path));
	if (nul == NULL || (size_t)(end - nul) <= h.len)
		return -1;
	f->content = nul + 1;
	f->len = h.len;
	f->mode = h.mode;
	f->replace = h.replace;
	*at = f->content + f->len;
	return 0;
}

int place_take(char **at, const char *end, size_t n, struct place *out)
{
	struct place_file *file = calloc(n + 1, sizeof(*file));

	if (file == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (take_bytes(at, end, &file[i]) < 0) {
			free(file);
			return -1;
		}
	}
	*out = (struct place){file, n};
	return 0;
}

/* --- in the agent's process --------------------------------------------- */

static int open_folder(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static int make_folder(int dir, const char *name)
{
	int fd = open_folder(dir, name);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -1;
	return open_folder(dir, name);
}

/* The folder that @path, a copy, is in; made if need be.  @base: its last
 * name. */
static int open_parent(int home, char *path, char **base)
{
	autoclose int dir = fcntl(home, F_DUPFD_CLOEXEC, 0);
	char *slash;

	while (dir >= 0 && (slash = strchr(path, '/')) != NULL) {
		int next;

		*slash = '\0';
		next = make_folder(dir, path);
		close(dir);
		dir = next;
		path = slash + 1;
	}
	*base = path;
	return take_fd(&dir);
}

static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, data, n);

		if (r < 0)
			return -1;
		data += r;
		n -= (size_t)r;
	}
	return fsync(fd);
}

static int fill(struct vfs_aside *a, const char *base,
		const struct place_file *f)
{
	if (fchmod(a->fd, f->mode) < 0 ||
	    write_all(a->fd, f->content, f->len) < 0)
		return -1;
	return vfs_aside_put(a, base, f->replace);
}

static int put_file(int dir, const char *base, const struct place_file *f)
{
	char name[VFS_PASSING_MAX];
	struct vfs_aside a;
	int r;

	if (!f->replace && faccessat(dir, base, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	/* Nobody is here who could write it down. */
	if (vfs_passing_take(-1, base, name) < 0 ||
	    vfs_aside_open(&a, dir, name, 0600) < 0)
		return -1;
	r = fill(&a, base, f);
	vfs_aside_close(&a);
	return r < 0 && !f->replace && errno == EEXIST ? 0 : r;
}

static int place_one(int home, const struct place_file *f)
{
	autofree char *path = strdup(f->path);
	autoclose int dir = -1;
	char *base;

	if (path == NULL)
		return -1;
	dir = open_parent(home, path, &base);
	return dir < 0 ? -1 : put_file(dir, base, f);
}

int place_write(const struct place *p, const char *home, const char **failed)
{
	autoclose int dir = -1;

	if (p->n == 0)
		return 0;
	*failed = p->file[0].path;
	dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		*failed = p->file[i].path;
		if (place_one(dir, &p->file[i]) < 0)
			return -1;
	}
	return 0;
}
