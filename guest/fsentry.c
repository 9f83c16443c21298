// SPDX-License-Identifier: Apache-2.0
/*
 * fsentry.c - What is told of a file, and the tag by which a version is known
 */
#include "guest/fsentry.h"

#include <stdio.h>
#include <string.h>

#include "guest/fsat.h"
#include "vfs/path.h"

static int64_t ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t ms(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The time of modification is in it since we set that to a clock which is finer
 * than the one of the file system (fswrite.c). */
void fsentry_etag(char out[FSENTRY_ETAG_MAX], const struct stat *st)
{
	snprintf(out, FSENTRY_ETAG_MAX, "%llx-%llx-%llx-%llx",
		 (unsigned long long)st->st_ino,
		 (unsigned long long)ns(st->st_ctim),
		 (unsigned long long)ns(st->st_mtim),
		 (unsigned long long)st->st_size);
}

static const char *type_of(mode_t mode)
{
	return S_ISREG(mode)   ? "file"
	       : S_ISDIR(mode) ? "dir"
	       : S_ISLNK(mode) ? "link"
			       : "other";
}

static void put_target(struct jw *w, int fd, const char *name)
{
	char target[VFS_PATH_MAX + 1];
	ssize_t n = readlinkat(fd, name, target, sizeof(target));

	if (n >= 0)
		vfs_path_put(w, "target", target, (size_t)n);
}

static void put_more(struct jw *w, const struct stat *st)
{
	jw_kint(w, "nlink", (int64_t)st->st_nlink);
	jw_kint(w, "ino", (int64_t)st->st_ino);
	jw_kint(w, "uid", st->st_uid);
	jw_kint(w, "gid", st->st_gid);
	jw_kint(w, "atime_ms", ms(st->st_atim));
	jw_kint(w, "ctime_ms", ms(st->st_ctim));
}

void fsentry_put(struct jw *w, const char *path, const struct stat *st, int fd,
		 const char *name, bool more)
{
	char text[FSENTRY_ETAG_MAX];

	jw_obj(w);
	vfs_path_put(w, "path", path, strlen(path));
	jw_kstr(w, "type", type_of(st->st_mode));
	if (!S_ISDIR(st->st_mode))
		jw_kint(w, "size", st->st_size);
	snprintf(text, sizeof(text), "%06o", st->st_mode);
	jw_kstr(w, "mode", text);
	jw_kint(w, "mtime_ms", ms(st->st_mtim));
	fsentry_etag(text, st);
	jw_kstr(w, "etag", text);
	if (S_ISLNK(st->st_mode))
		put_target(w, fd, name);
	if (more)
		put_more(w, st);
	jw_obj_end(w);
}

int fsentry_put_fd(struct jw *w, const char *path, int fd, bool more,
		   struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fsat_fail(errno, path, e);
	fsentry_put(w, path, &st, fd, "", more);
	return 0;
}

int fsentry_mode(struct jv v, int otherwise, struct err *e)
{
	char text[8];
	int n;

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return otherwise;
	n = jv_strcpy(v, text, sizeof(text));
	if (n > 0 && strspn(text, "01234567") == (size_t)n &&
	    strtol(text, NULL, 8) <= 07777)
		return (int)strtol(text, NULL, 8);
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "mode is no string of up to four octal digits");
}
