// SPDX-License-Identifier: Apache-2.0
/*
 * etc.c - The files of /etc that are made for each VM
 *
 * With the image `host`, /etc is a folder of the sandbox's own root, and the
 * files are simply written there.  A root file system brings an /etc that is
 * read-only: there they are written aside and mounted over those that the image
 * has as regular files.
 */
#include "host/sandbox/etc.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/vm_etc.h"

#define ASIDE	 "/hib/etc" /* Where they are, below an image's /etc. */
#define PATH_LEN 64	    /* Bytes of a path here. */

int etc_take(struct box *b, struct err *e)
{
	autoclose int fd = -1;
	ssize_t n;

	if (!b->host_net)
		return 0;
	fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : fail(e, "open", "/etc/resolv.conf");
	n = read(fd, b->resolv_conf, sizeof(b->resolv_conf) - 1);
	if (n < 0)
		return fail(e, "read", "/etc/resolv.conf");
	b->resolv_conf[n] = '\0';
	return 0;
}

static int write_file(const char *path, const char *text, uint32_t owner,
		      struct err *e)
{
	autoclose int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return fail(e, "create", path);
	if (write(fd, text, strlen(text)) < 0)
		return fail(e, "write", path);
	if (owner != 0 && fchown(fd, owner, owner) < 0)
		return fail(e, "change owner of", path);
	return 0;
}

/* A symbolic link in the image is left alone: it may lead anywhere. */
static int mount_over(const char *from, const char *to, struct err *e)
{
	struct stat st;

	if (lstat(to, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		return fail(e, "mount over", to);
	return 0;
}

static int put(const struct box *b, const char *name, const char *text,
	       struct err *e)
{
	char aside[PATH_LEN], path[PATH_LEN];
	int r;

	snprintf(path, sizeof(path), "/etc/%s", name);
	if (box_is_host_image(b))
		return write_file(path, text, b->owner, e);

	snprintf(aside, sizeof(aside), ASIDE "/%s", name);
	r = write_file(aside, text, b->owner, e);
	return r < 0 ? r : mount_over(aside, path, e);
}

int etc_write(const struct box *b, struct err *e)
{
	struct vm_etc etc;
	int r = 0;

	if (!box_is_host_image(b) && mkdir(ASIDE, 0755) < 0)
		return fail(e, "make folder", ASIDE);
	vm_etc_make(b->id, access("/bin/bash", X_OK) == 0 ? "bash" : "sh",
		    &etc);
	for (size_t i = 0; i < VM_ETC_FILES && r == 0; i++)
		r = put(b, etc.file[i].name, etc.file[i].text, e);
	return r == 0 ? put(b, "resolv.conf", b->resolv_conf, e) : r;
}
