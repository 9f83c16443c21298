// SPDX-License-Identifier: Apache-2.0
/*
 * bundle_read.c - A snapshot as one file: reading
 *
 * A path of the disk is followed name by name, each a folder and no link, from
 * the folder that is being filled; what is there already is never opened to be
 * written.  Modes of folders are set at the end, so that one may be closed to its
 * owner.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "host/bundle.h"
#include "host/bundle_impl.h"
#include "host/launched.h"
#include "host/treewalk.h"

struct mode {
	char *path;
	mode_t mode;
};

struct reading {
	struct archive *a;
	struct mode *modes; /* Of folders, for the end. */
	size_t n_modes, cap_modes;
	struct err *e;
	int top;	/* The folder. */
	uint32_t owner; /* Of the VM's uid 0. */
	uint64_t bytes, entries;
};

static int refuse(struct reading *r, const char *name, const char *why)
{
	return err_set(r->e, -FAULT_INVALID_ARGUMENT, "'%.120s': %s",
		       name != NULL ? name : "", why);
}

/* --- contents --------------------------------------------------------------- */

static int write_block(struct reading *r, int fd, const char *p, size_t n,
		       int64_t at)
{
	r->bytes += n;
	if (r->bytes > BUNDLE_BYTES_MAX || at < 0 ||
	    (uint64_t)at > BUNDLE_BYTES_MAX)
		return err_set(r->e, -FAULT_QUOTA_EXCEEDED,
			       "it has more than %llu GiB",
			       BUNDLE_BYTES_MAX >> 30);
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, at);

		if (done <= 0)
			return err_set(r->e, done < 0 ? -errno : -ENOSPC,
				       "write: %s", strerror(errno));
		p += done;
		n -= (size_t)done;
		at += done;
	}
	return 0;
}

static int take_content(struct reading *r, int fd, int64_t size, int64_t max)
{
	const void *p;
	size_t n;
	la_int64_t at;
	int s;

	if (size < 0 || size > max)
		return err_set(r->e, -FAULT_QUOTA_EXCEEDED,
			       "a member is larger than %lld bytes",
			       (long long)max);
	while ((s = archive_read_data_block(r->a, &p, &n, &at)) == ARCHIVE_OK) {
		int code = at + (int64_t)n > size
				   ? refuse(r, "", "it is longer than it says")
				   : write_block(r, fd, p, n, at);

		if (code < 0)
			return code;
	}
	if (s != ARCHIVE_EOF)
		return bundle_fail(r->a, r->e, -FAULT_INVALID_ARGUMENT, "read");
	return ftruncate(fd, size) < 0
		       ? err_set(r->e, -errno, "write: %s", strerror(errno))
		       : 0;
}

static int take_file(struct reading *r, int at, const char *name,
		     struct archive_entry *en, int64_t max)
{
	autoclose int fd = openat(
		at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);

	if (archive_entry_filetype(en) != AE_IFREG ||
	    archive_entry_hardlink(en) != NULL)
		return refuse(r, name, "it should be a file");
	if (fd < 0)
		return refuse(r, name, strerror(errno));
	return take_content(r, fd, archive_entry_size(en), max);
}

static int take_log(struct reading *r, const char *name,
		    struct archive_entry *en)
{
	autoclose int dir = -1;
	char id[ID_MAX];

	if (sscanf(name, "%36[a-z0-9_]", id) != 1 || !id_is(id, "ses") ||
	    strcmp(name + strlen(id), ".jsonl") != 0)
		return refuse(r, name, "no log of a session");
	if (mkdirat(r->top, BUNDLE_SESSIONS, 0700) < 0 && errno != EEXIST)
		return refuse(r, name, strerror(errno));
	dir = openat(r->top, BUNDLE_SESSIONS,
		     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return take_file(r, dir, name, en, (int64_t)BUNDLE_BYTES_MAX);
}

/* --- the disk --------------------------------------------------------------- */

static bool is_name(const char *name, size_t n)
{
	return n > 0 && n <= 255 && !(n == 1 && name[0] == '.') &&
	       !(n == 2 && name[0] == '.' && name[1] == '.');
}

/* The folder that @path, below the top, ends in; *@last: the last name. */
static int find_parent(struct reading *r, const char *path, const char **last)
{
	int dir = openat(r->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned depth = 0;

	for (;;) {
		size_t n = strcspn(path, "/");
		char name[256];
		int next;

		if (dir < 0 || !is_name(path, n) ||
		    ++depth > TREEWALK_DEPTH_MAX) {
			close_fd(&dir);
			return refuse(r, path, "no path that could be here");
		}
		if (path[n] == '\0') {
			*last = path;
			return dir;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		next = openat(dir, name,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close_fd(&dir);
		dir = next;
		path += n + 1;
	}
}

static int set_owner(struct reading *r, int at, const char *name,
		     struct archive_entry *en)
{
	int64_t uid = archive_entry_uid(en), gid = archive_entry_gid(en);

	if (uid < 0 || uid > 65535 || gid < 0 || gid > 65535)
		return refuse(r, name, "it belongs to nobody in a VM");
	if (geteuid() != 0)
		return 0;
	return fchownat(at, name, r->owner + (uint32_t)uid,
			r->owner + (uint32_t)gid, AT_SYMLINK_NOFOLLOW) < 0
		       ? refuse(r, name, strerror(errno))
		       : 0;
}

static int set_xattrs(struct reading *r, int fd, const char *name,
		      struct archive_entry *en)
{
	const char *key;
	const void *value;
	size_t n;

	archive_entry_xattr_reset(en);
	while (archive_entry_xattr_next(en, &key, &value, &n) == ARCHIVE_OK)
		if (strncmp(key, "user.", 5) != 0 ||
		    fsetxattr(fd, key, value, n, 0) < 0)
			return refuse(r, name, "an attribute cannot be kept");
	return 0;
}

static int set_times(int fd, int at, const char *name, struct archive_entry *en)
{
	const struct timespec t = {.tv_sec = archive_entry_mtime(en),
				   .tv_nsec = archive_entry_mtime_nsec(en)};
	const struct timespec times[] = {t, t};

	if (fd >= 0)
		return futimens(fd, times);
	return utimensat(at, name, times, AT_SYMLINK_NOFOLLOW);
}

/* What has a descriptor; the mode comes last, after the owner took it away. */
static int set_all(struct reading *r, int fd, int at, const char *name,
		   struct archive_entry *en, mode_t more)
{
	int code = set_xattrs(r, fd, name, en);

	if (code == 0)
		code = set_owner(r, at, name, en);
	if (code == 0 &&
	    fchmod(fd, (archive_entry_perm(en) & 07777) | more) < 0)
		code = refuse(r, name, strerror(errno));
	(void)set_times(fd, -1, NULL, en);
	return code;
}

static int note_mode(struct reading *r, const char *path, mode_t mode)
{
	if (r->n_modes == r->cap_modes) {
		size_t cap = r->cap_modes > 0 ? 2 * r->cap_modes : 256;
		struct mode *m = reallocarray(r->modes, cap, sizeof(*m));

		if (m == NULL)
			return -ENOMEM;
		r->modes = m;
		r->cap_modes = cap;
	}
	r->modes[r->n_modes] = (struct mode){strdup(path), mode & 07777};
	return r->modes[r->n_modes++].path != NULL ? 0 : -ENOMEM;
}

/* The last one first: it may be in one that will be closed. */
static void set_modes(struct reading *r)
{
	while (r->n_modes > 0) {
		struct mode *m = &r->modes[--r->n_modes];
		const char *name = NULL;
		autoclose int at = find_parent(r, m->path, &name);

		if (at >= 0)
			(void)fchmodat(at, name, m->mode, 0);
		free(m->path);
	}
	free(take_ptr(r->modes));
}

static int take_folder(struct reading *r, int at, const char *name,
		       struct archive_entry *en)
{
	autoclose int fd = -1;

	if (mkdirat(at, name, 0700) < 0)
		return refuse(r, name, strerror(errno));
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return refuse(r, name, strerror(errno));
	return set_all(r, fd, at, name, en, 0700);
}

static int take_regular(struct reading *r, int at, const char *name,
			struct archive_entry *en)
{
	int code = take_file(r, at, name, en, (int64_t)BUNDLE_BYTES_MAX);
	autoclose int fd = -1;

	if (code < 0)
		return code;
	fd = openat(at, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? refuse(r, name, strerror(errno))
		      : set_all(r, fd, at, name, en, 0);
}

static int take_other(struct reading *r, int at, const char *name,
		      struct archive_entry *en)
{
	const mode_t type = archive_entry_filetype(en);
	const char *target = archive_entry_symlink(en);
	int made = -1;

	if (type == AE_IFLNK && target != NULL && strlen(target) < PATH_MAX)
		made = symlinkat(target, at, name);
	else if (type == AE_IFIFO)
		made = mknodat(at, name, S_IFIFO | 0600, 0);
	else if (type == AE_IFCHR && archive_entry_rdev(en) == makedev(0, 0))
		made = mknodat(at, name,
			       S_IFCHR | (archive_entry_perm(en) & 0777),
			       makedev(0, 0));
	else
		return refuse(r, name, "nothing that a disk may have");
	if (made < 0)
		return refuse(r, name, strerror(errno));
	(void)set_times(-1, at, name, en);
	return set_owner(r, at, name, en);
}

static int take_entry(struct reading *r, const char *path,
		      struct archive_entry *en)
{
	const char *name = NULL;
	autoclose int at = find_parent(r, path, &name);

	if (at < 0)
		return at;
	if (archive_entry_hardlink(en) != NULL)
		return refuse(r, path, "no member may be a link to another");
	if (archive_entry_filetype(en) == AE_IFDIR)
		return note_mode(r, path, archive_entry_perm(en)) < 0
			       ? refuse(r, path, "out of memory")
			       : take_folder(r, at, name, en);
	if (archive_entry_filetype(en) == AE_IFREG)
		return take_regular(r, at, name, en);
	return take_other(r, at, name, en);
}

/* --- all -------------------------------------------------------------------- */

static bool is_of_machine(const char *name)
{
	for (size_t i = 0; bundle_machine[i] != NULL; i++)
		if (strcmp(name, bundle_machine[i]) == 0)
			return true;
	return false;
}

static int take_member(struct reading *r, struct archive_entry *en)
{
	const char *path = archive_entry_pathname(en);
	autofree char *trimmed = path != NULL ? strdup(path) : NULL;
	size_t n;

	if (trimmed == NULL)
		return refuse(r, path, "no name");
	n = strlen(trimmed);
	if (n > 0 && trimmed[n - 1] == '/')
		trimmed[n - 1] = '\0';
	if (strcmp(trimmed, SNAPSHOT_JSON) == 0 ||
	    strcmp(trimmed, BUNDLE_HASHES) == 0)
		return take_file(r, r->top, trimmed, en, BUNDLE_TEXT_MAX);
	if (strcmp(trimmed, BUNDLE_PACK) == 0 || is_of_machine(trimmed))
		return take_file(r, r->top, trimmed, en,
				 (int64_t)BUNDLE_BYTES_MAX);
	if (strncmp(trimmed, BUNDLE_SESSIONS "/", 9) == 0)
		return take_log(r, trimmed + 9, en);
	if (strcmp(trimmed, "disk") == 0 || strncmp(trimmed, "disk/", 5) == 0)
		return take_entry(r, trimmed, en);
	return refuse(r, trimmed, "no part of a snapshot");
}

static int read_all(struct reading *r, int fd)
{
	struct archive_entry *en;
	int s;

	archive_read_support_format_tar(r->a);
	archive_read_support_filter_zstd(r->a);
	if (archive_read_open_fd(r->a, fd, 64 << 10) != ARCHIVE_OK)
		return bundle_fail(r->a, r->e, -FAULT_INVALID_ARGUMENT, "read");
	while ((s = archive_read_next_header(r->a, &en)) == ARCHIVE_OK) {
		int code = ++r->entries > BUNDLE_ENTRIES_MAX
				   ? err_set(r->e, -FAULT_QUOTA_EXCEEDED,
					     "it has more than %d members",
					     BUNDLE_ENTRIES_MAX)
				   : take_member(r, en);

		if (code < 0)
			return code;
	}
	return s == ARCHIVE_EOF ? 0
				: bundle_fail(r->a, r->e,
					      -FAULT_INVALID_ARGUMENT, "read");
}

int bundle_read(int fd, const char *folder, const char *vm, struct err *e)
{
	struct reading r = {
		.a = archive_read_new(), .e = e, .owner = launched_uid(vm)};
	int code = -ENOMEM;

	r.top = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r.top < 0)
		code = err_set(e, -errno, "%s: %s", folder, strerror(errno));
	else if (r.a != NULL)
		code = read_all(&r, fd);
	set_modes(&r);
	if (r.a != NULL)
		archive_read_free(r.a);
	close_fd(&r.top);
	return code;
}
