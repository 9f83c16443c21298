/* SPDX-License-Identifier: Apache-2.0 */
/*
 * treewalk.h - Look at all that is in a folder, whoever has filled it
 *
 * Entries come in the order of their bytes, a folder before what is in it.  No
 * link is followed and no path is looked up as a whole, so names may be anything
 * and a tree as deep as TREEWALK_DEPTH_MAX.  What its owner has closed to himself
 * is opened for as long as it takes.
 */
#ifndef HOST_TREEWALK_H
#define HOST_TREEWALK_H

#include <sys/stat.h>

#include "core/base.h"

#define TREEWALK_DEPTH_MAX 256

struct treewalk_entry {
	int at; /* The folder that it is in. */
	const char *name;
	const char *path; /* Below the top, whose own is "". */
	unsigned depth;	  /* The top has 0. */
	const struct stat *st;
	int fd; /* Of a folder; else -1. */
};

/* What is called may end the walk by a negative result, which is passed on. */
struct treewalk {
	/* Into a folder; a positive result leaves out what is in it. */
	int (*enter)(const struct treewalk_entry *en, void *arg);
	/* All of it was seen; NULL: no matter. */
	int (*leave)(const struct treewalk_entry *en, void *arg);
	/* Anything that is no folder. */
	int (*other)(const struct treewalk_entry *en, void *arg);
	void *arg;
};

/* Return: 0; -ENOTDIR; -ELOOP when it is too deep; another negative errno. */
int treewalk(int at, const char *name, const struct treewalk *w);

/* Open a file that the walk has come to, for reading.
 * Return: a descriptor; -ESTALE when it is another kind of thing by now. */
int treewalk_open(const struct treewalk_entry *en);

#endif
