/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace.h - What the commands of `hib files` share
 *
 * Committed files are read from the VM's repository, with hibd running or not.
 * ls, cat and stat ask a struct workspace_source, so that they print the same
 * whoever answers.
 */
#ifndef HOST_FILES_WORKSPACE_H
#define HOST_FILES_WORKSPACE_H

#include "host/cli/cli.h"
#include "vfs/browse.h"
#include "vfs/history.h"

struct workspace;

struct workspace_source {
	/* What a path names; the name in @out lies in @path.
	 * Return: 0; -FAULT_FILE_NOT_FOUND; another error. */
	int (*stat)(struct workspace *ws, const char *path,
		    struct vfs_entry *out, struct err *e);
	/* The entries of a folder, sorted bytewise.
	 * Return: 0; what @cb returned; an error. */
	int (*list)(struct workspace *ws, const char *path, vfs_entry_cb cb,
		    void *arg, struct err *e);
	/* All bytes of a file, or what a link says. */
	int (*read)(struct workspace *ws, const char *path,
		    const struct vfs_entry *entry, vfs_data_cb cb, void *arg,
		    struct err *e);
};

/* A VM's files as a command sees them; zeroed before, closed after. */
struct workspace {
	const struct workspace_source *source;
	struct cli *cli;
	char vm[ID_MAX];
	bool newer; /* It is off, and its disk has files that no commit has. */
	struct vfs_repo *repo; /* NULL: not opened. */
	struct vfs_oid commit;
};

/* workspace.c: the files of ws->commit. */
extern const struct workspace_source workspace_committed;

/* Find the VM that is named (an id or a name).  Return: -1 to go on, else the
 * exit status. */
int workspace_find(struct workspace *ws, struct cli *c, const char *vm);
/* Open its repository.  Return: the same. */
int workspace_open_repo(struct workspace *ws);
/* The commit that is named; NULL: the newest.  Return: the same. */
int workspace_resolve(struct workspace *ws, const char *rev,
		      struct vfs_oid *out);
/* All of that: the files at a commit, from workspace_committed. */
int workspace_open(struct workspace *ws, struct cli *c, const char *vm,
		   const char *at);
void workspace_close(struct workspace *ws);

static inline void workspace_closep(struct workspace *ws)
{
	workspace_close(ws);
}
#define autoworkspace cleanup(workspace_closep)

/* An argument as a path.  Return: -1 to go on, else the exit status. */
int workspace_path(const char *arg, struct vfs_path *out);

#endif
