/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - The files of a VM, by the HTTP API
 *
 *	api_files.c	  the routes; operations that are one JSON object
 *	files_relay.c	  contents and changes, from the guest to the client
 *	files_upload.c	  contents, from the client to the guest
 *	files_committed.c files of a commit, from the VM's repository
 */
#ifndef HOST_DAEMON_FILES_H
#define HOST_DAEMON_FILES_H

#include "host/daemon/op.h"
#include "vfs/path.h"
#include "vfs/repo.h"

#define FILES_QUEUE_MAX (1u << 20)   /* On its way to one side. */
#define FILES_CHUNK	(256u << 10) /* Read of a commit at once. */
#define FILES_ERROR_MAX (64u << 10)  /* An error of the guest's. */
#define FILES_LIST	1000	     /* Entries of a list, if not told... */
#define FILES_LIST_MAX	10000	     /* ...and at most. */

/* The bytes of a file, or the changes as events, of the guest of op->vm, which
 * runs; op->params are those of `read` or `watch`.  The op is answered. */
void files_relay_content(struct op *op);
void files_relay_changes(struct op *op);

/* The head of a PUT is there, checked, and op->params are those of `write`: wake
 * the VM and pass the body on.  Return: true to have it streamed; false: it was
 * answered.  The op is no more. */
bool files_upload_begin(struct op *op);
void files_upload_end(struct http_req *r); /* Its body has ended. */

/* What is asked of a commit. */
struct files_query {
	enum { FILES_STAT, FILES_LISTING, FILES_CONTENT } kind;
	char at[VFS_REV_MAX + 1]; /* "": the newest. */
	struct vfs_path path, after;
	bool has_after, follow, recursive;
	int64_t depth, limit;
	int64_t offset, length;
};

/* Answer the op from the repository of op->vm; wakes nothing. */
void files_committed(struct op *op, const struct files_query *q);

/* Headers of an answer that is the content of a file.  @entry: what is told of
 * it, on one line. */
void files_put_headers(struct http_req *r, const char *entry);

#endif
