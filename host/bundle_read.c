// SPDX-License-Identifier: Apache-2.0
/*
 * bundle_read.c - A snapshot as one file: reading
 *
 * Members of the disk come as a walk finds them: each is in the folder that was
 * begun last, or in one around it.  So these folders alone are open, none is
 * looked up, and what is there already is never opened to be written.  A folder
 * gets what it has but its name when it is left, so that one may be closed to its
 * owner, and nothing inherits from it.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "host/acl.h"
#include "host/bundle.h"
#include "host/bundle_impl.h"
#include "host/launched.h"
#include "host/sandbox/range.h"
#include "host/treewalk.h"

/* A folder of the disk that is being filled. */
struct level {
	int fd;
	char name[256];
	struct archive_entry *en;
};

struct reading {
	struct archive *a;
	struct level *levels; /* TREEWALK_DEPTH_MAX, one in the other. */
	unsigned depth;
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

/* @name "": of @at itself. */
static int set_owner(struct reading *r, int at, const char *name,
		     struct archive_entry *en)
{
	int64_t uid = archive_entry_uid(en), gid = archive_entry_gid(en);

	if (uid < 0 || uid > 65535 || gid < 0 || gid > 65535)
		return refuse(r, name, "it belongs to nobody in a VM");
	if (geteuid() != 0)
		return 0;
	return fchownat(at, name, r->owner + (uint32_t)uid,
			r->owner + (uint32_t)gid,
			AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0
		       ? refuse(r, name, strerror(errno))
		       : 0;
}

static uint32_t outer_id(uint32_t id, const void *arg)
{
	const struct reading *r = arg;

	return r->owner + (id < RANGE_IDS ? id : RANGE_IDS - 1);
}

/* What names somebody is for root, who has ids to give. */
static int set_xattr(struct reading *r, int fd, const char *key,
		     const void *value, size_t n)
{
	autofree char *copy = NULL;

	if (strncmp(key, "user.", 5) == 0)
		return fsetxattr(fd, key, value, n, 0);
	if (strcmp(key, ACL_ACCESS) != 0 && strcmp(key, ACL_DEFAULT) != 0)
		return -1;
	copy = malloc(n + 1);
	if (copy == NULL)
		return -1;
	memcpy(copy, value, n);
	if (acl_map(key, copy, n, outer_id, r) < 0)
		return -1;
	return geteuid() == 0 ? fsetxattr(fd, key, copy, n, 0) : 0;
}

static int set_xattrs(struct reading *r, int fd, const char *name,
		      struct archive_entry *en)
{
	const char *key;
	const void *value;
	size_t n;

	archive_entry_xattr_reset(en);
	while (archive_entry_xattr_next(en, &key, &value, &n) == ARCHIVE_OK)
		if (set_xattr(r, fd, key, value, n) < 0)
			return refuse(r, name, "an attribute cannot be kept");
	return 0;
}

static int set_times(int fd, int at, const char *name, struct archive_entry *en)
{
	const struct timespec t = {.tv_sec = archive_entry_mtime(en),
				   .tv_nsec = archive_entry_mtime_nsec(en)};
	const struct timespec times[] = {t, t};

	if (fd >= 0 || name == NULL)
		return futimens(fd, times);
	return utimensat(at, name, times, AT_SYMLINK_NOFOLLOW);
}

/* What has a descriptor; the mode comes last, after the owner took it away. */
static int set_all(struct reading *r, int fd, const char *name,
		   struct archive_entry *en)
{
	int code = set_owner(r, fd, "", en);

	if (code == 0)
		code = set_xattrs(r, fd, name, en);
	if (code == 0 && fchmod(fd, archive_entry_perm(en) & 07777) < 0)
		code = refuse(r, name, strerror(errno));
	(void)set_times(fd, -1, NULL, en);
	return code;
}

/* All of it is there; @good: or no more is wanted. */
static int leave(struct reading *r, bool good)
{
	struct level *l = &r->levels[--r->depth];
	int code = good ? set_all(r, l->fd, l->name, l->en) : 0;

	archive_entry_free(l->en);
	close_fd(&l->fd);
	return code;
}

/* Leave the folders that @path is not in.  Return: the one that it is in, which
 * stays ours; *@last: its name there. */
static int find_folder(struct reading *r, const char *path, const char **last)
{
	unsigned depth = 0;
	size_t n;

	while (path[n = strcspn(path, "/")] != '\0') {
		const struct level *l = &r->levels[depth];

		if (depth == r->depth || strlen(l->name) != n ||
		    memcmp(l->name, path, n) != 0)
			return refuse(r, path, "its folder is not at hand");
		depth++;
		path += n + 1;
	}
	if (!is_name(path, n))
		return refuse(r, path, "no name that could be here");
	while (r->depth > depth)
		if (leave(r, true) < 0)
			return r->e->code;
	*last = path;
	return depth > 0 ? r->levels[depth - 1].fd : r->top;
}

static int take_folder(struct reading *r, int at, const char *name,
		       struct archive_entry *en)
{
	struct level *l = &r->levels[r->depth];

	if (r->depth == TREEWALK_DEPTH_MAX)
		return refuse(r, name, "folders are too deep");
	if (mkdirat(at, name, 0700) < 0)
		return refuse(r, name, strerror(errno));
	l->fd = openat(at, name,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->fd < 0)
		return refuse(r, name, strerror(errno));
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->en = archive_entry_clone(en);
	r->depth++;
	return l->en != NULL ? 0 : refuse(r, name, "out of memory");
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
		      : set_all(r, fd, name, en);
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
	int at = find_folder(r, path, &name);

	if (at < 0)
		return at;
	if (archive_entry_hardlink(en) != NULL)
		return refuse(r, path, "no member may be a link to another");
	if (archive_entry_filetype(en) == AE_IFDIR)
		return take_folder(r, at, name, en);
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
	if (s != ARCHIVE_EOF)
		return bundle_fail(r->a, r->e, -FAULT_INVALID_ARGUMENT, "read");
	while (r->depth > 0)
		if (leave(r, true) < 0)
			return r->e->code;
	return 0;
}

int bundle_read(int fd, const char *folder, const char *vm, struct err *e)
{
	struct reading r = {
		.a = archive_read_new(), .e = e, .owner = launched_uid(vm)};
	int code = -ENOMEM;

	r.levels = calloc(TREEWALK_DEPTH_MAX, sizeof(*r.levels));
	r.top = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r.top < 0)
		code = err_set(e, -errno, "%s: %s", folder, strerror(errno));
	else if (r.a != NULL && r.levels != NULL)
		code = read_all(&r, fd);
	while (r.depth > 0)
		(void)leave(&r, false);
	free(r.levels);
	if (r.a != NULL)
		archive_read_free(r.a);
	close_fd(&r.top);
	return code;
}
