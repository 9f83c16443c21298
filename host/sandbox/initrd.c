// SPDX-License-Identifier: Apache-2.0
/*
 * initrd.c - The initramfs of a machine
 *
 * The kernel reads one cpio archive behind the other (its documentation,
 * driver-api/early-userspace/buffer-format), in the "newc" format: a head of
 * hexadecimal numbers, the name, the content, each filled up to 4 bytes.
 */
#include "host/sandbox/initrd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define PROGRAM_MAX (256u << 20) /* Bytes of one program. */
#define NAME_ROOM   300

struct archive {
	FILE *out;
	unsigned inode;
};

struct entry {
	const char *name;
	unsigned mode;
	const char *text; /* Of a link; NULL: the content of fd. */
	int fd;
	size_t size;
};

static void fill_up(struct archive *a, size_t n)
{
	static const char zeros[4];

	fwrite(zeros, 1, (4 - n % 4) % 4, a->out);
}

static int put_content(struct archive *a, const struct entry *en)
{
	char buf[64 << 10];
	size_t left = en->size;

	if (en->text != NULL) {
		fwrite(en->text, 1, en->size, a->out);
		return 0;
	}
	while (left > 0) {
		ssize_t n = read(en->fd, buf,
				 left < sizeof(buf) ? left : sizeof(buf));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		fwrite(buf, 1, (size_t)n, a->out);
		left -= (size_t)n;
	}
	return 0;
}

static int put(struct archive *a, const struct entry *en)
{
	size_t name = strlen(en->name) + 1;
	int r;

	fprintf(a->out,
		"070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		++a->inode, en->mode, 0u, 0u, 1u, 0u, en->size, 0u, 0u, 0u, 0u,
		name, 0u);
	fwrite(en->name, 1, name, a->out);
	fill_up(a, 110 + name);
	r = put_content(a, en);
	fill_up(a, en->size);
	return r;
}

static int put_folder(struct archive *a, const char *name)
{
	return put(a, &(struct entry){.name = name,
				      .mode = S_IFDIR | 0755,
				      .text = ""});
}

static int put_program(struct archive *a, int dir, const char *name,
		       struct err *e)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char path[NAME_ROOM];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "open %s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return 0;
	if (st.st_size > PROGRAM_MAX)
		return err_set(e, -EFBIG, "%s is too large", name);
	snprintf(path, sizeof(path), "opt/hib/%s", name);
	r = put(a, &(struct entry){.name = path,
				   .mode = S_IFREG | 0755,
				   .fd = fd,
				   .size = (size_t)st.st_size});
	return r < 0 ? err_set(e, r, "read %s: %s", name, strerror(-r)) : 0;
}

/* One is for QEMU alone. */
static bool is_library(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && strcmp(name + n - 3, ".so") == 0;
}

static int put_programs(struct archive *a, const char *libexec, struct err *e)
{
	const struct dirent *entry;
	DIR *d = opendir(libexec);
	int r = 0;

	if (d == NULL)
		return err_set(e, -errno, "read %s: %s", libexec,
			       strerror(errno));
	while (r == 0 && (entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.' && !is_library(entry->d_name))
			r = put_program(a, dirfd(d), entry->d_name, e);
	closedir(d);
	return r;
}

static int put_ours(struct archive *a, const char *libexec, struct err *e)
{
	static const char init[] = "opt/hib/hib-guest";
	int r = put_folder(a, "opt");

	if (r == 0)
		r = put_folder(a, "opt/hib");
	if (r == 0)
		r = put(a, &(struct entry){.name = "init",
					   .mode = S_IFLNK | 0777,
					   .text = init,
					   .size = sizeof(init) - 1});
	if (r == 0)
		r = put_programs(a, libexec, e);
	if (r == 0)
		r = put(a, &(struct entry){.name = "TRAILER!!!", .text = ""});
	return r;
}

static int copy(int from, int to)
{
	ssize_t n;

	do
		n = sendfile(to, from, NULL, 1 << 30);
	while (n > 0);
	return n < 0 ? -errno : 0;
}

int initrd_write(int fd, const char *modules, const char *libexec,
		 struct err *e)
{
	autoclose int from = open(modules, O_RDONLY | O_CLOEXEC);
	struct archive a = {0};
	int own, r;

	if (from < 0)
		return err_set(e, -errno, "open %s: %s", modules,
			       strerror(errno));
	r = copy(from, fd);
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (r == 0)
		a.out = own < 0 ? NULL : fdopen(own, "w");
	if (a.out == NULL) {
		close_fd(&own);
		return err_set(e, r < 0 ? r : -ENOMEM, "write the initramfs");
	}
	r = put_ours(&a, libexec, e);
	if (ferror(a.out) && r == 0)
		r = err_set(e, -EIO, "write the initramfs");
	if (fclose(a.out) != 0 && r == 0)
		r = err_set(e, -errno, "write the initramfs: %s",
			    strerror(errno));
	return r;
}
