/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gitobj.h - Objects of libgit2 that their scope owns: autogit(tree) *tree
 */
#ifndef VFS_GITOBJ_H
#define VFS_GITOBJ_H

#include <git2.h>

#include "core/base.h"

#define GITOBJ_AUTO(type)                                        \
	static inline void gitobj_##type##_freep(git_##type **p) \
	{                                                        \
		git_##type##_free(*p);                           \
	}
GITOBJ_AUTO(object)
GITOBJ_AUTO(tree)
GITOBJ_AUTO(blob)
GITOBJ_AUTO(commit)
GITOBJ_AUTO(diff)
GITOBJ_AUTO(patch)
GITOBJ_AUTO(repository)
GITOBJ_AUTO(reference)
GITOBJ_AUTO(signature)
GITOBJ_AUTO(revwalk)
GITOBJ_AUTO(treebuilder)
GITOBJ_AUTO(packbuilder)
GITOBJ_AUTO(remote)
#define autogit(type) cleanup(gitobj_##type##_freep) git_##type

#endif
