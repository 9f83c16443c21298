/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durable.h - Small files and folders that a power cut leaves whole
 */
#ifndef VFS_DURABLE_H
#define VFS_DURABLE_H

#include "core/base.h"

/* Make a folder (0777 and umask) and sync the one above it.
 * Return: 0, also when it is there; a negative errno. */
int vfs_durable_mkdir(const char *path);

/* Sync the entries of a folder.  Return: 0 or a negative errno. */
int vfs_durable_sync_dir(const char *path);

/* Sync the folder that @path is in.  Return: 0 or a negative errno. */
int vfs_durable_sync_parent(const char *path);

/**
 * vfs_durable_create() - A new file with synced content, its name not yet
 *
 * Return: 0; a negative errno, -EEXIST when there is one: then nothing is left.
 */
int vfs_durable_create(const char *path, const char *data, size_t n);

/**
 * vfs_durable_write() - Let a file have this content, or its old one
 * @path: At most PATH_MAX - 5 bytes; `@path.new` is used meanwhile, and must
 *        be no one else's
 *
 * Return: 0 or a negative errno.
 */
int vfs_durable_write(const char *path, const char *data, size_t n);

#endif
