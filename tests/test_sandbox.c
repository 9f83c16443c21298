// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox.c - What a sandbox shows and hides, and how machines live
 *
 * The real launcher and the real backend boot tests/fake/sandbox_probe in the
 * place of hib-guest.  Run by root, each fact is also tried as an ordinary user.
 * All of a case lives in one temporary folder; its guest dies with the case.
 */
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "host/backend.h"
#include "host/doctor.h"
#include "host/sandbox/range.h"
#include "tests/tap.h"

#define VM_ID	   "vm_019353e4a7c07b3e8f1a2b3c4d5e6f70"
#define ANY_USER   1000
#define REPLY_MAX  65536
#define PATH_ROOM  (PATH_MAX / 2)
#define TMP_PREFIX "/tmp/hib-test-"

static struct {
	char home[PATH_ROOM];
	char dir[PATH_MAX];
	char libexec[PATH_MAX];
	char agents[PATH_MAX];
	struct vm_spec spec;
	uv_loop_t loop;
	struct machine *machine;
	pid_t pid;
	struct err err; /* Of the last boot. */
	bool booted;
	char exit[512]; /* Why the machine is gone; empty while it runs. */
} vm;

/* --- folders --- */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	if (vm.pid > 0)
		(void)kill(vm.pid, SIGKILL);
	if (strncmp(vm.home, TMP_PREFIX, strlen(TMP_PREFIX)) == 0)
		(void)nftw(vm.home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(char *out, const char *under, const char *name,
		     mode_t mode)
{
	snprintf(out, PATH_MAX, "%.*s/%s", PATH_ROOM, under, name);
	OK(mkdir(out, mode) == 0 || errno == EEXIST);
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	char buf[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		FAIL("copy %s to %s: %s", from, to, strerror(errno));
	while ((n = read(in, buf, sizeof(buf))) > 0)
		EQ(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

/* Copy a program from beside this one. */
static void install(const char *program, const char *as)
{
	char self[PATH_ROOM], from[PATH_MAX], to[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	OK(n > 0);
	self[n] = '\0';
	snprintf(from, sizeof(from), "%s/%s", dirname(self), program);
	snprintf(to, sizeof(to), "%s/%s", vm.libexec, as);
	copy_file(from, to);
}

static void read_file(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

	if (n < 0)
		FAIL("read %s: %s", path, strerror(errno));
	out[n] = '\0';
	close(fd);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	OK(fd >= 0);
	EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* A HIB_HOME with one VM, its folders @below deep. */
static void set_up_below(const char *below)
{
	char vms[PATH_MAX];
	struct err e;

	umask(022);
	snprintf(vm.home, sizeof(vm.home), TMP_PREFIX "XXXXXX");
	OK(mkdtemp(vm.home) != NULL);
	(void)atexit(tear_down);
	make_dir(vm.libexec, vm.home, "libexec", 0755);
	make_dir(vm.agents, vm.home, "agents", 0755);
	make_dir(vms, vm.home, below, 0700);
	make_dir(vm.dir, vms, VM_ID, 0700);
	install("../libexec/hib-sandbox", "hib-sandbox");
	install("fake/sandbox_probe", "hib-guest");

	vm.spec = (struct vm_spec){
		.id = VM_ID,
		.dir = vm.dir,
		.image = "host",
		.libexec = vm.libexec,
		.agents = vm.agents,
	};
	EQ(uv_loop_init(&vm.loop), 0);
	if (backend_sandbox.create(&vm.spec, &e) < 0)
		FAIL("create: %s", e.msg);
}

static void set_up(void)
{
	set_up_below("vms");
}

/* --- machines --- */

static void on_exited(struct machine *m, const char *detail, void *arg)
{
	(void)arg;
	OK(m == vm.machine);
	vm.machine = NULL;
	vm.pid = 0;
	snprintf(vm.exit, sizeof(vm.exit), "%s", detail);
}

static const struct backend_events events = {.exited = on_exited};

static void on_booted(struct machine *m, const struct err *e, void *arg)
{
	(void)arg;
	vm.booted = true;
	vm.machine = m;
	if (m == NULL)
		vm.err = *e;
	else
		vm.pid = backend_sandbox.pid(m);
}

static void try_boot(void)
{
	vm.booted = false;
	vm.exit[0] = '\0';
	backend_sandbox.boot(&vm.loop, &vm.spec, &events, NULL, on_booted);
	OK(!vm.booted);
	while (!vm.booted)
		uv_run(&vm.loop, UV_RUN_ONCE);
}

static void boot(void)
{
	try_boot();
	if (vm.machine == NULL)
		FAIL("boot: %s", vm.err.msg);
}

static void wait_for_exit(void)
{
	while (vm.exit[0] == '\0')
		uv_run(&vm.loop, UV_RUN_ONCE);
}

/* Nothing of a machine is left in the loop. */
static void close_loop(void)
{
	uv_run(&vm.loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&vm.loop), 0);
}

static void power_off(void)
{
	backend_sandbox.kill(vm.machine);
	wait_for_exit();
}

static void finish(void)
{
	power_off();
	close_loop();
}

static int open_channel(void)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	struct err e;
	int fd;

	while ((fd = backend_sandbox.channel(vm.machine, "api", &e)) ==
	       -EAGAIN) {
		nanosleep(&moment, NULL);
		uv_run(&vm.loop, UV_RUN_NOWAIT);
		if (vm.machine == NULL)
			FAIL("the guest %s", vm.exit);
	}
	if (fd < 0)
		FAIL("channel: %s", e.msg);
	return fd;
}

/* Ask the probe.  The answer is valid until the next question. */
static const char *ask(const char *question)
{
	static char reply[REPLY_MAX];
	int fd = open_channel();
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	EQ(dprintf(fd, "%s\n", question), strlen(question) + 1);
	for (;;) {
		while (poll(&p, 1, -1) < 0 && errno == EINTR)
			;
		n = read(fd, reply + len, sizeof(reply) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	reply[len] = '\0';
	return reply;
}

/* --- what a guest sees --- */

TEST(guest_is_process_1_and_root)
{
	set_up();
	boot();
	STR_EQ(ask("who"), geteuid() == 0 ? "pid 1 sid 1 uid 0 gid 0 home 1000"
					  : "pid 1 sid 1 uid 0 gid 0 home 0");
	STR_EQ(ask("read /proc/sys/kernel/hostname"), "vm-4d5e6f70\n");
	finish();
}

TEST(host_files_are_not_there)
{
	char question[PATH_MAX + 8];

	set_up();
	boot();
	snprintf(question, sizeof(question), "ls %s", vm.home);
	STR_EQ(ask(question), "ENOENT");
	STR_EQ(ask("ls /root"), "");
	STR_EQ(ask("ls /tmp"), "");
	STR_EQ(ask("ls /sys"), "ENOENT");
	STR_EQ(ask("ls /mnt"), "ENOENT");
	STR_EQ(ask("read /etc/shadow"), "ENOENT");
	STR_EQ(ask("ls /proc/1/root/mnt"), "ENOENT");
	finish();
}

TEST(image_is_read_only_for_good)
{
	set_up();
	boot();
	STR_EQ(ask("write /file"), "EROFS");
	STR_EQ(ask("write /usr/file"), "EROFS");
	STR_EQ(ask("write /etc/file"), "EROFS");
	STR_EQ(ask("write /opt/hib/file"), "EROFS");
	STR_EQ(ask("write /opt/agents/file"), "EROFS");
	STR_EQ(ask("remount /usr"), "EPERM");
	STR_EQ(ask("remount /opt/agents"), "EPERM");
	STR_EQ(ask("umount /usr"), "EINVAL");
	STR_EQ(ask("remount /"), "EPERM");
	finish();
}

TEST(scratch_is_writable)
{
	set_up();
	boot();
	STR_EQ(ask("write /tmp/file"), "ok");
	STR_EQ(ask("write /run/file"), "ok");
	STR_EQ(ask("write /var/tmp/file"), "ok");
	STR_EQ(ask("write /dev/shm/file"), "ok");
	STR_EQ(ask("write /dev/null"), "ok");
	STR_EQ(ask("write /hib/state/file"), "ok");
	finish();
}

TEST(state_can_be_taken_away)
{
	set_up();
	boot();
	STR_EQ(ask("umount /hib/state"), "ok");
	STR_EQ(ask("ls /hib/state"), "");
	finish();
}

TEST(no_network_but_lo)
{
	set_up();
	boot();
	STR_EQ(ask("net"), "lo ");
	STR_EQ(ask("loopback"), "ok");
	finish();
}

TEST(network_of_the_host_when_asked)
{
	static char ours[REPLY_MAX];

	set_up();
	read_file("/proc/self/net/dev", ours, sizeof(ours));
	vm.spec.net = VM_NET_HOST;
	boot();
	EQ(strstr(ours, "eth0") != NULL, strstr(ask("net"), "eth0") != NULL);
	finish();
}

TEST(environment_is_empty)
{
	set_up();
	EQ(setenv("SECRET", "1", 1), 0);
	boot();
	STR_EQ(ask("env"), "");
	finish();
}

static bool fuse_opens(void)
{
	return access("/dev/fuse", R_OK | W_OK) == 0;
}

/* Where everybody may open the device, it is shown in the sandbox too. */
static bool fuse_is_public(void)
{
	struct stat st;

	return stat("/dev/fuse", &st) == 0 && (st.st_mode & 0006) == 0006;
}

/* 3 is the probe's socket, 4 the connection, 5 the folder being read, 100 the
 * FUSE device. */
TEST(only_expected_descriptors)
{
	set_up();
	OK(open("/", O_PATH) >= 0);
	boot();
	STR_EQ(ask("ls /proc/self/fd"),
	       fuse_opens() ? "0 1 2 3 4 5 100 " : "0 1 2 3 4 5 ");
	finish();
}

TEST(fuse_is_handed_over_and_mounts)
{
	set_up();
	boot();
	STR_EQ(ask("fuse /tmp/fuse"), fuse_opens() ? "ok" : "none");
	if (!fuse_is_public())
		STR_EQ(ask("read /dev/fuse"), "ENOENT");
	finish();
}

TEST(proc_shows_only_own_processes)
{
	const char *names;
	int n = 0;

	set_up();
	boot();
	for (names = ask("ls /proc"); *names != '\0';) {
		n += *names >= '0' && *names <= '9';
		names = strchr(names, ' ') + 1;
	}
	EQ(n, 1);
	STR_EQ(ask("umount /proc"), "ok");
	STR_EQ(ask("ls /proc"), "");
	finish();
}

TEST(dangerous_calls_are_denied)
{
	set_up();
	boot();
	STR_EQ(ask("call bpf"), "EPERM");
	STR_EQ(ask("call keyctl"), "EPERM");
	STR_EQ(ask("call sticky"), "EPERM");
	STR_EQ(ask("call io_uring"), "ENOSYS");
	STR_EQ(ask("call unshare"), "ok");
	finish();
}

TEST(disk_is_writable_and_persistent)
{
	char path[PATH_MAX + 32], text[16];
	struct stat st;

	set_up();
	boot();
	STR_EQ(ask("write /home/user/file"), "ok");
	power_off();
	boot();
	STR_EQ(ask("read /home/user/file"), "kept");
	finish();

	snprintf(path, sizeof(path), "%s/disk/home/user/file", vm.dir);
	read_file(path, text, sizeof(text));
	STR_EQ(text, "kept");
	EQ(stat(path, &st), 0);
	EQ(st.st_uid, geteuid() == 0 ? range_base(VM_ID) : geteuid());
}

/* --- images --- */

/* Make all folders of @path that lie below @root. */
static void make_parents(const char *root, const char *path)
{
	char dir[PATH_MAX];

	for (const char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		snprintf(dir, sizeof(dir), "%s%.*s", root, (int)(p - path),
			 path);
		OK(mkdir(dir, 0755) == 0 || errno == EEXIST);
	}
}

/* Copy a shared library that this program has loaded; the probe needs no
 * others. */
static int copy_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *root = arg;
	char to[PATH_MAX];

	(void)size;
	if (info->dlpi_name[0] != '/')
		return 0;
	make_parents(root, info->dlpi_name);
	snprintf(to, sizeof(to), "%s%s", root, info->dlpi_name);
	copy_file(info->dlpi_name, to);
	return 0;
}

TEST(image_may_be_a_root_file_system)
{
	char root[PATH_MAX], path[PATH_MAX];

	set_up();
	make_dir(root, vm.home, "root", 0755);
	make_parents(root, "/srv/.");
	make_parents(root, "/opt/tool/.");
	make_parents(root, "/etc/.");
	snprintf(path, sizeof(path), "%.*s/etc/hostname", PATH_ROOM, root);
	write_file(path, "image\n");
	snprintf(path, sizeof(path), "%.*s/host", PATH_ROOM, root);
	EQ(symlink("/", path), 0);
	dl_iterate_phdr(copy_library, root);

	vm.spec.image = root;
	boot();
	STR_EQ(ask("read /etc/hostname"), "vm-4d5e6f70\n");
	STR_EQ(ask("write /etc/hostname"), "EROFS");
	STR_EQ(ask("read /etc/passwd"), "ENOENT");
	OK(strstr(ask("ls /opt"), "tool") != NULL);
	STR_EQ(ask("ls /srv"), "");
	STR_EQ(ask("ls /host/mnt"), "ENOENT");
	finish();
}

TEST(missing_image_is_told)
{
	set_up();
	vm.spec.image = "/nowhere/at/all";
	try_boot();
	OK(vm.machine == NULL);
	OK(strstr(vm.err.msg, "/nowhere/at/all") != NULL);
	OK(strstr(vm.err.msg, "No such file") != NULL);
	close_loop();
}

TEST(missing_guest_is_told_and_reaped)
{
	char path[PATH_MAX + 16];

	set_up();
	snprintf(path, sizeof(path), "%s/hib-guest", vm.libexec);
	EQ(unlink(path), 0);
	try_boot();
	OK(vm.machine == NULL);
	OK(strstr(vm.err.msg, "/opt/hib/hib-guest") != NULL);
	close_loop();
	EQ(waitpid(-1, NULL, 0), -1);
	EQ(errno, ECHILD);
}

TEST(missing_launcher_is_told)
{
	char path[PATH_MAX + 16];

	set_up();
	snprintf(path, sizeof(path), "%s/hib-sandbox", vm.libexec);
	EQ(unlink(path), 0);
	try_boot();
	OK(vm.machine == NULL);
	OK(strstr(vm.err.msg, path) != NULL);
	close_loop();
}

/* --- life --- */

TEST(killed_machine_reports_exit)
{
	char path[PATH_MAX + 16];

	set_up();
	boot();
	ask("who");
	power_off();
	STR_EQ(vm.exit, "killed by signal 9");
	snprintf(path, sizeof(path), "%s/machine.json", vm.dir);
	EQ(access(path, F_OK), -1);
	close_loop();
}

TEST(exit_is_told_with_the_last_words)
{
	set_up();
	boot();
	ask("log first");
	ask("log so long\033[1m");
	ask("exit 7");
	wait_for_exit();
	STR_EQ(vm.exit, "exited with status 7: so long?[1m");
	close_loop();
}

TEST(machine_is_adopted_after_restart)
{
	struct machine *found;
	pid_t pid;
	struct err e;

	set_up();
	EQ(backend_sandbox.adopt(&vm.loop, &vm.spec, &events, NULL, &found, &e),
	   -ESRCH);
	boot();
	pid = vm.pid;
	backend_sandbox.release(vm.machine);
	close_loop();

	EQ(uv_loop_init(&vm.loop), 0);
	EQ(backend_sandbox.adopt(&vm.loop, &vm.spec, &events, NULL, &found, &e),
	   0);
	vm.machine = found;
	EQ(backend_sandbox.pid(found), pid);
	OK(strncmp(ask("who"), "pid 1 ", 6) == 0);
	finish();
	EQ(kill(pid, 0), -1);
}

/* Boot it, and end when the launcher has, before anything that it said has been
 * read. */
static void boot_and_die(void)
{
	uv_loop_t loop;
	siginfo_t si;

	EQ(uv_loop_init(&loop), 0);
	backend_sandbox.boot(&loop, &vm.spec, &events, NULL, on_booted);
	EQ(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	EQ(si.si_status, 0);
	_exit(0);
}

TEST(machine_of_a_host_that_died_at_its_boot_is_adopted)
{
	struct machine *found;
	int status;
	pid_t pid;
	struct err e;

	set_up();
	pid = fork();
	if (pid == 0)
		boot_and_die();
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	EQ(backend_sandbox.adopt(&vm.loop, &vm.spec, &events, NULL, &found, &e),
	   0);
	vm.machine = found;
	OK(strncmp(ask("who"), "pid 1 ", 6) == 0);
	finish();
}

TEST(another_process_is_not_adopted)
{
	char path[PATH_MAX + 16], json[512], *ticks;
	struct machine *found;
	struct err e;

	set_up();
	boot();
	snprintf(path, sizeof(path), "%s/machine.json", vm.dir);
	read_file(path, json, sizeof(json));
	ticks = strstr(json, "start_ticks\":");
	OK(ticks != NULL);
	ticks += strlen("start_ticks\":");
	*ticks = *ticks == '9' ? '8' : '9';
	write_file(path, json);
	EQ(backend_sandbox.adopt(&vm.loop, &vm.spec, &events, NULL, &found, &e),
	   -ESRCH);
	finish();
}

TEST(two_guests_on_one_disk_are_refused)
{
	struct machine *first;

	set_up();
	boot();
	first = vm.machine;
	try_boot();
	OK(vm.machine == NULL);
	EQ(vm.err.code, -EBUSY);
	vm.machine = first;
	OK(strncmp(ask("who"), "pid 1 ", 6) == 0);
	finish();
}

TEST(long_vm_dir_path_works)
{
	char name[200];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	set_up_below(name);
	boot();
	OK(strncmp(ask("who"), "pid 1 ", 6) == 0);
	finish();
}

TEST(link_in_run_dir_is_refused)
{
	struct err e;

	set_up();
	boot();
	EQ(backend_sandbox.channel(vm.machine, "host", &e), -EAGAIN);
	STR_EQ(ask("link /hib/run/api.sock"), "ok");
	EQ(backend_sandbox.channel(vm.machine, "host", &e), -ENOTSOCK);
	finish();
}

TEST(long_console_log_starts_anew)
{
	char path[PATH_MAX + 16];
	struct stat st;

	set_up();
	snprintf(path, sizeof(path), "%s/console.log", vm.dir);
	write_file(path, "old\n");
	EQ(truncate(path, 2 << 20), 0);
	boot();
	EQ(stat(path, &st), 0);
	EQ(st.st_size, 0);
	finish();
}

TEST(disk_belongs_to_the_range_of_the_vm)
{
	static const struct {
		const char *path;
		unsigned owner;
	} folders[] = {{"disk/state", 0},
		       {"run", 0},
		       {"disk/vfs", 0},
		       {"disk/home/user", 1000}};
	char path[PATH_MAX + 32];
	struct stat st;

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", vm.dir, folders[i].path);
		EQ(stat(path, &st), 0);
		EQ(st.st_uid, geteuid() == 0
				      ? range_base(VM_ID) + folders[i].owner
				      : geteuid());
	}
	OK(range_base(VM_ID) >= RANGE_FIRST);
	OK(range_base("vm_x") != range_base("vm_y"));
}

TEST(doctor_finds_this_machine_fit)
{
	static struct doctor_row rows[DOCTOR_ROWS];
	static struct home h;

	set_up();
	boot();
	snprintf(h.root, sizeof(h.root), "%s/not/yet", vm.home);
	snprintf(h.libexec, sizeof(h.libexec), "%.*s", PATH_ROOM, vm.libexec);
	snprintf(h.files_program, sizeof(h.files_program), "/bin/true");
	if (!doctor_run(&h, rows))
		for (size_t i = 0; i < DOCTOR_ROWS; i++)
			if (rows[i].needed && !rows[i].ok)
				FAIL("%s: %s", rows[i].name, rows[i].detail);
	for (size_t i = 0; i < DOCTOR_ROWS; i++) {
		OK(rows[i].detail[0] != '\0');
		OK(rows[i].consequence[0] != '\0');
	}
	finish();
}

TEST(doctor_misses_programs)
{
	static struct doctor_row rows[DOCTOR_ROWS];
	static const struct home h = {.root = "/tmp", .libexec = "/nowhere"};

	OK(!doctor_run(&h, rows));
}

TEST(backends_have_names)
{
	OK(backend_find("sandbox") == &backend_sandbox);
	OK(backend_find("nonesuch") == NULL);
}

/* --- the same as an ordinary user --- */

static void be_a_user(void)
{
	if (geteuid() != 0)
		return;
	EQ(setgroups(0, NULL), 0);
	EQ(setresgid(ANY_USER, ANY_USER, ANY_USER), 0);
	EQ(setresuid(ANY_USER, ANY_USER, ANY_USER), 0);
	EQ(prctl(PR_SET_DUMPABLE, 1), 0);
}

#define FOR_A_USER(fact)                    \
	static void fact##_for_a_user(void) \
	{                                   \
		be_a_user();                \
		fact();                     \
	}

/* clang-format off */
#define FACTS(each)					\
	each(guest_is_process_1_and_root)		\
	each(host_files_are_not_there)			\
	each(image_is_read_only_for_good)		\
	each(scratch_is_writable)			\
	each(state_can_be_taken_away)			\
	each(no_network_but_lo)				\
	each(network_of_the_host_when_asked)		\
	each(environment_is_empty)			\
	each(only_expected_descriptors)			\
	each(fuse_is_handed_over_and_mounts)		\
	each(proc_shows_only_own_processes)		\
	each(dangerous_calls_are_denied)		\
	each(disk_is_writable_and_persistent)	\
	each(image_may_be_a_root_file_system)		\
	each(missing_image_is_told)			\
	each(missing_guest_is_told_and_reaped)		\
	each(missing_launcher_is_told)			\
	each(killed_machine_reports_exit)		\
	each(exit_is_told_with_the_last_words)		\
	each(machine_is_adopted_after_restart)		\
	each(machine_of_a_host_that_died_at_its_boot_is_adopted) \
	each(another_process_is_not_adopted)		\
	each(two_guests_on_one_disk_are_refused)	\
	each(long_vm_dir_path_works)			\
	each(link_in_run_dir_is_refused)		\
	each(long_console_log_starts_anew)		\
	each(doctor_finds_this_machine_fit)		\
	each(disk_belongs_to_the_range_of_the_vm)
/* clang-format on */

FACTS(FOR_A_USER)

#define BOTH(fact) CASE(fact), CASE(fact##_for_a_user),

TESTS(FACTS(BOTH) CASE(doctor_misses_programs), CASE(backends_have_names))
