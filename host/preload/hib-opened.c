// SPDX-License-Identifier: Apache-2.0
/*
 * hib-opened.c - Files that QEMU opens, and has been given already
 *
 * A library that the launcher has loaded into QEMU (LD_PRELOAD).  QEMU 7.2 opens
 * the file of a machine's memory for writing even where it maps it privately,
 * and /dev/kvm by its name.  It shall have neither right: for the paths in
 *
 *	HIB_OPENED=/path=FD:/path=FD
 *
 * an open gives a copy of that descriptor, whatever was asked for.  So the memory of
 * a snapshot is open for reading alone, and who breaks out of QEMU can change no
 * byte of it; the mapping is as good, since what is written to it goes to pages
 * of its own (mmap(2), MAP_PRIVATE).
 *
 * What the guest gives back of its memory (virtio 1.2, 5.5.6.7) QEMU would cut out
 * of the file, and then drop its pages (ram_block_discard_range()).  Here the first is
 * left out, so that the second is done.
 *
 * For its memory QEMU asks for huge pages, which a file on a disk does not have.
 * Linux takes that for a reason to read 2 MiB for each page that is touched first,
 * and to go over all of it again for each that is written: a boot would take a
 * quarter more time.  So they are not asked for, where as many bytes are meant as
 * HIB_MEMORY says.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/preload/full_disk.h"

/* Return: the descriptor that stands for @path, or -1. */
static int given(const char *path)
{
	const char *p = getenv("HIB_OPENED");
	size_t n = strlen(path);

	while (p != NULL && *p != '\0') {
		if (strncmp(p, path, n) == 0 && p[n] == '=')
			return atoi(p + n + 1);
		p = strchr(p, ':');
		p = p == NULL ? NULL : p + 1;
	}
	return -1;
}

static int open_it(const char *path, int flags, mode_t mode)
{
	int fd = given(path);

	if (fd >= 0)
		return fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The names of glibc for open(2) in programs with 64-bit offsets. */
int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (__OPEN_NEEDS_MODE(flags))
		mode = va_arg(args, mode_t);
	va_end(args);
	return open_it(path, flags, mode);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
	int r;

	if ((mode & FALLOC_FL_PUNCH_HOLE) != 0 &&
	    (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return 0;
	do
		r = (int)syscall(SYS_fallocate, fd, mode, at, len);
	while (r < 0 && full_disk_waited());
	return r;
}

int madvise(void *at, size_t len, int advice)
{
	const char *memory = getenv("HIB_MEMORY");

	if (advice == MADV_HUGEPAGE && memory != NULL &&
	    strtoull(memory, NULL, 10) == len)
		return 0;
	return (int)syscall(SYS_madvise, at, len, advice);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return open_it(path, flags, 0);
}
