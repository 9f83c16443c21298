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

#define FILE_MAX 512	    /* Bytes of a generated file. */
#define ASIDE	 "/hib/etc" /* Where they are, below an image's /etc. */
#define PATH_LEN 64	    /* Bytes of a path here. */
#define ID_HEX	 3	    /* Where the hex digits of "vm_..." begin. */

struct etc_file {
	const char *name;
	const char *text;
};

void etc_hostname(const struct box *b, char out[HOSTNAME_MAX])
{
	size_t n = strlen(b->id);

	snprintf(out, HOSTNAME_MAX, "vm-%.8s", b->id + (n > 8 ? n - 8 : 0));
}

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

static int put(const struct box *b, const struct etc_file *f, struct err *e)
{
	char aside[PATH_LEN], path[PATH_LEN];
	int r;

	snprintf(path, sizeof(path), "/etc/%s", f->name);
	if (box_is_host_image(b))
		return write_file(path, f->text, b->owner, e);

	snprintf(aside, sizeof(aside), ASIDE "/%s", f->name);
	r = write_file(aside, f->text, b->owner, e);
	return r < 0 ? r : mount_over(aside, path, e);
}

int etc_write(const struct box *b, struct err *e)
{
	char name[HOSTNAME_MAX], passwd[FILE_MAX], hosts[FILE_MAX];
	char hostname[HOSTNAME_MAX + 1], machine[FILE_MAX];
	const char *shell = access("/bin/bash", X_OK) == 0 ? "bash" : "sh";
	const struct etc_file files[] = {
		{"passwd", passwd},
		{"hosts", hosts},
		{"hostname", hostname},
		{"machine-id", machine},
		{"resolv.conf", b->resolv_conf},
		{"group", "root:x:0:\ntty:x:5:\nuser:x:1000:\n"
			  "nogroup:x:65534:\n"},
	};
	int r = 0;

	etc_hostname(b, name);
	snprintf(passwd, sizeof(passwd),
		 "root:x:0:0:root:/root:/bin/%s\n"
		 "user:x:1000:1000:user:/home/user:/bin/%s\n"
		 "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		 shell, shell);
	snprintf(hosts, sizeof(hosts),
		 "127.0.0.1 localhost %s\n"
		 "::1 localhost ip6-localhost ip6-loopback\n",
		 name);
	snprintf(hostname, sizeof(hostname), "%s\n", name);
	snprintf(machine, sizeof(machine), "%s\n", b->id + ID_HEX);

	if (!box_is_host_image(b) && mkdir(ASIDE, 0755) < 0)
		return fail(e, "make folder", ASIDE);
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++)
		r = put(b, &files[i], e);
	return r;
}
