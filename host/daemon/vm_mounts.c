// SPDX-License-Identifier: Apache-2.0
/*
 * vm_mounts.c - Folders of the host that a VM is made with
 *
 * The source is resolved now, as whoever makes the VM means it; the launcher then
 * walks that path and follows no link, whoever may have put one there since.
 */
#include "host/daemon/vm_mounts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host/daemon/mount_files.h"

/* What a VM has of its own, or of its image, with all below it... */
static const char *const closed[] = {
	"/bin",	    "/boot",  "/dev",	"/etc",	   "/hib",
	"/lib",	    "/lib32", "/lib64", "/libx32", "/opt/agents",
	"/opt/hib", "/proc",  "/sbin",	"/sys",	   "/usr",
};

/* ...and without. */
static const char *const taken[] = {
	"/",	"/home", "/home/user", "/opt",	     "/root",
	"/run", "/tmp",	 "/var",       "/workspace",
};

/* Is @path @folder, or below it? */
static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/' || n == 1);
}

static bool is_normal(const char *path)
{
	size_t n = strlen(path);

	return path[0] == '/' && (n == 1 || path[n - 1] != '/') &&
	       strstr(path, "//") == NULL && strstr(path, "/./") == NULL &&
	       strstr(path, "/../") == NULL &&
	       (n < 2 || strcmp(path + n - 2, "/.") != 0) &&
	       (n < 3 || strcmp(path + n - 3, "/..") != 0);
}

static int check_target(const char *at, struct err *e)
{
	if (!is_normal(at))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mounts: '%s' is no absolute path without . "
			       "and ..",
			       at);
	for (size_t i = 0; i < ARRAY_LEN(closed); i++)
		if (is_below(at, closed[i]))
			return err_set(e, -FAULT_PATH_ESCAPE,
				       "mounts: nothing is mounted at or below "
				       "%s",
				       closed[i]);
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (strcmp(at, taken[i]) == 0)
			return err_set(e, -FAULT_PATH_ESCAPE,
				       "mounts: %s is the VM's own; below it "
				       "is free",
				       at);
	return 0;
}

/* What we may use ourselves we may lend; but not our state with its keys. */
static int check_source(const struct home *h, const char *source, bool ro,
			struct err *e)
{
	struct stat st;

	if (stat(source, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mounts: %.160s is no folder", source);
	if (is_below(source, h->root) || is_below(h->root, source))
		return err_set(e, -FAULT_FORBIDDEN,
			       "mounts: %.100s has to do with %.100s", source,
			       h->root);
	if (access(source, R_OK | X_OK | (ro ? 0 : W_OK)) < 0)
		return err_set(e, -FAULT_FORBIDDEN, "mounts: %.160s: %s",
			       source, strerror(errno));
	return 0;
}

/* Return: the path of @v without symbolic links, to be freed; or NULL. */
static char *read_source(struct jv v, struct err *e)
{
	autofree char *given = jv_strdup(v, NULL);
	char *real;

	if (given == NULL || given[0] != '/') {
		err_set(e, -FAULT_INVALID_ARGUMENT,
			"mounts: a source is no absolute path");
		return NULL;
	}
	real = realpath(given, NULL);
	if (real == NULL)
		err_set(e, -FAULT_INVALID_ARGUMENT, "mounts: %.160s: %s", given,
			strerror(errno));
	return real;
}

/* The folder of files that come with the mount, to be freed; or NULL. */
static char *read_files(struct jv v, unsigned i, struct err *e)
{
	char *source = NULL;

	if (jv_has(jv_get(v, "source")))
		err_set(e, -FAULT_INVALID_ARGUMENT,
			"mounts: a source, or files, not both");
	else if (mount_files_check(jv_get(v, "files"), e) == 0 &&
		 asprintf(&source, MOUNT_FILES_AT "/%u", i) < 0)
		err_set(e, -ENOMEM, "mounts: out of memory");
	return source;
}

static int read_folder(const struct home *h, struct jv v, bool ro, char **out,
		       struct err *e)
{
	*out = read_source(jv_get(v, "source"), e);
	return *out == NULL ? e->code : check_source(h, *out, ro, e);
}

static int read_mount(const struct home *h, struct jv v, unsigned i,
		      struct jw *out, struct err *e)
{
	bool files = jv_is(jv_get(v, "files"), JV_ARRAY);
	bool ro = files || jv_bool(jv_get(v, "readOnly"), false);
	char at[VM_MOUNT_PATH_MAX + 1];
	autofree char *source = NULL;
	int r;

	if (jv_strcpy(jv_get(v, "target"), at, sizeof(at)) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mounts: a target is no path of at most %d "
			       "bytes",
			       VM_MOUNT_PATH_MAX);
	r = check_target(at, e);
	if (r < 0)
		return r;
	if (files)
		source = read_files(v, i, e);
	else
		(void)read_folder(h, v, ro, &source, e);
	if (e->code < 0)
		return e->code;
	jw_obj(out);
	jw_kstr(out, "at", at);
	jw_kstr(out, "source", source);
	jw_kbool(out, "ro", ro);
	jw_obj_end(out);
	return 0;
}

int vm_mounts_read(const struct home *h, struct jv mounts, struct jw *out,
		   struct err *e)
{
	unsigned i = 0;
	int r = 0;

	if (!jv_has(mounts) || jv_is(mounts, JV_NULL))
		return 0;
	if (!jv_is(mounts, JV_ARRAY) || jv_count(mounts) > VM_MOUNTS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "mounts: no list of at most %d", VM_MOUNTS_MAX);
	jw_arr(out);
	for (struct jv v = jv_first(mounts); jv_has(v) && r == 0;
	     v = jv_next(mounts, v))
		r = read_mount(h, v, i++, out, e);
	jw_arr_end(out);
	return r;
}
