/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace_live.h - Files of a VM as they are now, by hibd
 */
#ifndef HOST_FILES_WORKSPACE_LIVE_H
#define HOST_FILES_WORKSPACE_LIVE_H

#include "host/files/workspace.h"

/* The files of a VM that runs. */
extern const struct workspace_source workspace_live;

/* Does hibd answer, and says it that ws->vm runs?  Then its files are those of
 * workspace_live.  Starts nothing. */
bool workspace_is_live(struct workspace *ws);

/* What it tells of a file, as JSON, into @w. */
int workspace_live_row(struct workspace *ws, const char *path, struct jw *w,
		       struct err *e);

/* Each entry below a folder, in order, as it was told, @depth folders deep; with
 * its path, plain.  @at: NULL for now.  A non-zero result of @cb ends it and is the result. */
struct live_entry {
	struct vfs_path path;
	struct vfs_entry entry; /* Its name lies in @path. */
	struct jv row;
};
typedef int (*live_entry_cb)(const struct live_entry *en, void *arg);
int workspace_live_walk(struct cli *c, const char *vm, const char *path,
			const char *at, unsigned depth, live_entry_cb cb,
			void *arg, struct err *e);
/* One entry, told.  @j: keeps what @en points to; json_done() by the caller,
 * @text: then free(). */
int workspace_live_stat(struct cli *c, const char *vm, const char *path,
			const char *at, struct live_entry *en, struct json *j,
			char **text, struct err *e);

#endif
