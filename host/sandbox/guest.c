// SPDX-License-Identifier: Apache-2.0
/*
 * guest.c - The guest's first process, from its making to its exec
 *
 * clone3(CLONE_PARENT) makes it a child of hibd, which can then wait for it and
 * read its exit status.  It is made early, since making a network namespace is
 * the slowest step of all and can go on beside the building of the root:
 *
 *	launcher			guest
 *	clone3
 *	take the image, fill		session, /dev/fuse, network, host name
 *	  and enter the new root
 *	write its id maps
 *	"go"				copy the mounts, become root,
 *					  mount what is the VM's, fence
 *					execve: its end closes
 *	end of file: done
 *
 * Until "go" both share the launcher's mount namespace, where pivot_root(2)
 * moves the root of both.  The guest's copy of it is made in its own user
 * namespace, which locks every mount in it.
 *
 * When the guest fails, it sends its struct err instead.  When the launcher
 * dies, the guest reads the end of the file, not "go", and exits.
 */
#include "host/sandbox/guest.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/vm_etc.h"
#include "host/sandbox/fence.h"
#include "host/sandbox/fuse.h"
#include "host/sandbox/ids.h"
#include "host/sandbox/machine.h"
#include "host/sandbox/root.h"

#define GUEST_PATH "/opt/hib/hib-guest"

static int name_host(const struct box *b, struct err *e)
{
	char name[VM_HOSTNAME_MAX];

	vm_etc_hostname(b->id, name);
	if (sethostname(name, strlen(name)) < 0)
		return fail(e, "set host name", name);
	return 0;
}

/* A network of its own has nothing but a loopback interface. */
static int make_network(const struct box *b, struct err *e)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	autoclose int fd = -1;

	if (b->host_net)
		return 0;
	if (unshare(CLONE_NEWNET) < 0)
		return fail(e, "create", "a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		return fail(e, "bring up", "the loopback interface");
	return 0;
}

static int wait_for_go(int sock, struct err *e)
{
	char go;

	if (recv(sock, &go, 1, 0) != 1)
		return err_set(e, -ECANCELED, "the launcher has gone");
	return 0;
}

static int copy_mounts(struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return fail(e, "create", "the guest's mount namespace");
	if (chdir("/") < 0)
		return fail(e, "enter", "/");
	return 0;
}

/* stdin is /dev/null and stderr the console log already; stdout, which is
 * hibd's pipe, becomes the log as well.  All else ends with execve(). */
static int keep_stdio_and_fuse(const struct box *b, struct err *e)
{
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return fail(e, "redirect", "stdout");
	if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return fail(e, "close", "all other descriptors");
	return fuse_keep(b, e);
}

static int prepare(struct box *b, struct err *e)
{
	int r;

	if (setsid() < 0)
		return fail(e, "start", "a session");
	fuse_open(b);
	r = make_network(b, e);
	return r < 0 ? r : name_host(b, e);
}

static int move_in(struct box *b, struct err *e)
{
	int r = copy_mounts(e);

	if (r == 0)
		r = ids_become_root(b, e);
	if (r == 0)
		r = root_finish(b, e);
	if (r == 0)
		r = keep_stdio_and_fuse(b, e);
	if (r < 0)
		return r;
	umask(022);
	return fence_close(e);
}

static void run_guest(const struct box *b, struct err *e)
{
	char name[] = "hib-guest", option[] = "--fuse-fd";
	char fd[sizeof("-2147483648")];
	char *argv[] = {name, b->fuse >= 0 ? option : NULL, fd, NULL};
	char *env[] = {NULL};

	snprintf(fd, sizeof(fd), "%d", b->fuse);
	execve(GUEST_PATH, argv, env);
	(void)fail(e, "run", GUEST_PATH);
}

static _Noreturn void run(struct box *b, int sock)
{
	struct err e = {0};
	int r = prepare(b, &e);

	if (r == 0)
		r = wait_for_go(sock, &e);
	if (r == 0)
		r = move_in(b, &e);
	if (r == 0 && b->boot != NULL)
		machine_run(b, &e);
	else if (r == 0)
		run_guest(b, &e);
	(void)send(sock, &e, sizeof(e), MSG_NOSIGNAL);
	_exit(1);
}

int guest_make(struct box *b, struct guest *out, struct err *e)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_NEWUSER |
			 CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			 CLONE_NEWCGROUP,
		.pidfd = (uintptr_t)&out->pidfd,
	};
	int sock[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return fail(e, "make", "a socket pair");
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		close(sock[0]);
		run(b, sock[1]);
	}
	close(sock[1]);
	if (pid < 0) {
		close(sock[0]);
		return fail(e, "create", "the namespaces of the sandbox");
	}
	out->pid = pid;
	out->sock = sock[0];
	return 0;
}

int guest_go(const struct box *b, struct guest *g, struct err *e)
{
	struct err theirs;
	ssize_t n;
	int r = ids_map_child(b, g->pid, e);

	if (r < 0)
		return r;
	/* One that has failed already left its reason behind. */
	(void)send(g->sock, "g", 1, MSG_NOSIGNAL);
	n = recv(g->sock, &theirs, sizeof(theirs), 0);
	if (n < 0)
		return fail(e, "hear", "from the guest");
	if (n == 0)
		return 0;
	*e = theirs;
	return e->code;
}

void guest_end(struct guest *g)
{
	struct pollfd exited = {.fd = g->pidfd, .events = POLLIN};

	if (g->pid == 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, g->pidfd, SIGKILL, NULL, 0);
	while (poll(&exited, 1, -1) < 0 && errno == EINTR)
		;
}
