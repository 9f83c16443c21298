/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo.h - The bare repository that holds the committed files of a VM
 *
 * An ordinary git repository: `git --git-dir=.. log` works with it.  Names in
 * its trees are those of vfs/name.h, permissions those of vfs/dirmeta.h.
 *
 * All calls block, on disk only.  Any thread may use an object, one at a time;
 * two objects of one repository do not disturb each other.
 */
#ifndef VFS_REPO_H
#define VFS_REPO_H

#include <git2.h>

#include "core/err.h"
#include "vfs/oid.h"

#define VFS_REV_MAX    255 /* Bytes of a revision. */
#define VFS_PREFIX_MIN 7   /* Hex digits that may stand for an id. */

struct vfs_memo;
struct vfs_repo;

/**
 * vfs_repo_create() - Make an empty repository
 * @path: Its folder; the one above exists
 * @out:  May be NULL; else it is opened, to write
 *
 * It survives a power cut when this returns.  A creation that was interrupted
 * is finished by another; a repository that is there is left as it is.
 *
 * Return: 0; -FAULT_DISK_FULL, -FAULT_STORE_ERROR.
 */
int vfs_repo_create(const char *path, struct vfs_repo **out, struct err *e);

/**
 * vfs_repo_create_fork() - Make a repository that borrows another's objects
 * @source: The other's folder; it must stay where it is, seen from @path, as
 *          long as the fork lives, and keep its objects
 * @head:   Commit of @source that becomes the fork's head
 *
 * Costs the same however large @source is.
 *
 * Return: 0; -FAULT_FILE_NOT_FOUND when @source or @head is not there; else as
 * vfs_repo_create().
 */
int vfs_repo_create_fork(const char *path, const char *source,
			 const struct vfs_oid *head, struct vfs_repo **out,
			 struct err *e);

/**
 * vfs_repo_open() - Open a repository
 * @readonly: Nothing will be committed through it
 *
 * Return: 0; -FAULT_FILE_NOT_FOUND; -FAULT_STORE_CORRUPT when the folder is no
 * repository.
 */
int vfs_repo_open(const char *path, bool readonly, struct vfs_repo **out,
		  struct err *e);

/* NULL is allowed. */
void vfs_repo_close(struct vfs_repo *r);

static inline void vfs_repo_close_ptr(struct vfs_repo **r)
{
	vfs_repo_close(*r);
}
#define autovfsrepo cleanup(vfs_repo_close_ptr)

/* The newest commit.  Return: 0; -ENOENT (e is left alone) when nothing has
 * been committed; -FAULT_STORE_CORRUPT. */
int vfs_repo_head(struct vfs_repo *r, struct vfs_oid *out, struct err *e);

/**
 * vfs_repo_resolve() - Find what a person names
 * @rev: The 40 hex digits of an id, or the first of them (VFS_PREFIX_MIN at
 *       least); "HEAD"; a reference: "refs/..", a branch, or
 *       "<session>/<turn>"
 * @out: A commit, or the tree that @rev is the id of; tags are followed
 *
 * Return: 0; -FAULT_FILE_NOT_FOUND; -FAULT_INVALID_ARGUMENT when it is none of
 * these, or the digits fit several objects.
 */
int vfs_repo_resolve(struct vfs_repo *r, const char *rev, struct vfs_oid *out,
		     struct err *e);

/*
 * For vfs/ only.
 */

git_repository *vfs_repo_git(struct vfs_repo *r);
git_odb *vfs_repo_odb(struct vfs_repo *r);
struct vfs_memo *vfs_repo_memo(struct vfs_repo *r); /* Of reading. */
bool vfs_repo_readonly(const struct vfs_repo *r);
const char *vfs_repo_dir(const struct vfs_repo *r); /* No '/' at its end. */

/**
 * vfs_repo_lock() - Keep others from a kind of work on this repository
 * @name: File in it; released when @out_fd is closed, also by a kill
 *
 * Return: 0; -FAULT_OVERLOADED while another process or object has it.
 */
int vfs_repo_lock(struct vfs_repo *r, const char *name, int *out_fd,
		  struct err *e);

struct vfs_oid vfs_oid_of_git(const git_oid *id);
git_oid vfs_oid_to_git(const struct vfs_oid *oid);

/* What @code, just returned by libgit2, means to us; its own words follow @fmt.
 * Return: the negated fault. */
int vfs_repo_giterr(struct err *e, int code, const char *fmt, ...)
	printf_like(3, 4);

/* The same for a negative errno: -FAULT_DISK_FULL, -FAULT_INTERNAL for want of
 * memory, else -FAULT_STORE_ERROR. */
int vfs_repo_errno(struct err *e, int code, const char *fmt, ...)
	printf_like(3, 4);

#endif
