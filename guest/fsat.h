/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsat.h - Files below the root of the workspace, and nowhere else
 *
 * Paths are relative and plain (vfs/path.h); "" is the root.  Each is resolved
 * by the kernel beneath the root's descriptor: a symbolic link is followed as
 * long as it stays inside, one that is absolute or leads out is
 * -FAULT_PATH_ESCAPE, whoever changes it while we look.  Nothing here waits for
 * the other end of a fifo or touches a device.
 *
 * All of it blocks; any thread.
 */
#ifndef GUEST_FSAT_H
#define GUEST_FSAT_H

#include <sys/stat.h>

#include "core/err.h"

/* The root itself, only to resolve from.  Return: a descriptor or a failure. */
int fsat_root(const char *root, struct err *e);

/* As the kernel says it.  Return: a descriptor, opened with @flags, which must have
 * O_PATH or be those of a folder; or a negative errno, -EXDEV for what leads out. */
int fsat_resolve(int root, const char *path, int flags);

/* What is there, to look at only (O_PATH); with @follow what a link leads to. */
int fsat_look(int root, const char *path, bool follow, struct err *e);
/* A folder, to be read. */
int fsat_folder(int root, const char *path, struct err *e);
/* A regular file, opened with @flags (O_RDONLY, O_WRONLY ..), and what it is.
 * A folder, fifo, socket or device is -FAULT_INVALID_ARGUMENT. */
int fsat_file(int root, const char *path, int flags, struct stat *st,
	      struct err *e);

/**
 * fsat_parent() - Open the folder that a path's last name is in
 * @make:     Make it and those above, mode 0755, where they are missing
 * @out_name: The last name, in @path
 *
 * Return: an O_PATH descriptor; -FAULT_INVALID_ARGUMENT for the root, which is
 * in none; other failures.
 */
int fsat_parent(int root, const char *path, bool make, const char **out_name,
		struct err *e);

/**
 * fsat_real() - Where a path that may be a link really is
 * @out: Its path with all links followed, as plain as @path
 *
 * What it gives may have changed since; it is to be opened like any other path.
 * Return: 0; -FAULT_FILE_NOT_FOUND, also for a link to nothing; others.
 */
int fsat_real(int root, const char *path, char *out, size_t cap, struct err *e);

/* What a system call said of a path, as people know it: @error is an errno.
 * Return: the negative code now in @e. */
int fsat_fail(int error, const char *path, struct err *e);

#endif
