/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsentry.h - What is told of a file, and the tag by which a version is known
 *
 * {"path","type","size","mode","mtime_ms","etag","target"}: type is file,
 * dir, link or other; mode is six octal digits, as in git; target is what a
 * symbolic link says.  A dir has no size.
 *
 * The etag is made of inode number, times of change and size, in hexadecimal, so
 * that asking for it reads no content.  Two contents of a file have two etags as
 * far as the clock of the file system tells their times apart, and always if
 * they were written through fswrite.h.  It holds while the VM runs.
 */
#ifndef GUEST_FSENTRY_H
#define GUEST_FSENTRY_H

#include <sys/stat.h>

#include "core/json.h"

#define FSENTRY_ETAG_MAX 80 /* With its NUL. */

void fsentry_etag(char out[FSENTRY_ETAG_MAX], const struct stat *st);

/* Write it as an object.  @fd, @name: where readlinkat(2) finds a link's target.
 * @more: also "nlink", "ino", "uid", "gid", "atime_ms", "ctime_ms". */
void fsentry_put(struct jw *w, const char *path, const struct stat *st, int fd,
		 const char *name, bool more);

/* The same of what an O_PATH descriptor stands for. */
int fsentry_put_fd(struct jw *w, const char *path, int fd, bool more,
		   struct err *e);

/* Octal digits, as "644" or "0644", up to 7777.  @otherwise when absent.
 * Return: the mode or -FAULT_INVALID_ARGUMENT. */
int fsentry_mode(struct jv v, int otherwise, struct err *e);

#endif
