/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - How people name files of a workspace
 *
 * A path begins at the root of the workspace, with or without a slash; a prefix
 * "/workspace" is the root, too.  "." and repeated slashes mean nothing, a slash
 * at the end means a folder, and ".." is refused wherever it stands.  Any other
 * bytes but NUL are names.  The result is relative to the root and has no other
 * spelling, so two paths are the same file's if they are equal.
 *
 *	/a/b  a/b  /workspace/a/b  //a/./b	a/b
 *	/  .  /workspace  /workspace/		"" (the root)
 *	/workspace/workspace/a  workspace/a	workspace/a
 *	..  /a/../b				path_escape
 *
 * It says nothing about what is there: a link may still lead outside, which is
 * for the kernel to refuse (openat2, RESOLVE_BENEATH).
 */
#ifndef VFS_PATH_H
#define VFS_PATH_H

#include "core/json.h"

#define VFS_PATH_MAX	   4095 /* Bytes of the result. */
#define VFS_PATH_NAME_MAX  255	/* Of one component. */
#define VFS_PATH_INPUT_MAX 8192 /* Of what is given. */

struct vfs_path {
	char text[VFS_PATH_MAX + 1]; /* Relative to the root; "": the root. */
	size_t len;
	bool folder; /* It ended in a slash, or is the root. */
};

/**
 * vfs_path_read() - Bring a path into its one form
 * @n: Bytes of @in, which needs no NUL
 *
 * Return: 0; -FAULT_PATH_ESCAPE when it has a ".."; -FAULT_INVALID_ARGUMENT
 * when it is empty, too long or has a NUL.  *p is set on success only.
 */
int vfs_path_read(struct vfs_path *p, const char *in, size_t n, struct err *e);

/* The path in member @key of a JSON object, or, of any bytes, in "@key_b64".
 * Return: as vfs_path_read(); also -FAULT_INVALID_ARGUMENT when it is missing,
 * of another type, or no base64. */
int vfs_path_get(struct vfs_path *p, struct jv object, const char *key,
		 struct err *e);

/* Write members: @key, with U+FFFD for what is no UTF-8, and if there was any
 * such byte "@key_b64" with the true name. */
void vfs_path_put(struct jw *w, const char *key, const char *path, size_t n);

/* Compare as a walk meets them that takes a folder's entries in bytewise order,
 * each followed by what is in it: as strings whose slashes are lowest. */
int vfs_path_cmp(const char *a, const char *b);

#endif
