/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fswrite.h - Write one file, piece by piece
 *
 * A file that is replaced appears whole: until fswrite_commit() nobody sees any
 * of it, and a failure leaves what was there.  It keeps its mode; folders that
 * are missing are made; a link to it stays one.  A file with several names
 * becomes one of its own.  With an offset, and to append, it is written in
 * place, and what was written stays after a failure.
 *
 * All of it blocks; any thread, one at a time.
 */
#ifndef GUEST_FSWRITE_H
#define GUEST_FSWRITE_H

#include "guest/fsentry.h"
#include "guest/fsops.h"

struct fswrite; /* Opaque. */

/* What must be there, or the answer is -FAULT_CAS_MISMATCH, or if nothing must
 * be there -FAULT_ALREADY_EXISTS. */
struct fsexpect {
	char etag[FSENTRY_ETAG_MAX]; /* "": whatever; "*": anything. */
	bool nothing;
};

struct fswrite_spec {
	const char *path; /* Plain; copied. */
	int mode;	  /* -1: that of the file that is there, or 0644. */
	bool append;
	int64_t offset; /* -1: the file is replaced. */
	/* Then: whatever is in its place goes but a folder, and a link is not
	 * followed, nor does it matter whether the file may be written to. */
	bool over;
	struct fsexpect expect;
};

/* "etag" and "must_not_exist" of @in. */
int fsexpect_read(struct fsexpect *x, struct jv in, struct err *e);
/* @st: NULL when nothing is there. */
int fsexpect_check(const struct fsexpect *x, const struct stat *st,
		   const char *path, struct err *e);

/* @root: copied.  What is expected is checked here and, of a file that is
 * replaced, again at the end. */
int fswrite_begin(struct fstree *t, int root, const struct fswrite_spec *spec,
		  struct fswrite **out, struct err *e);
int fswrite_feed(struct fswrite *w, const char *data, size_t n, struct err *e);
/* Complete.  The entry is written to @out. */
int fswrite_commit(struct fswrite *w, struct jw *out, struct err *e);
/* NULL is allowed. */
void fswrite_free(struct fswrite *w);

#endif
