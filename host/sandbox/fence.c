// SPDX-License-Identifier: Apache-2.0
/*
 * fence.c - What the guest and all its descendants can never do
 *
 * Namespaces decide what the guest can reach; the fence makes the kernel smaller
 * behind them.  The filter is a list of refusals: it names what works on the
 * machine as a whole, what has no use in a sandbox, and what has been a way out
 * of one.  It leaves mounting, namespaces and ptrace alone, since agents build
 * sandboxes and debug programs of their own.
 *
 * It is written out as BPF: one pair of instructions for each refusal.  The
 * kernel works out beforehand which calls always pass (seccomp_cache_prepare()),
 * so the length of the list costs nothing later; libseccomp would cost more
 * time here than all the rest of the launcher.
 */
#include "host/sandbox/fence.h"

#include <assert.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "host/sandbox/box.h"

#define NOFILE_SOFT 65536 /* Open files, where the hard limit allows. */

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "add the AUDIT_ARCH_ of this machine"
#endif

/* Refused with EPERM, as for a user without the right. */
static const int forbidden[] = {
	/* The machine. */
	SYS_reboot,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_syslog,
	SYS_vhangup,
	SYS_quotactl,
	SYS_quotactl_fd,
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
#endif
	/* Its clock. */
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	/* Large parts of the kernel that a sandbox has no use for. */
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_lookup_dcookie,
	SYS_nfsservctl,
	/* Keys are not kept apart by namespaces as the rest is. */
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* Files by inode, past every path. */
	SYS_open_by_handle_at,
};

/* Programs try these, and fall back when the kernel does not know them. */
static const int unknown[] = {
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
};

/* They type into a terminal as if its user did. */
static const unsigned forbidden_ioctls[] = {TIOCSTI, TIOCLINUX};

/* All that hib-guest needs as root of its namespaces: to mount, to make users
 * and sessions, to own and to end their processes and files. */
static const unsigned kept_caps[] = {
	CAP_CHOWN,	CAP_DAC_OVERRIDE,     CAP_FOWNER,    CAP_FSETID,
	CAP_KILL,	CAP_SETGID,	      CAP_SETUID,    CAP_SETPCAP,
	CAP_NET_ADMIN,	CAP_NET_BIND_SERVICE, CAP_SYS_ADMIN, CAP_SYS_CHROOT,
	CAP_SYS_PTRACE, CAP_SETFCAP,
};

#define FILTER_MAX 128 /* Instructions. */

struct filter {
	struct sock_filter op[FILTER_MAX];
	unsigned short n;
};

#define LOAD(field)                                             \
	(struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
				      offsetof(struct seccomp_data, field))
#define JUMP(test, k, yes, no) \
	(struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, k, yes, no)
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSE(code) RETURN(SECCOMP_RET_ERRNO | (code))

static void add(struct filter *f, struct sock_filter op)
{
	assert(f->n < FILTER_MAX);
	f->op[f->n++] = op;
}

static void refuse_if_equal(struct filter *f, unsigned value, unsigned code)
{
	add(f, JUMP(BPF_JEQ, value, 0, 1));
	add(f, REFUSE(code));
}

/* The other ways into the kernel, i386 and x32, have other numbers. */
static void refuse_foreign(struct filter *f)
{
	add(f, LOAD(arch));
	add(f, JUMP(BPF_JEQ, NATIVE_ARCH, 1, 0));
	add(f, REFUSE(ENOSYS));
	add(f, LOAD(nr));
#ifdef __X32_SYSCALL_BIT
	add(f, JUMP(BPF_JGE, __X32_SYSCALL_BIT, 0, 1));
	add(f, REFUSE(ENOSYS));
#endif
}

/* The kernel looks at the lower half of the argument alone, and so do we. */
static void refuse_ioctls(struct filter *f)
{
	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

	add(f,
	    JUMP(BPF_JEQ, SYS_ioctl, 0, 1 + 2 * ARRAY_LEN(forbidden_ioctls)));
	add(f, LOAD(args[1]));
	for (size_t i = 0; i < ARRAY_LEN(forbidden_ioctls); i++)
		refuse_if_equal(f, forbidden_ioctls[i], EPERM);
}

static int close_syscalls(struct err *e)
{
	struct filter f = {.n = 0};
	struct sock_fprog prog = {.filter = f.op};

	refuse_foreign(&f);
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		refuse_if_equal(&f, (unsigned)forbidden[i], EPERM);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		refuse_if_equal(&f, (unsigned)unknown[i], ENOSYS);
	refuse_ioctls(&f);
	add(&f, RETURN(SECCOMP_RET_ALLOW));

	prog.len = f.n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(e, "set", "no_new_privs");
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return fail(e, "set", "the filter of system calls");
	return 0;
}

static bool is_kept(unsigned cap)
{
	for (size_t i = 0; i < ARRAY_LEN(kept_caps); i++)
		if (kept_caps[i] == cap)
			return true;
	return false;
}

/* Of uid 0, execve(2) leaves what the bounding set holds.  The kernel may know
 * more capabilities than our headers: it says EINVAL past its last one. */
static int close_caps(struct err *e)
{
	for (unsigned cap = 0;; cap++) {
		if (is_kept(cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		return errno == EINVAL ? 0 : fail(e, "drop", "capabilities");
	}
}

/* What our user namespace has of them is counted together with those of the
 * namespaces that sessions make below it, each of which keeps to what we have
 * when it is made (kernel/ucount.c).  So this holds for all sessions together. */
static int close_processes(struct err *e)
{
	struct rlimit n;

	if (getrlimit(RLIMIT_NPROC, &n) < 0)
		return fail(e, "read", "the limit of processes");
	if (n.rlim_max > VM_PROCESSES_MAX)
		n.rlim_max = VM_PROCESSES_MAX;
	n.rlim_cur = n.rlim_max;
	if (setrlimit(RLIMIT_NPROC, &n) < 0)
		return fail(e, "limit", "processes");
	return 0;
}

static int close_limits(struct err *e)
{
	const struct rlimit core = {0, 0};
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &core) < 0)
		return fail(e, "limit", "core dumps");
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return fail(e, "read", "the limit of open files");
	files.rlim_cur =
		files.rlim_max < NOFILE_SOFT ? files.rlim_max : NOFILE_SOFT;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return fail(e, "limit", "open files");
	return close_processes(e);
}

int fence_close(struct err *e)
{
	int r = close_limits(e);

	if (r == 0)
		r = close_caps(e);
	return r < 0 ? r : close_syscalls(e);
}
