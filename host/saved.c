// SPDX-License-Identifier: Apache-2.0
/*
 * saved.c - The memory of a machine that is not running
 */
#include "host/saved.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"

#define ABOUT_MAX 4096 /* Bytes of memory.json. */
#define FD_PATH	  32

static int open_folder(const char *vm_dir, const char *name)
{
	autoclose int dir = open(vm_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1
			 : openat(dir, name,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					  O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* --- memory.json ------------------------------------------------------------ */

/* The members of the file, and of struct saved. */
static const struct {
	const char *key;
	size_t at;
} texts[] =
	{
		{"qemu", offsetof(struct saved, qemu)},
		{"accel", offsetof(struct saved, accel)},
		{"kernel", offsetof(struct saved, kernel)},
		{"rootfs", offsetof(struct saved, rootfs)},
		{"boot", offsetof(struct saved, boot)},
},
  numbers[] = {
	  {"layout", offsetof(struct saved, layout)},
	  {"memory", offsetof(struct saved, memory)},
	  {"cpus", offsetof(struct saved, cpus)},
};

static char *text_of(const struct saved *s, size_t i)
{
	return (char *)(uintptr_t)s + texts[i].at;
}

static int64_t *number_of(const struct saved *s, size_t i)
{
	return (int64_t *)(void *)((char *)(uintptr_t)s + numbers[i].at);
}

static int write_file(int dir, const char *name, const char *text, size_t n)
{
	autoclose int fd = openat(
		dir, name,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, text, n) != (ssize_t)n)
		return errno != 0 ? -errno : -EIO;
	return 0;
}

int saved_write(int dir, const struct saved *s, struct err *e)
{
	autojw struct jw w = {0};
	int r;

	jw_obj(&w);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		jw_kstr(&w, texts[i].key, text_of(s, i));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		jw_kint(&w, numbers[i].key, *number_of(s, i));
	jw_kbool(&w, "ram_in_state", s->ram_in_state);
	jw_obj_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, SAVED_ABOUT ": out of memory");
	r = write_file(dir, SAVED_ABOUT, w.buf, w.len);
	return r < 0 ? err_set(e, r, "write " SAVED_ABOUT ": %s", strerror(-r))
		     : 0;
}

int saved_read(int dir, struct saved *out, struct err *e)
{
	autoclose int fd =
		openat(dir, SAVED_ABOUT, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autojson struct json j = {0};
	char text[ABOUT_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	int r;

	if (n < 0)
		return err_set(e, -errno, "read " SAVED_ABOUT ": %s",
			       strerror(errno));
	r = json_parse(&j, text, (size_t)n, e);
	if (r < 0)
		return err_wrap(e, SAVED_ABOUT);
	*out = (struct saved){
		.ram_in_state =
			jv_bool(jv_get(json_root(&j), "ram_in_state"), false)};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		(void)jv_strcpy(jv_get(json_root(&j), texts[i].key),
				text_of(out, i), SAVED_TEXT);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		*number_of(out, i) =
			jv_int(jv_get(json_root(&j), numbers[i].key), 0);
	return 0;
}

int saved_fits(const struct saved *s, const struct saved *now, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].at != offsetof(struct saved, boot) &&
		    strcmp(text_of(s, i), text_of(now, i)) != 0)
			return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
				       "the memory is of a machine with %s "
				       "'%.40s', not '%.40s'",
				       texts[i].key, text_of(s, i),
				       text_of(now, i));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (*number_of(s, i) != *number_of(now, i))
			return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
				       "the memory is of a machine with %s "
				       "%lld, not %lld",
				       numbers[i].key,
				       (long long)*number_of(s, i),
				       (long long)*number_of(now, i));
	return 0;
}

void saved_boot(char out[SAVED_TEXT])
{
	autoclose int fd =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, SAVED_TEXT - 1);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* --- whether it is there ------------------------------------------------------ */

static bool is_same_file(int dir, const char *a, const char *b)
{
	struct stat x, y;

	return fstatat(dir, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(dir, b, &y, AT_SYMLINK_NOFOLLOW) == 0 &&
	       x.st_ino == y.st_ino;
}

int saved_is_good(const char *vm_dir, struct err *e)
{
	autoclose int dir = open_folder(vm_dir, SAVED_AT);
	char boot[SAVED_TEXT];
	struct saved s;

	if (dir < 0 || faccessat(dir, SAVED_STATE, F_OK, 0) < 0)
		return err_set(e, -ENOENT, "%s has no memory", vm_dir);
	if (saved_read(dir, &s, e) < 0)
		return err_set(e, -ENOENT, "%s has no whole memory", vm_dir);
	saved_boot(boot);
	if (strcmp(s.boot, boot) != 0 &&
	    !is_same_file(dir, SAVED_STATE, SAVED_SYNCED))
		return err_set(e, -ESTALE,
			       "the host went down before the memory was on "
			       "its disk");
	return 0;
}

bool saved_is_loading(const char *vm_dir)
{
	autoclose int dir = open_folder(vm_dir, SAVED_AT);

	return dir >= 0 && faccessat(dir, SAVED_LOADING, F_OK, 0) == 0;
}

/* --- on the disk ---------------------------------------------------------------- */

static int sync_file(int dir, const char *name)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* A state that was taken away meanwhile has no name left, and gets none. */
static int mark_synced(int dir, int state)
{
	char path[FD_PATH];

	(void)unlinkat(dir, SAVED_SYNCED, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", state);
	if (linkat(AT_FDCWD, path, dir, SAVED_SYNCED, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return fsync(dir) < 0 ? -errno : 0;
}

int saved_sync(const char *vm_dir)
{
	static const char *const files[] = {SAVED_RAM, SAVED_STATE, SAVED_ABOUT,
					    SAVED_AGENTS};
	autoclose int dir = open_folder(vm_dir, SAVED_AT);
	autoclose int disk = open_folder(vm_dir, "disk");
	autoclose int state = -1;
	int r = 0;

	if (dir < 0 || disk < 0)
		return -ENOENT;
	state = openat(dir, SAVED_STATE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (state < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++)
		r = sync_file(dir, files[i]);
	if (r == 0)
		r = sync_file(disk, "disk.img");
	if (r == 0)
		r = fsync(dir) < 0 ? -errno : 0;
	return r < 0 ? r : mark_synced(dir, state);
}

void saved_forget(const char *vm_dir)
{
	static const char *const files[] = {SAVED_STATE,	SAVED_SYNCED,
					    SAVED_RAM,		SAVED_ABOUT,
					    SAVED_STATE ".new", SAVED_LOADING};
	autoclose int dir = open_folder(vm_dir, SAVED_AT);

	for (size_t i = 0; dir >= 0 && i < ARRAY_LEN(files); i++)
		(void)unlinkat(dir, files[i], 0);
}
