/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsserve.h - The files of the workspace, as the host asks for them
 *
 * POST /fs/NAME.  The body is one line, a JSON object, and for `write` then the
 * content; the answer is one JSON object, and for `read` a line of it and then
 * the content.  Errors are as those of all calls.
 *
 *	list, stat, grep, read-files, write-files, mkdir, move, copy, remove,
 *	chmod, symlink		fsops.h
 *	read {path, offset, length}
 *		-> entry with "length", LF, that many bytes.  If the file becomes
 *		shorter meanwhile, the stream breaks.
 *	write {path, mode, offset, append, over, etag, must_not_exist} LF content
 *		-> entry
 *	watch {path, recursive}	-> lines, fswatch.h
 *
 * Contents pass in pieces: memory does not depend on their size, and a slow
 * peer slows only its own stream.
 */
#ifndef GUEST_FSSERVE_H
#define GUEST_FSSERVE_H

#include "core/h2.h"

struct fsserve; /* Opaque. */
struct fspool;
struct fstree;

struct fsserve_spec {
	uv_loop_t *loop;
	const char *root; /* Of the workspace; borrowed. */
	int passing;	  /* Records of vfs/passing.h, borrowed; or -1. */
	bool as_agent;	  /* As fspool_open(). */
	/* On the loop, when something may have changed, before it is told. */
	void (*touched)(void *arg);
	void *arg;
};

int fsserve_open(const struct fsserve_spec *spec, struct fsserve **out);
/* Answer a request whose head is there.  @name: what follows "/fs/". */
void fsserve_request(struct fsserve *f, struct h2_stream *s, const char *name);
/* May such a request change files? */
bool fsserve_writes(const char *name);
/* Its threads, and the tree that they work on, for others who do the same. */
struct fspool *fsserve_pool(struct fsserve *f);
struct fstree *fsserve_tree(struct fsserve *f);
/* The streams have ended before.  NULL is allowed. */
void fsserve_close(struct fsserve *f);

#endif
