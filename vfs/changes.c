// SPDX-License-Identifier: Apache-2.0
/*
 * changes.c - Read a change set: what became of the files of a workspace
 *
 * States:
 *
 *	COMMAND --M inline--> SIZE --data n--> BYTES --n bytes--> NEWLINE
 *	   |  ^                                                      |
 *	   |  +------------------------------------------------------+
 *	   +--done--> DONE
 *
 * COMMAND and SIZE collect a line, whose longest is known; the bytes of a file
 * are handed on as they come.  A failure is kept and answers everything after.
 */
#include "vfs/changes.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "vfs/changes_write.h"
#include "vfs/entry.h"

#define MODE_MAX 0177777u

enum state {
	COMMAND,
	SIZE,
	BYTES,
	NEWLINE,
	DONE,
};

struct vfs_changes {
	const struct vfs_changes_ops *ops;
	void *arg;
	struct vfs_changes_limits limits;
	enum state state;
	int failed; /* What every call returns; 0: nothing has failed. */
	uint64_t commands, bytes;
	uint64_t left; /* BYTES: still to come. */
	uint32_t mode; /* SIZE on: of the file. */
	size_t line_len;
	char line[VFS_CHANGE_MAX];
	char path[VFS_QUOTED_MAX(VFS_CHANGE_PATH_MAX) + 1];
};

/* A piece of the input. */
struct piece {
	const char *p;
	size_t n;
};

struct vfs_changes *vfs_changes_new(const struct vfs_changes_ops *ops,
				    void *arg,
				    const struct vfs_changes_limits *limits)
{
	struct vfs_changes *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ops = ops;
	c->arg = arg;
	if (limits != NULL)
		c->limits = *limits;
	if (c->limits.commands == 0)
		c->limits.commands = VFS_CHANGES_MAX;
	if (c->limits.file_bytes == 0)
		c->limits.file_bytes = VFS_SIZE_MAX;
	if (c->limits.bytes == 0)
		c->limits.bytes = VFS_CHANGES_BYTES_MAX;
	return c;
}

void vfs_changes_free(struct vfs_changes *c)
{
	free(c);
}

/*
 * Paths.
 */

static int check_component(const char *s, size_t n, struct err *e)
{
	if (n == 2 && memcmp(s, "..", 2) == 0)
		return err_set(e, -FAULT_PATH_ESCAPE,
			       "change set: a path with '..'");
	if (n > VFS_NAME_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "change set: a name of %zu bytes", n);
	if (n == 0 || (n == 1 && s[0] == '.'))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "change set: a path with an empty name or '.'");
	return 0;
}

static int check_path(const char *path, size_t len, struct err *e)
{
	if (path[0] == '/')
		return err_set(e, -FAULT_PATH_ESCAPE,
			       "change set: an absolute path");
	if (len > VFS_CHANGE_PATH_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "change set: a path of %zu bytes", len);
	for (;;) {
		size_t n = strcspn(path, "/");
		int r = check_component(path, n, e);

		if (r < 0 || path[n] == '\0')
			return r;
		path += n + 1;
	}
}

static int read_path(struct vfs_changes *c, const char *s, size_t n,
		     struct err *e)
{
	int len = vfs_unquote(s, n, c->path);

	if (len < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "change set: a path that is quoted wrongly");
	c->path[len] = '\0';
	return check_path(c->path, (size_t)len, e);
}

/*
 * Lines.
 */

static bool skip(struct piece *l, const char *word)
{
	size_t n = strlen(word);

	if (l->n < n || memcmp(l->p, word, n) != 0)
		return false;
	l->p += n;
	l->n -= n;
	return true;
}

/* Digits of @base up to @max.  Return: false when there are none, or more. */
static bool read_number(struct piece *l, unsigned base, uint64_t max,
			uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < l->n && l->p[i] >= '0' && l->p[i] < (char)('0' + base);
	     i++) {
		unsigned digit = (unsigned)(l->p[i] - '0');

		if (v > (max - digit) / base)
			return false;
		v = v * base + digit;
	}
	*out = v;
	l->p += i;
	l->n -= i;
	return i > 0;
}

static int malformed(struct err *e, const char *why)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "change set: %s", why);
}

static int on_dir(struct vfs_changes *c, const struct piece *l, uint32_t mode,
		  struct err *e)
{
	int r;

	if (!S_ISDIR(mode))
		return malformed(e, "a directory with the mode of a file");
	if (l->n == 1 && l->p[0] == '.')
		return c->ops->dir(c->arg, "", mode & 07777, e);
	r = read_path(c, l->p, l->n, e);
	return r < 0 ? r : c->ops->dir(c->arg, c->path, mode & 07777, e);
}

static int on_inline(struct vfs_changes *c, const struct piece *l,
		     uint32_t mode, struct err *e)
{
	int r;

	if (!S_ISREG(mode) && !S_ISLNK(mode))
		return malformed(e, "a file of an unknown kind");
	r = read_path(c, l->p, l->n, e);
	if (r < 0)
		return r;
	c->mode = S_ISLNK(mode) ? S_IFLNK : mode;
	c->state = SIZE;
	return 0;
}

static int on_modify(struct vfs_changes *c, struct piece *l, struct err *e)
{
	uint64_t mode;

	if (!read_number(l, 8, MODE_MAX, &mode))
		return malformed(e, "a mode was expected");
	if (skip(l, " inline "))
		return on_inline(c, l, (uint32_t)mode, e);
	if (skip(l, " dir "))
		return on_dir(c, l, (uint32_t)mode, e);
	return malformed(e, "'inline' or 'dir' was expected");
}

static int on_command(struct vfs_changes *c, struct piece *l, struct err *e)
{
	int r;

	if (l->n == 4 && skip(l, "done")) {
		c->state = DONE;
		return 0;
	}
	if (c->commands++ == c->limits.commands)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "change set: more than %llu commands",
			       (unsigned long long)c->limits.commands);
	if (skip(l, "M "))
		return on_modify(c, l, e);
	if (skip(l, "D ")) {
		r = read_path(c, l->p, l->n, e);
		return r < 0 ? r : c->ops->remove(c->arg, c->path, e);
	}
	if (l->n == 9 && skip(l, "deleteall"))
		return c->ops->clear(c->arg, e);
	return malformed(e, "an unknown command");
}

static int check_size(struct vfs_changes *c, uint64_t size, struct err *e)
{
	if (S_ISLNK(c->mode) && (size == 0 || size > VFS_LINK_MAX))
		return malformed(e, "a symbolic link that no one can make");
	if (size > c->limits.file_bytes)
		return err_set(e, -FAULT_QUOTA_EXCEEDED,
			       "change set: a file of %llu bytes",
			       (unsigned long long)size);
	c->bytes += size;
	if (c->bytes > c->limits.bytes)
		return err_set(e, -FAULT_QUOTA_EXCEEDED,
			       "change set: files of more than %llu bytes",
			       (unsigned long long)c->limits.bytes);
	return 0;
}

static int on_size(struct vfs_changes *c, struct piece *l, struct err *e)
{
	uint64_t size;
	int r;

	if (!skip(l, "data ") || !read_number(l, 10, INT64_MAX, &size) ||
	    l->n > 0)
		return malformed(e, "'data' and a number were expected");
	r = check_size(c, size, e);
	if (r < 0)
		return r;
	c->left = size;
	c->state = size > 0 ? BYTES : NEWLINE;
	return c->ops->file(c->arg, c->path, c->mode, size, e);
}

/*
 * Bytes.
 */

/* Add to the line up to its newline; then do what it says. */
static int feed_line(struct vfs_changes *c, struct piece *in, struct err *e)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf != NULL ? (size_t)(lf - in->p) : in->n;
	struct piece line;

	if (c->line_len + n > sizeof(c->line))
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "change set: too long a line");
	memcpy(c->line + c->line_len, in->p, n);
	c->line_len += n;
	in->p += n;
	in->n -= n;
	if (lf == NULL)
		return 0;
	in->p++;
	in->n--;
	line = (struct piece){.p = c->line, .n = c->line_len};
	c->line_len = 0;
	return c->state == SIZE ? on_size(c, &line, e)
				: on_command(c, &line, e);
}

static int feed_bytes(struct vfs_changes *c, struct piece *in, struct err *e)
{
	size_t n = in->n < c->left ? in->n : (size_t)c->left;
	const char *p = in->p;

	if (S_ISLNK(c->mode) && memchr(p, '\0', n) != NULL)
		return malformed(e, "a symbolic link with a NUL");
	in->p += n;
	in->n -= n;
	c->left -= n;
	if (c->left == 0)
		c->state = NEWLINE;
	return c->ops->data(c->arg, p, n, e);
}

static int feed_newline(struct vfs_changes *c, struct piece *in, struct err *e)
{
	if (in->p[0] != '\n')
		return malformed(e, "a newline was expected after a file");
	in->p++;
	in->n--;
	c->state = COMMAND;
	return c->ops->file_end(c->arg, e);
}

static int feed(struct vfs_changes *c, struct piece *in, struct err *e)
{
	switch (c->state) {
	case COMMAND:
	case SIZE:
		return feed_line(c, in, e);
	case BYTES:
		return feed_bytes(c, in, e);
	case NEWLINE:
		return feed_newline(c, in, e);
	case DONE:
		break;
	}
	return malformed(e, "more after its end");
}

static int failed_before(const struct vfs_changes *c, struct err *e)
{
	return err_set(e, c->failed, "change set: it has failed before");
}

int vfs_changes_feed(struct vfs_changes *c, const char *data, size_t n,
		     struct err *e)
{
	struct piece in = {.p = data, .n = n};

	if (c->failed < 0)
		return failed_before(c, e);
	while (in.n > 0) {
		int r = feed(c, &in, e);

		if (r < 0) {
			c->failed = r;
			return r;
		}
	}
	return 0;
}

int vfs_changes_end(const struct vfs_changes *c, struct err *e)
{
	if (c->failed < 0)
		return failed_before(c, e);
	return c->state == DONE ? 0 : malformed(e, "it ends without 'done'");
}
