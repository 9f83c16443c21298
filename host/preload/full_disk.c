// SPDX-License-Identifier: Apache-2.0
/*
 * full_disk.c - A machine waits while the host's disk is full
 *
 * Memory and disk of a machine are files with holes, which the host's file system
 * may have no room to fill.  Then QEMU is killed (SIGBUS, where the guest writes to
 * its memory), or tells the guest that its disk is broken.  Here the thread that
 * needs the room waits instead, and tries again until there is some; to the guest
 * nothing has happened but time.
 *
 *	a store to memory	SIGBUS: the handler waits, and the store is
 *				done again when it returns
 *	a read into memory	EFAULT, from the kernel's own stores
 *	a write to the disk	ENOSPC, EDQUOT
 *	a store under KVM	EFAULT of KVM_RUN: the processor is where it was
 *
 * QEMU blocks all signals in most threads; one whose SIGBUS is blocked would be
 * killed by it (signal(7)), so that one never is.  What QEMU's own handler is for,
 * memory that is broken, it still gets.
 */
#include "host/preload/full_disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 100000000 /* Until it is tried again. */

static struct sigaction of_qemu; /* Its handler of SIGBUS. */

/* Errno is left as it was: the caller may be any instruction. */
static void pause_a_while(void)
{
	static const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const int before = errno;

	(void)nanosleep(&pause, NULL);
	errno = before;
}

bool full_disk_waited(void)
{
	if (errno != ENOSPC && errno != EDQUOT && errno != EFAULT)
		return false;
	pause_a_while();
	return true;
}

/* --- stores ----------------------------------------------------------------- */

static void on_bus_error(int signo, siginfo_t *info, void *context)
{
	if (info->si_code == BUS_ADRERR)
		pause_a_while();
	else if ((of_qemu.sa_flags & SA_SIGINFO) != 0)
		of_qemu.sa_sigaction(signo, info, context);
	else
		(void)signal(signo, SIG_DFL); /* The store is done again. */
}

/* The function of that name that comes after ours. */
static void *next_of(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		_exit(127);
	return found;
}

int sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	static int (*next)(int, const struct sigaction *, struct sigaction *);

	if (next == NULL)
		next = next_of("sigaction");
	if (signo != SIGBUS)
		return next(signo, act, old);
	if (old != NULL)
		*old = of_qemu;
	if (act != NULL)
		of_qemu = *act;
	return next(signo,
		    &(struct sigaction){.sa_sigaction = on_bus_error,
					.sa_flags = SA_SIGINFO},
		    NULL);
}

__attribute__((constructor)) static void begin(void)
{
	(void)sigaction(SIGBUS, NULL, NULL);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	static int (*next)(int, const sigset_t *, sigset_t *);
	sigset_t open;

	if (next == NULL)
		next = next_of("pthread_sigmask");
	if (set == NULL || how == SIG_UNBLOCK)
		return next(how, set, old);
	open = *set;
	(void)sigdelset(&open, SIGBUS);
	return next(how, &open, old);
}

/* --- calls ------------------------------------------------------------------ */

/* The names of glibc in programs with 64-bit offsets. */
ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
	ssize_t r;

	do
		r = syscall(SYS_pread64, fd, to, n, at);
	while (r < 0 && full_disk_waited());
	return r;
}

ssize_t preadv64(int fd, const struct iovec *v, int n, off64_t at)
{
	ssize_t r;

	do
		r = syscall(SYS_preadv, fd, v, (long)n, at, 0L);
	while (r < 0 && full_disk_waited());
	return r;
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
	ssize_t r;

	do
		r = syscall(SYS_pwrite64, fd, from, n, at);
	while (r < 0 && full_disk_waited());
	return r;
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	ssize_t r;

	do
		r = syscall(SYS_pwritev, fd, v, (long)n, at, 0L);
	while (r < 0 && full_disk_waited());
	return r;
}

/* QEMU runs the processor again after EINTR. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	long r;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	r = syscall(SYS_ioctl, fd, request, arg);
	if (r < 0 && request == KVM_RUN && full_disk_waited())
		errno = EINTR;
	return (int)r;
}
