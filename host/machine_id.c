// SPDX-License-Identifier: Apache-2.0
/*
 * machine_id.c - Which process a VM's machine is, across lives of hibd
 *
 * VMDIR/machine.json holds {"pid", "start_ticks", "boot_id"}: a pid may be used
 * again, but never by a process that started at the same tick of the same boot.
 */
#include "host/machine_id.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/json.h"

#define MACHINE_MAX_BYTES 512 /* Of machine.json. */
#define BOOT_ID_LEN	  36  /* Of the host's kernel. */
#define PROC_PATH_MAX	  32

struct identity {
	pid_t pid;
	uint64_t start_ticks;
	char boot_id[BOOT_ID_LEN + 1];
};

static int open_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int code = -errno;

	return fd < 0 ? err_set(e, code, "open %s: %s", dir, strerror(-code))
		      : fd;
}

static ssize_t read_small(int dir, const char *name, char *buf, size_t cap)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, cap - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* Field 22 of /proc/PID/stat; the second, a name, may hold anything but ends
 * with the last parenthesis (proc(5)). */
static int read_start_ticks(pid_t pid, uint64_t *out)
{
	char path[PROC_PATH_MAX], stat[1024], *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	n = read_small(AT_FDCWD, path, stat, sizeof(stat));
	if (n < 0)
		return (int)n;
	p = strrchr(stat, ')');
	for (int field = 2; p != NULL && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p == NULL || sscanf(p, "%" SCNu64, out) != 1)
		return -EINVAL;
	return 0;
}

static int identify(pid_t pid, struct identity *out)
{
	char id[BOOT_ID_LEN + 2];
	ssize_t n = read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id,
			       sizeof(id));

	if (n < 0)
		return (int)n;
	out->pid = pid;
	snprintf(out->boot_id, sizeof(out->boot_id), "%.*s", BOOT_ID_LEN, id);
	return read_start_ticks(pid, &out->start_ticks);
}

static int write_all(int dir, const char *name, const char *text, size_t n)
{
	autoclose int fd = openat(
		dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (write(fd, text, n) != (ssize_t)n)
		return errno != 0 ? -errno : -EIO;
	return 0;
}

int machine_id_write(const char *vm_dir, pid_t pid, struct err *e)
{
	autoclose int dir = open_dir(vm_dir, e);
	autojw struct jw w = {0};
	struct identity id;
	int r;

	if (dir < 0)
		return dir;
	r = identify(pid, &id);
	if (r < 0)
		return err_set(e, r, "identify process %d: %s", pid,
			       strerror(-r));
	jw_obj(&w);
	jw_kint(&w, "pid", id.pid);
	jw_kint(&w, "start_ticks", (int64_t)id.start_ticks);
	jw_kstr(&w, "boot_id", id.boot_id);
	jw_obj_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "machine.json: out of memory");
	r = write_all(dir, "machine.json.new", w.buf, w.len);
	if (r < 0)
		return err_set(e, r, "write %s/machine.json: %s", vm_dir,
			       strerror(-r));
	if (renameat(dir, "machine.json.new", dir, "machine.json") < 0)
		return err_set(e, -errno, "write %s/machine.json: %s", vm_dir,
			       strerror(errno));
	return 0;
}

static int recall(const char *vm_dir, struct identity *out, struct err *e)
{
	autoclose int dir = open_dir(vm_dir, e);
	autojson struct json j = {0};
	char text[MACHINE_MAX_BYTES];
	ssize_t n;
	int r;

	if (dir < 0)
		return dir;
	n = read_small(dir, "machine.json", text, sizeof(text));
	if (n < 0)
		return err_set(e, n == -ENOENT ? -ESRCH : (int)n,
			       "read %s/machine.json: %s", vm_dir,
			       strerror((int)-n));
	r = json_parse(&j, text, (size_t)n, e);
	if (r < 0)
		return err_wrap(e, "%s/machine.json", vm_dir);

	*out = (struct identity){
		.pid = (pid_t)jv_int(jv_get(json_root(&j), "pid"), 0),
		.start_ticks = (uint64_t)jv_int(
			jv_get(json_root(&j), "start_ticks"), 0),
	};
	r = jv_strcpy(jv_get(json_root(&j), "boot_id"), out->boot_id,
		      sizeof(out->boot_id));
	if (r < 0 || out->pid <= 0)
		return err_set(e, -EINVAL, "%s/machine.json is incomplete",
			       vm_dir);
	return 0;
}

int machine_id_open_pid(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* A pidfd of exactly that process.  What is compared is read after the pidfd
 * was opened: had the pid been another's by then, its start would differ. */
static int open_identity(const struct identity *id)
{
	autoclose int pidfd = machine_id_open_pid(id->pid);
	struct identity now;

	if (pidfd < 0 || identify(id->pid, &now) < 0)
		return -ESRCH;
	if (now.start_ticks != id->start_ticks ||
	    strcmp(now.boot_id, id->boot_id) != 0)
		return -ESRCH;
	return take_fd(&pidfd);
}

int machine_id_open(const char *vm_dir, pid_t *out_pid, struct err *e)
{
	struct identity id;
	int r = recall(vm_dir, &id, e);

	if (r < 0)
		return r;
	r = open_identity(&id);
	if (r < 0)
		return err_set(e, r, "the machine of %s is gone", vm_dir);
	*out_pid = id.pid;
	return r;
}

void machine_id_forget(const char *vm_dir)
{
	autoclose int dir = open_dir(vm_dir, NULL);

	if (dir >= 0)
		(void)unlinkat(dir, "machine.json", 0);
}
