/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsops.h - What can be asked of the files of the workspace, and done to them
 *
 * Each operation takes a JSON object and makes one; contents that are too large
 * for that travel by fsread.h and fswrite.h.  All of them block; any thread.
 */
#ifndef GUEST_FSOPS_H
#define GUEST_FSOPS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/json.h"
#include "vfs/path.h"

/* The workspace. */
struct fstree {
	const char *root;
	int passing; /* Records of vfs/passing.h, borrowed; or -1. */
	/* Held from the look at what is there to the change of it, by all who
	 * change names, so that of two who expect the same etag one fails. */
	pthread_mutex_t lock;
};

/* One operation at work. */
struct fscall {
	struct fstree *tree;
	int root;	  /* Descriptor of it. */
	struct jv in;	  /* Params. */
	struct jw out;	  /* Result; jw_done() by its owner. */
	atomic_bool gone; /* Nobody waits for it: stop. */
};

struct fsop {
	const char *name;
	int (*run)(struct fscall *c, struct err *e);
	bool changes; /* It may have changed the workspace, even if it failed. */
};

/* NULL: there is none of that name. */
const struct fsop *fsops_find(const char *name);

/* fslist.c */
int fs_list(struct fscall *c, struct err *e);
int fs_stat(struct fscall *c, struct err *e);
/* fschange.c */
int fs_mkdir(struct fscall *c, struct err *e);
int fs_move(struct fscall *c, struct err *e);
int fs_chmod(struct fscall *c, struct err *e);
int fs_symlink(struct fscall *c, struct err *e);
/* fsremove.c */
int fs_remove(struct fscall *c, struct err *e);
/* A file, or a folder with what is in it. */
int fs_remove_all(struct fscall *c, const struct vfs_path *path, struct err *e);
/* fscopy.c */
int fs_copy(struct fscall *c, struct err *e);
int fs_copy_all(struct fscall *c, const struct vfs_path *from,
		const struct vfs_path *to, bool overwrite, struct err *e);
/* fsgrep.c */
int fs_grep(struct fscall *c, struct err *e);
/* fsmany.c */
int fs_read_files(struct fscall *c, struct err *e);
int fs_write_files(struct fscall *c, struct err *e);

#endif
