/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box.h - What the launcher was asked to build, and what it has so far
 */
#ifndef HOST_SANDBOX_BOX_H
#define HOST_SANDBOX_BOX_H

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "host/sandbox/trees.h"

#define RESOLV_MAX	 4096 /* Bytes of a resolv.conf that are taken over. */
#define VM_PROCESSES_MAX 8192 /* Of all sessions of a VM, threads included. */

struct box {
	/* As asked.  Strings are the launcher's argv. */
	const char *id;
	const char *dir;
	const char *image; /* "host", or the folder of a root file system. */
	const char *boot;  /* For a machine: its image's folder of files. */
	const char *libexec;
	const char *agents;
	const char *mounts; /* JSON, see mounts.h; NULL: none. */
	bool host_net;
	uint64_t quota; /* Bytes, see limited.h; 0: none. */
	/* Of a machine. */
	unsigned memory, cpus; /* MiB, and how many. */
	bool incoming;	       /* It goes on from a memory... */
	const char *ram;       /* ...that is here, and stays; NULL: its own. */
	int ram_fd;	       /* Of that, for reading; or -1. */
	bool kvm;
	int kvm_fd; /* Of /dev/kvm; or -1. */

	bool as_root;	/* Else everything happens in a user namespace. */
	uint32_t owner; /* The guest's uid 0, as the launcher sees it. */
	int proc;	/* The host's /proc, O_PATH. */
	int fuse;	/* /dev/fuse, see fuse.h; or -1. */
	bool acpi;	/* For a machine: its kernel needs that. */
	bool has_group; /* The guest has a control group of its own. */

	char resolv_conf[RESOLV_MAX]; /* Empty without the host's network. */

	struct trees image_trees; /* Locked and read-only in the guest. */
	struct trees vm_trees;	  /* The VM's own; the guest may unmount. */
	struct trees mount_trees; /* Mounts as asked for; locked. */
};

static inline bool box_is_host_image(const struct box *b)
{
	return strcmp(b->image, "host") == 0;
}

/* The usual failure: "mount /proc: Permission denied", with errno. */
static inline int fail(struct err *e, const char *verb, const char *object)
{
	int code = -errno;

	return err_set(e, code, "%s %s: %s", verb, object, strerror(-code));
}

#endif
