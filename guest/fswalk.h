/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fswalk.h - Everything below a folder, in order
 *
 * A folder's entries come in bytewise order of their names, each followed by
 * what is in it: the order of vfs_path_cmp().  Links are entries and are not
 * followed.  One descriptor is held, however deep it goes; a folder that is gone
 * or closed to us when we come to it is as one that is empty.
 *
 * It blocks; any thread.
 */
#ifndef GUEST_FSWALK_H
#define GUEST_FSWALK_H

#include <sys/stat.h>

#include "core/err.h"

struct fswalk_entry {
	const char *path; /* From the root of the workspace. */
	const char *name; /* Its last part... */
	int dir;	  /* ...in this folder. */
	const struct stat *st;
};

struct fswalk_spec {
	int root;
	int passing;	   /* Names of these records are left out; or -1. */
	const char *path;  /* The folder to begin with. */
	const char *after; /* Leave out up to this path; NULL: nothing. */
	unsigned depth;	   /* Of folders to go into; 1: its own entries. */
	/* Return: 0; FSWALK_SKIP not to go into this folder; FSWALK_END when
	 * that was enough. */
	int (*entry)(const struct fswalk_entry *en, void *arg);
	void *arg;
};

#define FSWALK_SKIP 1
#define FSWALK_END  2

/* Return: 0, also when @entry ended it; a failure. */
int fswalk(const struct fswalk_spec *spec, struct err *e);

#endif
