// SPDX-License-Identifier: Apache-2.0
/*
 * doctor.c - What this machine offers, and what follows when it does not
 *
 * A table of probes.  Those that enter namespaces do so in a child, which says
 * by its exit status the errno that stopped it.
 */
#include "host/doctor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "host/fingerprint.h"
#include "host/image.h"
#include "host/install.h"
#include "host/kvm.h"
#include "host/sandbox/range.h"
#include "host/snapshot.h"

#define KERNEL_MAJOR  5 /* mount_setattr(2) came with 5.12. */
#define KERNEL_MINOR  12
#define NOFILE_WANTED 4096	   /* Open files for one hibd. */
#define FREE_WANTED   (1ull << 30) /* Bytes for the state folder. */
#define CIFS_MAGIC    0xff534d42
#define SMB2_MAGIC    0xfe534d42

/* Fill row->ok and row->detail. */
typedef void (*probe)(const struct home *h, struct doctor_row *row);

static void found(struct doctor_row *row, bool ok, const char *fmt, ...)
	printf_like(3, 4);

static void found(struct doctor_row *row, bool ok, const char *fmt, ...)
{
	va_list ap;

	row->ok = ok;
	va_start(ap, fmt);
	vsnprintf(row->detail, sizeof(row->detail), fmt, ap);
	va_end(ap);
}

/* Run @try in a child.  Return: what it returned, an errno or 0. */
static int in_child(int (*try)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(try());
	if (pid < 0)
		return errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static void found_errno(struct doctor_row *row, int code)
{
	found(row, code == 0, "%s", code == 0 ? "works" : strerror(code));
}

static void probe_kernel(const struct home *h, struct doctor_row *row)
{
	struct utsname u;
	int major = 0, minor = 0;

	(void)h;
	if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &major, &minor) != 2) {
		found(row, false, "unknown");
		return;
	}
	found(row,
	      major > KERNEL_MAJOR ||
		      (major == KERNEL_MAJOR && minor >= KERNEL_MINOR),
	      "Linux %s", u.release);
}

static bool is_program(const char *folder, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return access(path, X_OK) == 0;
}

/* The guest's root is somebody else when we are root: others must be let in. */
static bool is_for_all(const char *folder, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return stat(path, &st) == 0 && (st.st_mode & 0005) == 0005;
}

static void probe_programs(const struct home *h, struct doctor_row *row)
{
	static const char *const names[] = {"hib-sandbox", "hib-guest"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!is_program(h->libexec, names[i])) {
			found(row, false, "no %s in %.100s", names[i],
			      h->libexec);
			return;
		}
	if (access(h->files_program, X_OK) < 0) {
		found(row, false, "no %.100s", h->files_program);
		return;
	}
	if (geteuid() == 0 && !(is_for_all(h->libexec, "hib-guest") &&
				is_for_all(h->libexec, "."))) {
		found(row, false, "%.100s is not open to all users",
		      h->libexec);
		return;
	}
	found(row, true, "in %.100s", h->libexec);
}

static int try_namespaces(void)
{
	const int all = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
			CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
			CLONE_NEWNET;

	return unshare(all) < 0 ? errno : 0;
}

static void probe_namespaces(const struct home *h, struct doctor_row *row)
{
	(void)h;
	found_errno(row, in_child(try_namespaces));
}

static int mount_proc(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return errno;
	return mount("proc", "/proc", "proc", 0, NULL) < 0 ? errno : 0;
}

/* Root's sandboxes get by with a /proc that is covered in parts, a user's do
 * not.  The first child of unshare(CLONE_NEWPID) is the one that is inside. */
static int try_proc(void)
{
	const int user = geteuid() == 0 ? 0 : CLONE_NEWUSER;

	if (unshare(user | CLONE_NEWNS | CLONE_NEWPID) < 0)
		return errno;
	return in_child(mount_proc);
}

static void probe_proc(const struct home *h, struct doctor_row *row)
{
	(void)h;
	found_errno(row, in_child(try_proc));
}

/* A line of uid_map: first id inside, first id outside, how many. */
static bool maps_ranges(FILE *f)
{
	const uint64_t end = RANGE_FIRST + (uint64_t)RANGE_COUNT * RANGE_IDS;
	uint64_t inside, outside, n;

	while (fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside,
		      &n) == 3)
		if (inside <= RANGE_FIRST && inside + n >= end)
			return true;
	return false;
}

static void probe_ids(const struct home *h, struct doctor_row *row)
{
	FILE *f;

	(void)h;
	if (geteuid() != 0) {
		found(row, true, "one id, that of user %u", geteuid());
		return;
	}
	f = fopen("/proc/self/uid_map", "re");
	if (f == NULL || !maps_ranges(f))
		found(row, false, "this namespace has no ids from %u on",
		      RANGE_FIRST);
	else
		found(row, true, "%u ranges from %u on", RANGE_COUNT,
		      RANGE_FIRST);
	if (f != NULL)
		fclose(f);
}

static void probe_seccomp(const struct home *h, struct doctor_row *row)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	(void)h;
	found_errno(row, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0,
				 &action) < 0
				 ? errno
				 : 0);
}

static bool write_to(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) > 0;
}

/* Be root of namespaces of our own, with a /tmp to mount things in.  Our real
 * id stays what it was, so a file that we may open can be opened from here. */
static int become_root_inside(void)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
	snprintf(gids, sizeof(gids), "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return errno;
	if (!write_to("/proc/self/setgroups", "deny") ||
	    !write_to("/proc/self/uid_map", uids) ||
	    !write_to("/proc/self/gid_map", gids))
		return errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return errno;
	return mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0 ? errno : 0;
}

/* The device is opened in the user namespace that mounts: the kernel refuses
 * any other. */
static int try_fuse(void)
{
	int r = become_root_inside();
	char options[96];
	int fd;

	if (r != 0)
		return r;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	return mount("fuse", "/tmp", "fuse", MS_RDONLY, options) < 0 ? errno
								     : 0;
}

static int try_overlay(void)
{
	static const char *const folders[] = {"/tmp/lower", "/tmp/upper",
					      "/tmp/work"};
	int r = become_root_inside();

	if (r != 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdir(folders[i], 0755) < 0)
			return errno;
	return mount("overlay", "/tmp", "overlay", 0,
		     "lowerdir=/tmp/lower,upperdir=/tmp/upper,"
		     "workdir=/tmp/work,userxattr") < 0
		       ? errno
		       : 0;
}

static void probe_workspace(const struct home *h, struct doctor_row *row)
{
	int fuse = in_child(try_fuse), overlay = in_child(try_overlay);

	(void)h;
	if (fuse != 0)
		found(row, false, "FUSE: %s", strerror(fuse));
	else if (overlay != 0)
		found(row, false, "overlay: %s", strerror(overlay));
	else
		found(row, true, "FUSE and overlay mount in a user namespace");
}

/* The verdict of one image.  Return: it works. */
static bool probe_image(const struct home *h, struct jv image,
			struct doctor_row *row)
{
	char files[PATH_MAX], name[NAME_MAX + 1];
	struct kvm_verdict v;

	if (jv_strcpy(jv_get(image, "path"), files, PATH_MAX - 8) < 0 ||
	    jv_strcpy(jv_get(image, "name"), name, sizeof(name)) < 0)
		return true;
	strcat(files, "/rootfs");
	if (kvm_recall(h->root, files, &v) < 0)
		kvm_probe(h->root, files, h->libexec, &v);
	if (v.works)
		found(row, true, "a machine of %.60s is up after %lld ms", name,
		      (long long)v.ms);
	else
		found(row, false, "%.60s: %s", name, v.why);
	return v.works;
}

/* A guest that boots is the only proof, of its kernel. */
static void probe_kvm(const struct home *h, struct doctor_row *row)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct jv images;
	struct err e;

	if (!kvm_is_open(&e)) {
		found(row, false, "%s", e.msg);
		return;
	}
	found(row, false,
	      "/dev/kvm opens; an image is needed to see whether a machine "
	      "boots");
	if (image_list(h, &w, &e) < 0 || w.failed ||
	    json_parse(&j, w.buf, w.len, &e) < 0)
		return;
	images = json_root(&j);
	for (struct jv it = jv_first(images); jv_has(it);
	     it = jv_next(images, it))
		if (!probe_image(h, it, row))
			return;
}

/* What a program says first; "" when it cannot be run. */
static void first_line(const char *const *argv, char *out, size_t cap)
{
	ssize_t n = 0, got;
	int p[2];
	pid_t pid;

	out[0] = '\0';
	if (pipe2(p, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		(void)dup2(p[1], STDOUT_FILENO);
		(void)execv(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	close(p[1]);
	while (pid > 0 && n < (ssize_t)cap - 1 &&
	       (got = read(p[0], out + n, cap - 1 - (size_t)n)) > 0)
		n += got;
	close(p[0]);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void probe_qemu(const struct home *h, struct doctor_row *row)
{
	static const char *const argv[] = {FINGERPRINT_QEMU, "--version", NULL};
	char says[DOCTOR_DETAIL_MAX / 2];

	(void)h;
	first_line(argv, says, sizeof(says));
	if (says[0] != '\0')
		found(row, true, "%s, %s", argv[0], says);
	else
		found(row, false, "%s is not there, or does not run", argv[0]);
}

static void probe_vsock(const struct home *h, struct doctor_row *row)
{
	autoclose int fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);

	(void)h;
	if (fd < 0)
		found(row, false, "/dev/vhost-vsock: %s", strerror(errno));
	else
		found(row, true,
		      "/dev/vhost-vsock opens; machines are spoken to by "
		      "virtio ports all the same");
}

/* "small (debian)": its name and its kernel. */
static void put_image(struct jw *w, struct jv image)
{
	autofree char *name = jv_strdup(jv_get(image, "name"), NULL);
	autofree char *kernel =
		jv_strdup(jv_path(image, "kernel.flavour"), NULL);
	char text[DOCTOR_DETAIL_MAX];

	snprintf(text, sizeof(text), "%s (%s)", name != NULL ? name : "?",
		 kernel != NULL ? kernel : "unknown kernel");
	jw_lit(w, text, strlen(text));
}

static void probe_images(const struct home *h, struct doctor_row *row)
{
	autojw struct jw text = {0}, names = {0};
	autojson struct json j = {0};
	unsigned n = 0;

	if (image_list(h, &text, NULL) < 0 ||
	    json_parse(&j, text.buf, text.len, NULL) < 0) {
		found(row, false, "they cannot be listed");
		return;
	}
	for (struct jv v = jv_first(json_root(&j)); jv_has(v);
	     v = jv_next(json_root(&j), v)) {
		jw_lit(&names, ", ", n++ == 0 ? 0 : 2);
		put_image(&names, v);
	}
	found(row, n > 0, "%s", n > 0 && !names.failed ? names.buf : "none");
}

static void probe_cgroup(const struct home *h, struct doctor_row *row)
{
	static const char *const roots[] = {"/sys/fs/cgroup",
					    "/sys/fs/cgroup/unified"};
	struct statfs fs;

	(void)h;
	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (statfs(roots[i], &fs) == 0 &&
		    fs.f_type == CGROUP2_SUPER_MAGIC) {
			found(row, access(roots[i], W_OK) == 0, "%s%s",
			      roots[i],
			      access(roots[i], W_OK) == 0 ? ""
							  : ", not writable");
			return;
		}
	found(row, false, "no cgroup2 file system");
}

static void probe_files(const struct home *h, struct doctor_row *row)
{
	struct rlimit files = {0, 0};

	(void)h;
	(void)getrlimit(RLIMIT_NOFILE, &files);
	found(row, files.rlim_max >= NOFILE_WANTED, "hard limit %ju",
	      (uintmax_t)files.rlim_max);
}

static bool is_remote(const struct statfs *fs)
{
	switch ((unsigned)fs->f_type) {
	case NFS_SUPER_MAGIC:
	case CIFS_MAGIC:
	case SMB2_MAGIC:
	case CEPH_SUPER_MAGIC:
	case V9FS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* The folder itself may not be made yet: the nearest one above it tells. */
static int statfs_above(const char *path, struct statfs *fs)
{
	char dir[HOME_PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	while (statfs(dir, fs) < 0) {
		slash = strrchr(dir, '/');
		if (errno != ENOENT || slash == NULL || slash == dir)
			return -errno;
		*slash = '\0';
	}
	return 0;
}

static void probe_state(const struct home *h, struct doctor_row *row)
{
	struct statfs fs;
	uint64_t free_bytes;
	int r = statfs_above(h->root, &fs);

	if (r < 0) {
		found(row, false, "%.100s: %s", h->root, strerror(-r));
		return;
	}
	free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	found(row, !is_remote(&fs) && free_bytes >= FREE_WANTED,
	      "%.100s: %s, %" PRIu64 " MiB free", h->root,
	      is_remote(&fs) ? "remote" : "local", free_bytes >> 20);
}

static const struct {
	const char *name;
	probe run;
	bool needed;
	const char *consequence;
} probes[DOCTOR_ROWS] = {
	{"kernel", probe_kernel, true,
	 "sandboxes need mount_setattr(2), Linux 5.12"},
	{"programs", probe_programs, true,
	 "sandboxes have nothing to run: install again, or set HIB_LIBEXEC"},
	{"namespaces", probe_namespaces, true,
	 "no sandbox starts: allow user namespaces (user.max_user_namespaces, "
	 "kernel.unprivileged_userns_clone, AppArmor), or run as root"},
	{"new /proc", probe_proc, true,
	 "no sandbox starts: this is a container whose /proc is masked"},
	{"user ids", probe_ids, true,
	 "no sandbox starts as root here: run as an ordinary user"},
	{"system call filter", probe_seccomp, true,
	 "no sandbox starts: the kernel lacks seccomp filters"},
	{"workspace layers", probe_workspace, false,
	 "a commit is checked out in full into /workspace: slower to restore "
	 "and fork, and it takes its space in every VM"},
	{"QEMU", probe_qemu, false,
	 "there are no VMs of the backend qemu: install qemu-system-x86"},
	{"KVM", probe_kvm, false, "VMs of QEMU are emulated, 5 to 10 x slower"},
	{"vsock", probe_vsock, false,
	 "nothing: machines are spoken to by virtio ports"},
	{"images", probe_images, false,
	 "VMs of QEMU have nothing to boot: hib image build"},
	{"cgroup2", probe_cgroup, false,
	 "VMs cannot be frozen or limited as a whole"},
	{"open files", probe_files, false, "few VMs can be awake at a time"},
	{"state folder", probe_state, false,
	 "the store needs a local disk with some space left"},
};

bool doctor_run(const struct home *h, struct doctor_row rows[DOCTOR_ROWS])
{
	bool all = true;

	for (size_t i = 0; i < DOCTOR_ROWS; i++) {
		rows[i] = (struct doctor_row){
			.name = probes[i].name,
			.needed = probes[i].needed,
			.consequence = probes[i].consequence,
		};
		probes[i].run(h, &rows[i]);
		all = all && (rows[i].ok || !rows[i].needed);
	}
	return all;
}

int doctor_repair(const struct home *h, struct err *e)
{
	char path[HOME_PATH_MAX + 16];
	autoclose int lock = -1;
	int n, n_packages;

	snprintf(path, sizeof(path), "%s/hibd.lock", h->root);
	lock = open(path, O_RDWR | O_CLOEXEC);
	if (lock < 0)
		return errno == ENOENT ? 0
				       : err_set(e, -errno, "%s: %s", path,
						 strerror(errno));
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return 0;
	(void)snapshot_sweep_imports(h->root);
	n_packages = install_sweep(h);
	n = snapshot_sweep(h->vms);
	return n < 0 ? err_set(e, n, "%s: %s", h->vms, strerror(-n))
		     : n + n_packages;
}
