// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace_path.c - The server "workspace": which file is meant
 *
 * A path is absolute or begins at the root.  Its "." and ".." are resolved by
 * their letters, as Node's path.resolve() does, and what is then not below the
 * root is refused; so is what a link leads out to, by the kernel, when the path
 * is opened beneath the root's descriptor.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "guest/builtin_workspace.h"
#include "guest/fsat.h"
#include "guest/place.h"
#include "vfs/path.h"

/*
 * Errors.
 */

int wstool_fail(struct wstool_call *c, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	jw_reset(&c->error);
	if (n >= 0)
		jw_lit(&c->error, text, (size_t)n);
	if (n >= 0)
		free(text);
	return -1;
}

int wstool_fail_memory(struct wstool_call *c)
{
	return wstool_fail(c, "out of memory");
}

int wstool_fail_errno(struct wstool_call *c, int error, const char *syscall,
		      const char *path)
{
	const char *name = uv_err_name(-error), *words = uv_strerror(-error);

	if (path == NULL)
		return wstool_fail(c, "%s: %s, %s", name, words, syscall);
	return wstool_fail(c, "%s: %s, %s '%s%s%s'", name, words, syscall,
			   c->fs.tree->root, path[0] ? "/" : "", path);
}

int wstool_fail_err(struct wstool_call *c, const struct err *e,
		    const char *syscall, const char *path)
{
	static const struct {
		int code, error;
	} map[] = {
		{-FAULT_FILE_NOT_FOUND, ENOENT}, {-FAULT_FORBIDDEN, EACCES},
		{-FAULT_ALREADY_EXISTS, EEXIST}, {-FAULT_DISK_FULL, ENOSPC},
		{-FAULT_OVERLOADED, EMFILE},
	};

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (map[i].code == e->code)
			return wstool_fail_errno(c, map[i].error, syscall,
						 path);
	return wstool_fail(c, "%s", e->msg);
}

bool wstool_is_over(const struct wstool_call *c)
{
	return c->fs.gone || uv_hrtime() > c->deadline;
}

/*
 * Paths.
 */

static bool is_windows_path(const char *s)
{
	return isalpha((unsigned char)s[0]) && s[1] == ':' &&
	       (s[2] == '\0' || s[2] == '/' || s[2] == '\\');
}

/* Append a path's names to the absolute one in @out.  Return: false when there
 * is no room. */
static bool append_names(char *out, size_t cap, const char *s)
{
	size_t len = strlen(out);

	while (*s != '\0') {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.') {
			while (len > 0 && out[--len] != '/')
				continue;
		} else if (n > 1 || (n == 1 && s[0] != '.')) {
			if (len + n + 2 > cap)
				return false;
			out[len++] = '/';
			memcpy(out + len, s, n);
			len += n;
		}
		out[len] = '\0';
		s += n + (s[n] == '/');
	}
	return true;
}

/* Make it absolute, as in p->shown. */
static int resolve_letters(struct wstool_call *c, const char *s,
			   struct wstool_path *p)
{
	const char *root = c->fs.tree->root;
	bool home = s[0] == '~' && (s[1] == '/' || s[1] == '\0');

	if (is_windows_path(s))
		return wstool_fail(c,
				   "Access denied - Windows-style path "
				   "received on a POSIX host: %s",
				   s);
	p->shown[0] = '\0';
	if (home)
		(void)stpcpy(p->shown, PLACE_HOME);
	else if (s[0] != '/')
		(void)stpcpy(p->shown, root);
	if (!append_names(p->shown, sizeof(p->shown), s + home))
		return wstool_fail(c, "the path is too long");
	if (p->shown[0] == '\0')
		(void)stpcpy(p->shown, "/");
	return 0;
}

static int deny(struct wstool_call *c, const struct wstool_path *p, bool link)
{
	return wstool_fail(c,
			   "Access denied - %s outside allowed "
			   "directories: %s not in %s",
			   link ? "symlink target" : "path", p->shown,
			   c->fs.tree->root);
}

/* What is below the root.  Return: false when it is not. */
static bool take_below(const struct wstool_call *c, struct wstool_path *p)
{
	const char *root = c->fs.tree->root;
	size_t n = strlen(root);

	if (strncmp(p->shown, root, n) != 0 ||
	    (p->shown[n] != '/' && p->shown[n] != '\0') ||
	    strlen(p->shown + n) > VFS_PATH_MAX)
		return false;
	(void)stpcpy(p->at, p->shown + n + (p->shown[n] == '/'));
	return true;
}

/* The folder that a path is shown to be in. */
static int parent_missing(struct wstool_call *c, const struct wstool_path *p)
{
	return wstool_fail(c, "Parent directory does not exist: %.*s",
			   (int)(strrchr(p->shown, '/') - p->shown), p->shown);
}

/* Nothing is there.  Is there a link on the way that leads to nothing? */
static int look_above(struct wstool_call *c, struct wstool_path *p)
{
	char *end = p->at;
	bool going = true;
	int error = 0;

	while (going && error == 0) {
		autoclose int fd = -1, followed = -1;
		char saved;

		end += strcspn(end, "/");
		saved = *end;
		*end = '\0';
		fd = fsat_resolve(c->fs.root, p->at, O_PATH | O_NOFOLLOW);
		if (fd >= 0)
			followed = fsat_resolve(c->fs.root, p->at, O_PATH);
		*end = saved;
		if (fd >= 0 && followed < 0)
			error = -followed;
		going = fd >= 0 && saved != '\0';
		end += saved != '\0';
	}
	if (error == EXDEV)
		return deny(c, p, true);
	return error != 0 ? parent_missing(c, p) : 0;
}

static int look(struct wstool_call *c, struct wstool_path *p)
{
	autoclose int fd = fsat_resolve(c->fs.root, p->at, O_PATH);
	struct err e = {0};

	if (fd == -ENOENT)
		return look_above(c, p);
	if (fd == -EXDEV)
		return deny(c, p, true);
	if (fd < 0)
		return wstool_fail_errno(c, -fd, "realpath", p->at);
	if (fsat_real(c->fs.root, p->at, p->at, sizeof(p->at), &e) < 0)
		return wstool_fail_err(c, &e, "realpath", p->at);
	p->exists = true;
	return 0;
}

int wstool_find(struct wstool_call *c, struct jv path, struct wstool_path *out)
{
	size_t len = 0;
	autofree char *text = jv_strdup(path, &len);

	out->exists = false;
	if (text == NULL)
		return wstool_fail(c, "a path is no string");
	if (len > VFS_PATH_INPUT_MAX)
		return wstool_fail(c, "the path is too long");
	if (resolve_letters(c, text, out) < 0)
		return -1;
	if (strlen(text) != len || !take_below(c, out))
		return deny(c, out, false);
	return look(c, out);
}
