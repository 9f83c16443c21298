/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_impl.h - What the parts of import.h share
 *
 *	import.c	what is named, and the commit
 *	import_dir.c	a folder of this machine
 *	import_git.c	a commit of a repository, and how its objects get here
 */
#ifndef VFS_IMPORT_IMPL_H
#define VFS_IMPORT_IMPL_H

#include "vfs/commit.h"
#include "vfs/import.h"

struct import {
	struct vfs_repo *repo;
	struct vfs_commit *commit; /* NULL before the objects are here. */
	struct vfs_import_progress progress;
	vfs_import_cb cb;
	void *arg;
	struct err *e;
};

/* Tell where we are.  Return: 0 or -FAULT_CANCELLED. */
int import_tell(struct import *im);

/* Add to the commit: a folder; the beginning of a file, of which so many bytes
 * and then import_file_end() follow; a file whose content is in memory. */
int import_folder(struct import *im, const char *path, uint32_t mode);
int import_file(struct import *im, const char *path, uint32_t mode,
		uint64_t size);
int import_data(struct import *im, const char *data, size_t n);
int import_file_end(struct import *im);
int import_content(struct import *im, const char *path, uint32_t mode,
		   const char *data, size_t n);

/* Add all that is in a folder. */
int import_dir(struct import *im, const char *dir);

/* A revision of a repository. */
struct import_source {
	struct git_repository *git; /* Where its tree and files are read. */
	struct git_tree *tree;
	bool here; /* Its objects are in the workspace's repository, too. */
};

/* Find it at a path of this machine, and share objects; or get it from a URL
 * into the workspace's repository.  @rev: NULL: HEAD. */
int import_open_path(struct import *im, const char *path, const char *rev,
		     struct import_source *out);
int import_clone(struct import *im, const char *url, const char *rev,
		 struct import_source *out);
/* Add its files. */
int import_tree(struct import *im, const struct import_source *source);
void import_source_done(struct import *im, struct import_source *s);

#endif
