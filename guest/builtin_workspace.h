/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin_workspace.h - Private to builtin_workspace*.c: one call at work
 *
 *	builtin_workspace_table.c   the tools, as they are told
 *	builtin_workspace.c	    calls and their answers
 *	builtin_workspace_path.c    which file is meant; errors
 *	builtin_workspace_read.c    contents
 *	builtin_workspace_write.c   changes
 *	builtin_workspace_list.c    folders
 *	builtin_workspace_history.c commits
 *
 * A tool runs on a thread of the files' pool, as the agents' user, and leaves a
 * text or an error in its call.  What it answers is what npm's server-filesystem
 * answers, word for word where that makes sense; tests/f_mcp_workspace.t lists
 * where it does not.
 */
#ifndef GUEST_BUILTIN_WORKSPACE_H
#define GUEST_BUILTIN_WORKSPACE_H

#include <limits.h>
#include <sys/stat.h>

#include "guest/builtin.h"
#include "guest/fsops.h"
#include "guest/fspool.h"

#define WSTOOL_TEXT_MAX	    (4u << 20) /* Bytes of a text that is answered. */
#define WSTOOL_MEDIA_MAX    (3u << 20) /* Of a file, before base64. */
#define WSTOOL_PATTERNS_MAX 32
#define WSTOOL_MS	    30000

struct wstool_call;

struct wstool_call {
	struct fscall fs; /* First the root; fs.in are the arguments. */
	struct jw text;	  /* The answer... */
	struct jw item;	  /* ...or a block of content, as JSON; or */
	struct jw error;  /* what went wrong. */

	uint64_t deadline; /* uv_hrtime(). */

	/* Private to builtin_workspace.c. */
	struct guest *guest;
	const struct file_tool *tool;
	struct jw result;
	struct fswork work;
	struct builtin_call *q;
};

/* A path as it was asked for, and the file that it means. */
struct wstool_path {
	char shown[PATH_MAX + VFS_PATH_INPUT_MAX]; /* "/workspace/a/b" */
	char at[VFS_PATH_MAX + 1]; /* Below the root, links followed. */
	bool exists;
};

/* --- builtin_workspace_path.c ------------------------------------------- */

/* Each: -1, so that a failing tool ends in `return wstool_fail(...)`. */
int wstool_fail(struct wstool_call *c, const char *fmt, ...) printf_like(2, 3);
/* As Node.js says it: "ENOENT: no such file or directory, open '/workspace/a'";
 * @path: below the root, or NULL. */
int wstool_fail_errno(struct wstool_call *c, int error, const char *syscall,
		      const char *path);
/* The same of what our own operations say. */
int wstool_fail_err(struct wstool_call *c, const struct err *e,
		    const char *syscall, const char *path);
int wstool_fail_memory(struct wstool_call *c);
/* Nobody waits for it any more, or it has taken too long. */
bool wstool_is_over(const struct wstool_call *c);

/* Find what is meant.  Return: 0, also for what does not exist yet; -1. */
int wstool_find(struct wstool_call *c, struct jv path, struct wstool_path *out);

/* --- the tools: 0, or -1 when the call has an error ----------------------------------------------------------- */

int wstool_read_text_file(struct wstool_call *c);
int wstool_read_media_file(struct wstool_call *c);
int wstool_read_multiple_files(struct wstool_call *c);
int wstool_write_file(struct wstool_call *c);
int wstool_edit_file(struct wstool_call *c);
int wstool_create_directory(struct wstool_call *c);
int wstool_move_file(struct wstool_call *c);
int wstool_list_directory(struct wstool_call *c);
int wstool_list_directory_with_sizes(struct wstool_call *c);
int wstool_directory_tree(struct wstool_call *c);
int wstool_search_files(struct wstool_call *c);
int wstool_get_file_info(struct wstool_call *c);
int wstool_list_allowed_directories(struct wstool_call *c);

/* Of a regular file that exists, or not: open it to be read.  @syscall: for the
 * error.  Return: a descriptor; -1. */
int wstool_open(struct wstool_call *c, const struct wstool_path *p,
		const char *syscall, struct stat *st);
/* All of it, at most WSTOOL_TEXT_MAX bytes; NULL: the call has an error. */
char *wstool_read(struct wstool_call *c, const struct wstool_path *p,
		  size_t *len);

/* builtin_workspace.c: any of these. */
void wstool_file_tool(struct builtin_call *q);

/* builtin_workspace_history.c: these run on the loop. */
void wstool_checkpoint_tool(struct builtin_call *q);
void wstool_diff_tool(struct builtin_call *q);
void wstool_restore_tool(struct builtin_call *q);

#endif
