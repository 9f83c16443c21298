// SPDX-License-Identifier: Apache-2.0
/*
 * machine.c - hib-guest as the first program of a machine
 *
 * Disks are told apart by their serial (virtio 1.2, 5.2.6.1), streams by the
 * names of their ports: rootfs (erofs, the image), agents (erofs, may be
 * missing), disk (ext4, what the VM keeps).  The kernel's command line says
 * which VM it is: hib.vm=vm_...
 *
 * The root is a small tmpfs that is read-only in the end, as in a sandbox
 * (host/sandbox/root.c), on top of the initramfs, which holds our program:
 *
 *	/usr, /etc ..	the image's
 *	/home, /hib/state, /hib/vfs	of the disk
 *	/opt/hib	of the initramfs
 *	/opt/agents	of its disk
 *	/tmp /run /var /dev /proc	made here
 *
 * Whatever fails is said on the console, and ends the machine.
 */
#include "guest/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "core/id.h"
#include "core/vm_etc.h"

#define TEXT_MAX    256
#define CMDLINE_MAX 4096
#define PATH_ROOM   512
#define ROOT	    "/root"  /* In the initramfs, until it is entered. */
#define IMAGE	    "/image" /* The same. */
#define DISK	    "/disk"
#define AGENT	    1000      /* Uid and gid of agents. */
#define FILES	    65536     /* Open ones, as in a sandbox... */
#define FILES_MAX   (1 << 20) /* ...and what a program may have at most. */

/* Its inode tables are zero, as the file was new: nothing has to fill them. */
#define DISK_OPTIONS "errors=remount-ro,discard,noinit_itable"

#define SAFE	(MS_NOSUID | MS_NODEV)
#define NO_EXEC (SAFE | MS_NOEXEC)

static void say(const char *verb, const char *what)
{
	dprintf(STDERR_FILENO, "hib-guest: %s %s: %s\n", verb, what,
		strerror(errno));
}

static _Noreturn void fail(const char *verb, const char *what)
{
	say(verb, what);
	machine_end();
}

_Noreturn void machine_end(void)
{
	sync();
	/* QEMU takes a reset for the end (-no-reboot), and has no power
	 * button where there is no ACPI. */
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		(void)pause();
}

/* --- small helpers -------------------------------------------------------- */

static void mount_or_fail(const char *from, const char *at, const char *type,
			  unsigned long flags, const char *options)
{
	if (mount(from, at, type, flags, options) < 0)
		fail("mount", at);
}

static void make_folder(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		fail("make folder", path);
	(void)chmod(path, mode);
}

/* The first line of a small file, without its end; "" when it cannot be read. */
static void read_line(const char *path, char *out, size_t cap)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, cap - 1);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* The kernel gives its first program 1024: a few sessions fill that. */
static void raise_limits(void)
{
	const struct rlimit files = {FILES, FILES_MAX};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		say("raise", "the limit of open files");
}

/* --- the kernel ------------------------------------------------------------- */

static void mount_kernel(void)
{
	make_folder("/proc", 0555);
	make_folder("/sys", 0555);
	make_folder("/dev", 0755);
	mount_or_fail("proc", "/proc", "proc", NO_EXEC, NULL);
	mount_or_fail("sysfs", "/sys", "sysfs", NO_EXEC, NULL);
	mount_or_fail("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC,
		      "mode=755");
}

/* One that the kernel has built in, or already, is no failure. */
static void load_module(const char *name)
{
	char path[PATH_ROOM];
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "/modules/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 &&
		       errno != EEXIST && errno != ENODEV))
		say("load", path);
}

static void load_modules(const char *list)
{
	char line[TEXT_MAX];
	FILE *f = fopen(list, "re");

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0')
			load_module(line);
	}
	fclose(f);
}

/* What nothing waits for; our daemon reaps it. */
static void load_late_modules(void)
{
	if (fork() != 0)
		return;
	(void)setpriority(PRIO_PROCESS, 0, 19);
	load_modules("/modules/late");
	_exit(0);
}

/* Return: its value; "" when the command line has no such word. */
static void kernel_word(const char *name, char *out, size_t cap)
{
	char text[CMDLINE_MAX], *rest = text, *word;
	size_t n = strlen(name);

	out[0] = '\0';
	read_line("/proc/cmdline", text, sizeof(text));
	while ((word = strsep(&rest, " ")) != NULL)
		if (strncmp(word, name, n) == 0 && word[n] == '=')
			snprintf(out, cap, "%s", word + n + 1);
}

/* --- disks ---------------------------------------------------------------- */

static bool find_disk(const char *serial, char path[PATH_ROOM])
{
	char file[PATH_ROOM], text[TEXT_MAX];

	for (char c = 'a'; c <= 'z'; c++) {
		snprintf(file, sizeof(file), "/sys/block/vd%c/serial", c);
		read_line(file, text, sizeof(text));
		snprintf(path, PATH_ROOM, "/dev/vd%c", c);
		if (strcmp(text, serial) == 0)
			return true;
	}
	return false;
}

static void mount_disk(const char *serial, const char *at, const char *type,
		       unsigned long flags, const char *options)
{
	char device[PATH_ROOM];

	make_folder(at, 0755);
	errno = ENODEV;
	if (!find_disk(serial, device))
		fail("find the disk", serial);
	mount_or_fail(device, at, type, flags, options);
}

/* What a new disk has in it, as backend_sandbox makes it in a folder. */
static void fill_disk(void)
{
	struct stat st;

	make_folder(DISK "/state", 0700);
	make_folder(DISK "/vfs", 0700);
	make_folder(DISK "/home", 0755);
	if (stat(DISK "/home/user", &st) == 0)
		return;
	make_folder(DISK "/home/user", 0755);
	if (chown(DISK "/home/user", AGENT, AGENT) < 0)
		fail("change owner of", DISK "/home/user");
}

/* --- the root ------------------------------------------------------------- */

static const struct {
	const char *path;
	mode_t mode;
} folders[] = {
	{"/dev", 0755},	      {"/etc", 0755},	     {"/hib", 0755},
	{"/hib/etc", 0755},   {"/hib/lower", 0700},  {"/hib/run", 0700},
	{"/hib/state", 0700}, {"/hib/vfs", 0700},    {"/home", 0755},
	{"/opt", 0755},	      {"/opt/agents", 0755}, {"/opt/hib", 0755},
	{"/proc", 0555},      {"/root", 0700},	     {"/run", 0755},
	{"/sys", 0555},	      {"/tmp", 0755},	     {"/var", 0755},
	{"/workspace", 0755},
};

/* What a VM has of its own, whatever its image brings. */
static bool is_own(const char *name)
{
	static const char *const own[] = {
		"dev", "hib", "home", "opt", "proc",	  "root",
		"run", "sys", "tmp",  "var", "workspace",
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(own[i], name) == 0)
			return true;
	return name[0] == '.' || strcmp(name, "lost+found") == 0;
}

/* A folder of the image by a mount, a link by a link like it. */
static void show_entry(const char *name)
{
	char from[PATH_ROOM + TEXT_MAX], to[PATH_ROOM + TEXT_MAX];
	char says[TEXT_MAX];
	struct stat st;
	ssize_t n;

	snprintf(from, sizeof(from), IMAGE "/%s", name);
	snprintf(to, sizeof(to), ROOT "/%s", name);
	if (lstat(from, &st) < 0)
		fail("look at", from);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(from, says, sizeof(says) - 1);
		if (n < 0 || (says[n] = '\0', symlink(says, to) < 0))
			fail("link", to);
	} else if (S_ISDIR(st.st_mode)) {
		make_folder(to, 0755);
		mount_or_fail(from, to, NULL, MS_BIND | MS_REC, NULL);
	}
}

static void show_image(void)
{
	const struct dirent *entry;
	DIR *d = opendir(IMAGE);

	if (d == NULL)
		fail("read", IMAGE);
	while ((entry = readdir(d)) != NULL)
		if (!is_own(entry->d_name))
			show_entry(entry->d_name);
	closedir(d);
}

static void show_at(const char *from, const char *to)
{
	char path[PATH_ROOM];

	snprintf(path, sizeof(path), ROOT "%s", to);
	mount_or_fail(from, path, NULL, MS_BIND, NULL);
}

static void read_only(const char *path)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (mount_setattr(AT_FDCWD, path, 0, &attr, sizeof(attr)) < 0)
		fail("make read-only", path);
}

/* The devices that a sandbox shows, and the one of /workspace for us alone. */
static void make_devices(void)
{
	static const struct {
		const char *name;
		unsigned major, minor;
		mode_t mode;
	} devices[] = {
		{"full", 1, 7, 0666},	 {"null", 1, 3, 0666},
		{"random", 1, 8, 0666},	 {"tty", 5, 0, 0666},
		{"urandom", 1, 9, 0666}, {"zero", 1, 5, 0666},
		{"console", 5, 1, 0600}, {"fuse", 10, 229, 0600},
	};
	static const char *const links[][2] = {
		{"/proc/self/fd", "fd"},       {"pts/ptmx", "ptmx"},
		{"/proc/self/fd/0", "stdin"},  {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"},
	};
	char path[PATH_ROOM];

	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		snprintf(path, sizeof(path), ROOT "/dev/%s", devices[i].name);
		if (mknod(path, S_IFCHR | devices[i].mode,
			  makedev(devices[i].major, devices[i].minor)) < 0 ||
		    chmod(path, devices[i].mode) < 0)
			fail("make", path);
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof(path), ROOT "/dev/%s", links[i][1]);
		if (symlink(links[i][0], path) < 0)
			fail("link", path);
	}
	make_folder(ROOT "/dev/pts", 0755);
	make_folder(ROOT "/dev/shm", 0755);
}

/* Ports by their names. */
static void make_ports(void)
{
	static const char *const names[] = {"api", "host"};
	char path[PATH_ROOM], text[TEXT_MAX], number[TEXT_MAX];
	unsigned major = 0, minor = 0;

	make_folder(ROOT MACHINE_PORTS, 0700);
	for (unsigned i = 0; i < 64; i++) {
		snprintf(path, sizeof(path),
			 "/sys/class/virtio-ports/vport%up%u/name", i / 8,
			 i % 8);
		read_line(path, text, sizeof(text));
		snprintf(path, sizeof(path),
			 "/sys/class/virtio-ports/vport%up%u/dev", i / 8,
			 i % 8);
		read_line(path, number, sizeof(number));
		if (sscanf(number, "%u:%u", &major, &minor) != 2)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			if (strcmp(names[k], text) != 0)
				continue;
			snprintf(path, sizeof(path), ROOT MACHINE_PORTS "/%s",
				 text);
			if (mknod(path, S_IFCHR | 0600, makedev(major, minor)))
				fail("make", path);
		}
	}
}

static void build_root(void)
{
	char path[PATH_ROOM];

	make_folder(ROOT, 0755);
	mount_or_fail("tmpfs", ROOT, "tmpfs", MS_NOSUID,
		      "mode=755,size=1m,nr_inodes=1k");
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), ROOT "%s", folders[i].path);
		make_folder(path, folders[i].mode);
	}
	show_image();
	make_devices();
	make_ports();
	show_at(DISK "/home", "/home");
	show_at(DISK "/state", "/hib/state");
	show_at(DISK "/vfs", "/hib/vfs");
	show_at("/opt/hib", "/opt/hib");
	read_only(ROOT "/opt/hib");
}

/* Agents come on a disk of their own, unless there are none. */
static void show_agents(void)
{
	char device[PATH_ROOM];

	if (find_disk("agents", device))
		mount_or_fail(device, ROOT "/opt/agents", "erofs",
			      MS_RDONLY | SAFE, NULL);
}

static void write_etc(const char *vm)
{
	const char *shell = access(ROOT "/bin/bash", X_OK) == 0 ? "bash" : "sh";
	char aside[PATH_ROOM], path[PATH_ROOM];
	struct vm_etc etc;
	struct stat st;

	vm_etc_make(vm, shell, &etc);
	for (size_t i = 0; i < VM_ETC_FILES; i++) {
		autoclose int fd = -1;
		size_t n = strlen(etc.file[i].text);

		snprintf(aside, sizeof(aside), ROOT "/hib/etc/%s",
			 etc.file[i].name);
		snprintf(path, sizeof(path), ROOT "/etc/%s", etc.file[i].name);
		fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			  0644);
		if (fd < 0 || write(fd, etc.file[i].text, n) != (ssize_t)n)
			fail("write", aside);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			mount_or_fail(aside, path, NULL, MS_BIND, NULL);
	}
}

/* From here on the initramfs is out of sight. */
static void enter_root(void)
{
	read_only(ROOT);
	if (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0 || chdir("/") < 0)
		fail("enter", ROOT);
}

static void mount_own(void)
{
	static const struct {
		const char *type, *at, *options;
		unsigned long flags;
	} own[] = {
		{"proc", "/proc", NULL, NO_EXEC},
		{"sysfs", "/sys", NULL, NO_EXEC | MS_RDONLY},
		{"cgroup2", "/sys/fs/cgroup", NULL, NO_EXEC},
		{"tmpfs", "/tmp", "mode=1777,size=50%", SAFE},
		{"tmpfs", "/run", "mode=755,size=64m", SAFE},
		{"tmpfs", "/hib/run", "mode=700,size=1m", NO_EXEC},
		{"tmpfs", "/var", "mode=755,size=50%", SAFE},
		{"tmpfs", "/dev/shm", "mode=1777,size=50%", SAFE},
		{"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620",
		 MS_NOSUID | MS_NOEXEC},
	};
	static const char *const below[] = {"/var/cache", "/var/lib",
					    "/var/log"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (mount(own[i].type, own[i].at, own[i].type, own[i].flags,
			  own[i].options) < 0)
			say("mount", own[i].at);
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		make_folder(below[i], 0755);
	make_folder("/var/tmp", 01777);
	make_folder("/run/lock", 01777);
}

/* --- all of it -------------------------------------------------------------- */

static void raise_loopback(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		say("bring up", "the loopback interface");
}

static void take_name(char vm[ID_MAX])
{
	char name[VM_HOSTNAME_MAX];

	kernel_word("hib.vm", vm, ID_MAX);
	errno = EINVAL;
	if (!id_is(vm, "vm"))
		fail("find hib.vm= on", "the kernel's command line");
	vm_etc_hostname(vm, name);
	if (sethostname(name, strlen(name)) < 0)
		say("set host name", name);
}

static _Noreturn void run_daemon(void)
{
	char name[] = "hib-guest", machine[] = "--machine";
	char option[] = "--fuse-fd", number[16];
	int fuse = open("/dev/fuse", O_RDWR);
	char *argv[] = {name, machine, fuse < 0 ? NULL : option, number, NULL};
	char *env[] = {NULL};

	snprintf(number, sizeof(number), "%d", fuse);
	execve("/opt/hib/hib-guest", argv, env);
	fail("run", "/opt/hib/hib-guest");
}

_Noreturn void machine_main(void)
{
	char vm[ID_MAX];

	umask(022);
	raise_limits();
	mount_kernel();
	load_modules("/modules/order");
	take_name(vm);
	mount_disk("rootfs", IMAGE, "erofs", MS_RDONLY | MS_NODEV, NULL);
	mount_disk("disk", DISK, "ext4", SAFE, DISK_OPTIONS);
	fill_disk();
	load_late_modules();
	build_root();
	show_agents();
	write_etc(vm);
	enter_root();
	mount_own();
	raise_loopback();
	run_daemon();
}
