// SPDX-License-Identifier: Apache-2.0
/*
 * bundle.c - Commits with all that they need, as one file
 */
#include "vfs/bundle.h"

#include <git2.h>
#include <git2/sys/odb_backend.h>
#include <string.h>

#include "vfs/refs.h"

#define PIECE (256u << 10)

static int write_piece(void *data, size_t n, void *arg)
{
	const int *fd = arg;
	const char *p = data;

	while (n > 0) {
		ssize_t r = write(*fd, p, n);

		if (r <= 0)
			return -1;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static int choose(struct vfs_repo *r, git_packbuilder *b,
		  const struct vfs_oid *commits, size_t n)
{
	git_revwalk *walk = NULL;
	int code = git_revwalk_new(&walk, vfs_repo_git(r));

	for (size_t i = 0; code == 0 && i < n; i++) {
		git_oid id = vfs_oid_to_git(&commits[i]);

		code = git_revwalk_push(walk, &id);
	}
	if (code == 0)
		code = git_packbuilder_insert_walk(b, walk);
	git_revwalk_free(walk);
	return code;
}

int vfs_bundle_write(struct vfs_repo *r, const struct vfs_oid *commits,
		     size_t n, int fd, struct err *e)
{
	git_packbuilder *b = NULL;
	int code = git_packbuilder_new(&b, vfs_repo_git(r));

	if (code == 0)
		code = choose(r, b, commits, n);
	if (code == 0)
		code = git_packbuilder_foreach(b, write_piece, &fd);
	git_packbuilder_free(b);
	return code < 0 ? vfs_repo_giterr(e, code, "write a pack") : 0;
}

/* Return: 0 or a code of libgit2. */
static int take_pieces(git_odb_writepack *w, int fd)
{
	git_indexer_progress stats = {0};
	autofree char *buf = malloc(PIECE);
	int code = buf != NULL ? 0 : GIT_ERROR;
	ssize_t n;

	while (code == 0 && (n = read(fd, buf, PIECE)) != 0)
		code = n < 0 ? GIT_ERROR : w->append(w, buf, (size_t)n, &stats);
	return code == 0 ? w->commit(w, &stats) : code;
}

int vfs_bundle_read(struct vfs_repo *r, int fd, const struct vfs_oid *head,
		    struct err *e)
{
	git_odb_writepack *w = NULL;
	git_oid id = vfs_oid_to_git(head);
	git_commit *commit = NULL;
	int code = git_odb_write_pack(&w, vfs_repo_odb(r), NULL, NULL);

	if (code == 0)
		code = take_pieces(w, fd);
	if (w != NULL)
		w->free(w);
	if (code == 0)
		code = git_odb_refresh(vfs_repo_odb(r));
	if (code == 0)
		code = git_commit_lookup(&commit, vfs_repo_git(r), &id);
	git_commit_free(commit);
	if (code < 0) {
		(void)vfs_repo_giterr(e, code, "read a pack");
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "its commits are damaged");
	}
	return vfs_refs_set(vfs_repo_dir(r), VFS_REF_MAIN, head, e);
}
