// SPDX-License-Identifier: Apache-2.0
/*
 * probe.c - Boot a guest under KVM, to see whether it comes up
 *
 * The guest is our own, and nobody's: it has no disk and no network, and is
 * killed as soon as it has said a word, or has not for too long.
 */
#include "host/sandbox/probe.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "host/sandbox/box.h"
#include "host/sandbox/initrd.h"
#include "host/sandbox/machine.h"

#define SAID	   "hib-guest:" /* The first word of our program. */
#define OUTPUT_MAX (64 << 10)	/* Of a console. */
#define FD_PATH	   32

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int make_initrd(const char *image, const char *libexec, struct err *e)
{
	autoclose int fd = memfd_create("initrd", 0);
	char modules[PATH_MAX];
	int r;

	if (fd < 0)
		return fail(e, "make", "a memory file");
	snprintf(modules, sizeof(modules), "%s/../modules.cpio", image);
	r = initrd_write(fd, modules, libexec, e);
	return r < 0 ? r : take_fd(&fd);
}

static _Noreturn void run_qemu(const char *image, int initrd, int out)
{
	const struct rlimit no_core = {0, 0};
	char kernel[PATH_MAX], initrd_path[FD_PATH];
	const char *const argv[] = {MACHINE_QEMU,
				    "-nodefaults",
				    "-no-user-config",
				    "-display",
				    "none",
				    "-no-reboot",
				    "-M",
				    "microvm",
				    "-accel",
				    "kvm",
				    "-cpu",
				    "host",
				    "-m",
				    "256",
				    "-kernel",
				    kernel,
				    "-initrd",
				    initrd_path,
				    "-append",
				    "console=ttyS0 quiet reboot=t panic=-1",
				    "-chardev",
				    "stdio,id=console,signal=off",
				    "-serial",
				    "chardev:console",
				    NULL};
	char *env[] = {NULL};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	snprintf(kernel, sizeof(kernel), "%s/../kernel", image);
	snprintf(initrd_path, sizeof(initrd_path), "/proc/self/fd/%d", initrd);
	if (dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0)
		(void)execve(argv[0], (char **)(uintptr_t)argv, env);
	_exit(127);
}

/* Until the guest speaks.  Return: 0; -ETIMEDOUT; -EPIPE: QEMU has ended, and
 * the last line of @text is why. */
static int listen_to(int fd, char text[OUTPUT_MAX])
{
	const int64_t end = now_ms() + PROBE_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	text[0] = '\0';
	while (strstr(text, SAID) == NULL) {
		int64_t left = end - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = read(fd, text + len, OUTPUT_MAX - 1 - len);
		if (n <= 0)
			return -EPIPE;
		for (size_t i = len; i < len + (size_t)n; i++)
			if (text[i] == '\0')
				text[i] = '?';
		len += (size_t)n;
		text[len] = '\0';
	}
	return 0;
}

/* What QEMU said last. */
static const char *last_line(char *text)
{
	size_t n = strlen(text);
	const char *line;

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	return line == NULL ? text : line + 1;
}

int probe_kvm(const char *image, const char *libexec, struct err *e)
{
	autoclose int initrd = make_initrd(image, libexec, e);
	static char text[OUTPUT_MAX];
	int64_t began = now_ms();
	int p[2], r;
	pid_t pid;

	if (initrd < 0)
		return initrd;
	if (pipe2(p, O_CLOEXEC) < 0)
		return fail(e, "make", "a pipe");
	pid = fork();
	if (pid < 0)
		return fail(e, "fork", "for QEMU");
	if (pid == 0)
		run_qemu(image, initrd, p[1]);
	close(p[1]);
	r = listen_to(p[0], text);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	close(p[0]);
	if (r == -ETIMEDOUT)
		return err_set(e, r, "a guest was not up after %d ms",
			       PROBE_MS);
	if (r < 0)
		return err_set(e, r, "QEMU ended: %.120s", last_line(text));
	return (int)(now_ms() - began);
}
