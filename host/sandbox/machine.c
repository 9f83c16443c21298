// SPDX-License-Identifier: Apache-2.0
/*
 * machine.c - A virtual machine in the sandbox, in the place of the guest
 *
 * The image's folder has the kernel and so on beside the files that a sandbox
 * would see, so b->boot is that of the files, and the rest is found from there.
 *
 * Agents are packed into a file system when what is installed has changed; that
 * file is made once for all VMs, beside the folder that it shows.  A machine keeps
 * the one that it was booted with by a link of its own, since what it remembers of
 * it must stay true when it goes on from its memory.
 */
#include "host/sandbox/machine.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/image.h"
#include "host/sandbox/initrd.h"
#include "host/sandbox/kernel_words.h"
#include "host/sandbox/limited.h"
#include "host/saved.h"
#include "host/sparse.h"

#define QEMU_LIBRARY  "/opt/hib/hib-qemu.so" /* host/preload/ */
#define MKFS_EROFS    "/usr/bin/mkfs.erofs"
#define AGENTS	      "agents.erofs"
#define DISK_BYTES    (16ull << 30) /* Sparse; without a quota. */
#define CONSOLE_MAX   (1u << 20)    /* Bytes of a console that are kept. */
#define TEXT_MAX      256
#define ARGUMENTS_MAX 80

/* --- agents --------------------------------------------------------------- */

static bool is_newer(const struct stat *st, const struct stat *than)
{
	return st->st_mtim.tv_sec > than->st_mtim.tv_sec ||
	       (st->st_mtim.tv_sec == than->st_mtim.tv_sec &&
		st->st_mtim.tv_nsec >= than->st_mtim.tv_nsec);
}

/* Is anything in the folder, or two folders down, as new as @made?  Versions of
 * packages appear there whole. */
static bool has_newer(int dir, const struct stat *made, int depth)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool found = false;
	struct stat st;

	if (d == NULL)
		return true;
	while (!found && (entry = readdir(d)) != NULL) {
		autoclose int below = -1;

		if (strcmp(entry->d_name, "..") == 0 ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			    0)
			continue;
		found = is_newer(&st, made);
		if (found || depth == 0 || !S_ISDIR(st.st_mode) ||
		    strcmp(entry->d_name, ".") == 0)
			continue;
		below = openat(dirfd(d), entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		found = below >= 0 && has_newer(below, made, depth - 1);
	}
	closedir(d);
	return found;
}

static int run(const char *const *argv, struct err *e)
{
	char *env[] = {NULL};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)execve(argv[0], (char **)(uintptr_t)argv, env);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail(e, "run", argv[0]);
	if (status == 0)
		return 0;
	if (WEXITSTATUS(status) == 127)
		return err_set(e, -ENOENT, "%s is not there", argv[0]);
	return err_set(e, -EIO, "%s failed with status %d", argv[0],
		       WEXITSTATUS(status));
}

/* Is the file system there that is made of @dir as it is? */
static bool is_made(const char *path, int dir)
{
	struct stat made;

	return stat(path, &made) == 0 && !has_newer(dir, &made, 2);
}

/* One at a time, and what one that was killed has left is used up by the next. */
static int pack_agents(const struct box *b, const char *path, struct err *e)
{
	char fresh[PATH_MAX + 32];
	const char *argv[] = {MKFS_EROFS, "--quiet", "-T0", "--all-root",
			      fresh,	  b->agents, NULL};
	int r;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	(void)unlink(fresh);
	r = run(argv, e);
	if (r == 0 && (chmod(fresh, 0644) < 0 || rename(fresh, path) < 0))
		r = fail(e, "make", path);
	if (r < 0)
		(void)unlink(fresh);
	return r;
}

/* Return: 0, with the file system's path. */
static int make_agents(const struct box *b, char path[PATH_MAX], struct err *e)
{
	autoclose int dir = open(b->agents, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int above = -1;

	if (dir < 0)
		return fail(e, "open", b->agents);
	if (snprintf(path, PATH_MAX, "%s/../" AGENTS, b->agents) >= PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "%s", b->agents);
	if (is_made(path, dir))
		return 0;
	/* The folder of the agents itself is locked by who installs one. */
	above = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0 || flock(above, LOCK_EX) < 0)
		return fail(e, "lock", path);
	return is_made(path, dir) ? 0 : pack_agents(b, path, e);
}

/* --- what the machine boots from -------------------------------------------- */

static int make_initrd(const struct box *b, int dir, struct err *e)
{
	autoclose int fd = openat(
		dir, MACHINE_INITRD,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	char modules[PATH_MAX];

	if (fd < 0)
		return fail(e, "make", MACHINE_INITRD);
	if (b->owner != 0 && fchown(fd, b->owner, b->owner) < 0)
		return fail(e, "change owner of", MACHINE_INITRD);
	snprintf(modules, sizeof(modules), "%s/../modules.cpio", b->boot);
	return initrd_write(fd, modules, b->libexec, e);
}

static int take_file(struct box *b, int dir, const char *path, const char *name,
		     struct err *e)
{
	const struct tree_source from = {
		.dir = dir, .path = path, .flags = TREE_RDONLY};

	return trees_take(&b->image_trees, &from, MACHINE_BOOT, name, e);
}

static int take_image(struct box *b, struct err *e)
{
	static const char *const files[] = {"kernel", "rootfs.erofs"};
	char path[PATH_MAX];
	int r = 0;

	snprintf(path, sizeof(path), "%s/..", b->boot);
	b->acpi = image_needs_acpi(path);
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++) {
		snprintf(path, sizeof(path), "%s/../%s", b->boot, files[i]);
		r = take_file(b, AT_FDCWD, path, files[i], e);
	}
	return r;
}

static int take_own(struct box *b, int dir, struct err *e)
{
	struct tree_source from = {.dir = dir, .flags = TREE_NOFOLLOW};
	int r;

	from.path = "run";
	r = trees_take(&b->vm_trees, &from, "/hib", "run", e);
	from.path = "disk";
	return r < 0 ? r : trees_take(&b->vm_trees, &from, "/hib", "state", e);
}

static int keep_agents(int memory, const char *agents, struct err *e)
{
	(void)unlinkat(memory, SAVED_AGENTS, 0);
	return sparse_link_file(AT_FDCWD, agents, memory, SAVED_AGENTS, e);
}

/* What a machine that boots is made of, where it is missing. */
static int make_files(struct box *b, int dir, int memory, struct err *e)
{
	autoclose int disk = openat(
		dir, "disk", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char agents[PATH_MAX];
	int r;

	if (disk < 0)
		return fail(e, "open", "disk");
	r = limited_make(b, disk, b->quota > 0 ? b->quota : DISK_BYTES, e);
	if (r == 0)
		r = make_initrd(b, dir, e);
	if (r == 0)
		r = make_agents(b, agents, e);
	if (r == 0)
		r = keep_agents(memory, agents, e);
	if (r < 0)
		return r;
	r = take_file(b, dir, MACHINE_INITRD, "initrd", e);
	return r < 0 ? r : take_file(b, AT_FDCWD, agents, AGENTS, e);
}

/* Somebody else's, for reading: the descriptor is of a mount where nothing can be
 * written, so that it cannot be opened anew for that either. */
static int open_ram(struct box *b, struct err *e)
{
	const struct tree_source from = {.dir = AT_FDCWD,
					 .path = b->ram,
					 .flags = TREE_NOFOLLOW | TREE_RDONLY};
	struct trees one = {.n = 0};
	char path[TEXT_MAX];

	if (trees_take(&one, &from, "/", "ram", e) < 0)
		return e->code;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", one.v[0].fd);
	b->ram_fd = open(path, O_RDONLY | O_CLOEXEC);
	close(one.v[0].fd);
	return b->ram_fd < 0 ? fail(e, "open", b->ram) : 0;
}

static int take_ram(struct box *b, int memory, struct err *e)
{
	const struct tree_source from = {
		.dir = memory, .path = SAVED_RAM, .flags = TREE_NOFOLLOW};

	if (b->ram != NULL)
		return open_ram(b, e);
	return trees_take(&b->vm_trees, &from, "/hib", "memory", e);
}

int machine_take(struct box *b, struct err *e)
{
	autoclose int dir = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int memory = openat(
		dir, SAVED_AT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (dir < 0 || memory < 0)
		return fail(e, "open", b->dir);
	if (b->kvm)
		b->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (b->kvm && b->kvm_fd < 0)
		return fail(e, "open", "/dev/kvm");
	r = b->incoming ? take_file(b, memory, SAVED_AGENTS, AGENTS, e)
			: make_files(b, dir, memory, e);
	if (r == 0)
		r = take_image(b, e);
	if (r == 0)
		r = take_ram(b, memory, e);
	return r < 0 ? r : take_own(b, dir, e);
}

int machine_make_points(const struct box *b, struct err *e)
{
	if (mkdir(MACHINE_BOOT, 0755) < 0 ||
	    mknod(MACHINE_MEMORY, S_IFREG | 0600, 0) < 0)
		return fail(e, "make", "the machine's mount points");
	if (b->owner != 0 && (chown(MACHINE_BOOT, b->owner, b->owner) < 0 ||
			      chown(MACHINE_MEMORY, b->owner, b->owner) < 0))
		return fail(e, "change owner of", MACHINE_BOOT);
	return 0;
}

/* --- QEMU ------------------------------------------------------------------- */

/* A process that writes what the console says to the log, and no more than
 * CONSOLE_MAX of it; it ends with QEMU. */
static int keep_console(struct err *e)
{
	char buf[4096];
	size_t kept = 0;
	ssize_t n;
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return fail(e, "make", "a pipe");
	pid = fork();
	if (pid < 0)
		return fail(e, "fork", "for the console");
	if (pid > 0) {
		close(p[0]);
		return dup2(p[1], STDOUT_FILENO) < 0 ? fail(e, "keep", "stdout")
						     : 0;
	}
	/* The launcher waits for the end of all others of ours. */
	if (dup2(p[0], STDIN_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0u, 0) < 0 ||
	    close(STDOUT_FILENO) < 0)
		_exit(1);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0) {
		if (kept < CONSOLE_MAX)
			(void)!write(STDERR_FILENO, buf, (size_t)n);
		kept += (size_t)n;
	}
	_exit(0);
}

/* A list of arguments, NULL at the end. */
struct arguments {
	const char *v[ARGUMENTS_MAX];
	size_t n;
};

static void put(struct arguments *a, const char *const *list)
{
	for (; *list != NULL; list++) {
		assert(a->n < ARGUMENTS_MAX - 1);
		a->v[a->n++] = *list;
	}
}

/* The devices and their order are what MACHINE_LAYOUT stands for.  The balloon
 * makes holes in the memory's file of what the guest has freed. */
static const char *const devices[] = {
	"-nodefaults",
	"-no-user-config",
	"-display",
	"none",
	"-no-reboot",
	"-sandbox",
	"on,obsolete=deny,elevateprivileges=deny,"
	"spawn=deny,resourcecontrol=deny",
	"-kernel",
	MACHINE_BOOT "/kernel",
	"-chardev",
	"stdio,id=console,signal=off",
	"-serial",
	"chardev:console",
	"-drive",
	"id=rootfs,if=none,format=raw,readonly=on,file=" MACHINE_BOOT
	"/rootfs.erofs",
	"-device",
	"virtio-blk-device,drive=rootfs,serial=rootfs",
	"-drive",
	"id=agents,if=none,format=raw,readonly=on,file=" MACHINE_BOOT
	"/" AGENTS,
	"-device",
	"virtio-blk-device,drive=agents,serial=agents",
	"-drive",
	"id=disk,if=none,format=raw,discard=unmap,file=" MACHINE_DISK,
	"-device",
	"virtio-blk-device,drive=disk,serial=disk",
	"-device",
	"virtio-rng-device",
	"-device",
	"virtio-balloon-device,free-page-reporting=on",
	"-device",
	"virtio-serial-device",
	"-chardev",
	"socket,id=api,server=on,wait=off,path=" MACHINE_RUN "/api.sock",
	"-device",
	"virtserialport,chardev=api,name=api",
	"-chardev",
	"socket,id=host,server=on,wait=off,path=" MACHINE_RUN "/host.sock",
	"-device",
	"virtserialport,chardev=host,name=host",
	"-qmp",
	"unix:" MACHINE_RUN "/qmp.sock,server=on,wait=off",
	NULL};

/* What is emulated: all there is, but a promise that string instructions are fast
 * (ERMS).  Kernel and C library would trust in it and copy byte by byte, each a
 * turn of an emulated loop. */
#define TCG_CPU "max,-erms"

/* What is told to the library that is loaded into QEMU. */
struct library_env {
	char opened[TEXT_MAX], memory[TEXT_MAX];
	char *v[4];
};

/* A number below 0 stands for a file that is opened as any other. */
static void make_env(const struct box *b, struct library_env *env)
{
	static char preload[] = "LD_PRELOAD=" QEMU_LIBRARY;

	snprintf(env->opened, sizeof(env->opened),
		 "HIB_OPENED=" MACHINE_MEMORY "=%d:/dev/kvm=%d", b->ram_fd,
		 b->kvm_fd);
	snprintf(env->memory, sizeof(env->memory), "HIB_MEMORY=%llu",
		 (unsigned long long)b->memory << 20);
	env->v[0] = preload;
	env->v[1] = env->opened;
	env->v[2] = env->memory;
	env->v[3] = NULL;
}

/* The memory of a machine that goes on has the kernel's command line and the
 * initramfs in it; the kernel is only named so that the same devices exist.  The
 * memory of a snapshot is mapped privately, from a descriptor
 * (host/preload/hib-opened.c). */
void machine_run(const struct box *b, struct err *e)
{
	char words[KERNEL_WORDS_MAX], memory[TEXT_MAX], ram[TEXT_MAX],
		cpus[TEXT_MAX];
	const char *const type =
		b->acpi ? "microvm,memory-backend=ram"
			: "microvm,memory-backend=ram,acpi=off";
	const char *const size[] = {
		"-M",	   type,
		"-object", ram,
		"-m",	   memory,
		"-smp",	   cpus,
		"-accel",  b->kvm_fd >= 0 ? "kvm" : "tcg",
		"-cpu",	   b->kvm_fd >= 0 ? "host" : TCG_CPU,
		NULL};
	const char *const boot[] = {"-initrd", MACHINE_BOOT "/initrd",
				    "-append", words, NULL};
	const char *const incoming[] = {"-incoming", "defer", "-S", NULL};
	static const char *const program[] = {MACHINE_QEMU, NULL};
	struct arguments argv = {.n = 0};
	struct library_env env = {0};

	if (!b->incoming)
		kernel_words(b->id, b->kvm_fd >= 0, words);
	snprintf(memory, sizeof(memory), "%uM", b->memory);
	snprintf(ram, sizeof(ram),
		 "memory-backend-file,id=ram,share=%s,size=%uM,"
		 "mem-path=" MACHINE_MEMORY,
		 b->ram_fd >= 0 ? "off" : "on", b->memory);
	make_env(b, &env);
	snprintf(cpus, sizeof(cpus), "%u", b->cpus);
	put(&argv, program);
	put(&argv, devices);
	put(&argv, size);
	put(&argv, b->incoming ? incoming : boot);
	if (keep_console(e) < 0)
		return;
	/* Not there, or it goes along. */
	(void)fcntl(b->ram_fd, F_SETFD, 0);
	(void)fcntl(b->kvm_fd, F_SETFD, 0);
	(void)execve(MACHINE_QEMU, (char **)(uintptr_t)argv.v, env.v);
	(void)fail(e, "run", MACHINE_QEMU);
}
