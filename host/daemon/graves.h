/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graves.h - What is left of destroyed VMs, and of those never made
 *
 * The repository of a fork names that of its source and has only what was
 * committed since.  So a VM that was forked and is destroyed leaves its
 * workspace.git, where it is, until the last repository that names it has gone;
 * everything else of it goes at once.
 *
 * A folder of vms/ says itself what it is: "gone" in it marks that of a
 * destroyed VM, "making" that of a VM whose row is not stored yet; a name that
 * ends in ".gone" is on its way out.  Whatever step a kill falls into,
 * graves_sweep() ends what was begun.
 *
 * All of it blocks, and may be called from any thread; forks and sweeps exclude
 * each other.
 */
#ifndef HOST_DAEMON_GRAVES_H
#define HOST_DAEMON_GRAVES_H

#include "core/err.h"
#include "vfs/oid.h"

/* Mark a folder that is made, and take that mark away once it is a VM's.
 * Return: 0 or -errno. */
int graves_begin(const char *dir);
int graves_made(const char *dir);
/* Was it never made? */
bool graves_is_unmade(const char *dir);
/* Its VM is no more.  Return: 0 or -errno. */
int graves_bury(const char *dir);

/**
 * graves_fork() - Make the repository of a fork
 * @source: Folder of the VM that is forked
 * @dir:    Folder of the fork, without a repository
 * @head:   Commit of the source that it begins with
 *
 * Return: 0; -FAULT_VM_NOT_FOUND when the source was destroyed meanwhile; what
 * vfs_repo_create_fork() returns.
 */
int graves_fork(const char *source, const char *dir, const struct vfs_oid *head,
		struct err *e);

/* Remove what is buried below @vms and not needed. */
void graves_sweep(const char *vms);

#endif
