/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees.h - Parts of the host that will be seen in the sandbox
 *
 * A tree is a detached copy of a mount: taken while the host's paths can still
 * be walked, with the launcher's rights, and put in place later, where no path
 * of the host exists any more.  So the guest's mapped root needs no access to
 * the folders above its own, and no symbolic link can lead a mount astray.  A
 * tree may also be a symbolic link of the image (/bin -> usr/bin), made again.
 */
#ifndef HOST_SANDBOX_TREES_H
#define HOST_SANDBOX_TREES_H

#include "core/err.h"

#define TREES_MAX     128 /* Trees in one list. */
#define TREE_AT_MAX   128 /* Bytes of a mount point, with its NUL. */
#define TREE_LINK_MAX 256 /* Bytes of a symbolic link, with its NUL. */

enum tree_flags {
	TREE_DEVICE = BIT(0),	/* A device node; else devices are dead. */
	TREE_ALONE = BIT(1),	/* Without the mounts below it. */
	TREE_OPTIONAL = BIT(2), /* Nothing there is no error. */
	TREE_NOFOLLOW = BIT(3), /* A symbolic link is an error. */
	TREE_RDONLY = BIT(4),	/* Nothing can be written there. */
	TREE_SELF = BIT(5),	/* @dir itself; @path is for errors only. */
};

struct tree {
	int fd; /* Of the detached mount; -1 when it is a link. */
	bool is_dir;
	char at[TREE_AT_MAX];	  /* Absolute, in the sandbox. */
	char link[TREE_LINK_MAX]; /* What the link says. */
};

struct trees {
	struct tree v[TREES_MAX];
	unsigned n;
};

/* Where a tree comes from. */
struct tree_source {
	int dir; /* @path is below it; or AT_FDCWD. */
	const char *path;
	unsigned flags; /* enum tree_flags */
};

/* Take a tree that will be seen at "@under/@name".
 * Return: 0, also when an optional one is not there. */
int trees_take(struct trees *t, const struct tree_source *from,
	       const char *under, const char *name, struct err *e);

/* Take what @dir has under @name: a folder or a symbolic link.
 * Other files, and what is not there, are left out. */
int trees_take_entry(struct trees *t, int dir, const char *name,
		     const char *under, struct err *e);

/* Put all in place, below the root of this process.  Their mount points are
 * made and given to @owner. */
int trees_place(struct trees *t, uint32_t owner, struct err *e);

#endif
