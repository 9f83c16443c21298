// SPDX-License-Identifier: Apache-2.0
/*
 * bundle.c - A snapshot as one file: writing
 *
 * What has no size yet, a log or a pack, is written aside first.  Names that are
 * of one file are members of their own, so no member refers to another.
 */
#include "host/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "host/acl.h"
#include "host/bundle_impl.h"
#include "host/launched.h"
#include "host/sandbox/range.h"
#include "host/transfer.h"
#include "host/treewalk.h"
#include "vfs/bundle.h"

#define PIECE	  (256u << 10)
#define XATTR_MAX (64u << 10)

struct writing {
	const struct bundle_source *b;
	struct archive *a;
	struct err *e;
	char *buf; /* PIECE bytes. */
};

int bundle_fail(struct archive *a, struct err *e, int code, const char *what)
{
	const char *why = archive_error_string(a);

	return err_set(e, code, "%s: %.160s", what, why != NULL ? why : "?");
}

/* Where @fd has data, from @at on; @size: nowhere. */
static int64_t find_data(int fd, int64_t at, int64_t size)
{
	int64_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? size : at;
	return data < size ? data : size;
}

/* Where the data at @at ends. */
static int64_t find_hole(int fd, int64_t at, int64_t size)
{
	int64_t hole = lseek(fd, at, SEEK_HOLE);

	return hole < 0 || hole > size ? size : hole;
}

/* Tell the member where the file has data, if it has holes. */
static void note_data(struct archive_entry *en, int fd, int64_t size)
{
	int64_t at = find_data(fd, 0, size);

	if (at == 0 && find_hole(fd, 0, size) == size)
		return;
	if (at == size)
		archive_entry_sparse_add_entry(en, 0, 0);
	while (at < size) {
		int64_t end = find_hole(fd, at, size);

		archive_entry_sparse_add_entry(en, at, end - at);
		at = find_data(fd, end, size);
	}
}

/* libarchive passes over what it was told to be holes. */
static int put_hole(struct writing *w, int64_t n)
{
	memset(w->buf, 0, PIECE);
	while (n > 0) {
		size_t want = n < (int64_t)PIECE ? (size_t)n : PIECE;

		if (archive_write_data(w->a, w->buf, want) < (ssize_t)want)
			return bundle_fail(w->a, w->e, -EIO, "write");
		n -= (int64_t)want;
	}
	return 0;
}

static int put_data(struct writing *w, int fd, int64_t at, int64_t end)
{
	while (at < end) {
		size_t want =
			end - at < (int64_t)PIECE ? (size_t)(end - at) : PIECE;
		ssize_t n = pread(fd, w->buf, want, at);

		if (n <= 0)
			return err_set(w->e, n < 0 ? -errno : -EIO,
				       "a file has shrunk meanwhile");
		if (archive_write_data(w->a, w->buf, (size_t)n) < n)
			return bundle_fail(w->a, w->e, -EIO, "write");
		at += n;
	}
	return 0;
}

static int put_content(struct writing *w, int fd, int64_t size)
{
	int64_t at = 0;
	int r = 0;

	while (r == 0 && at < size) {
		int64_t data = find_data(fd, at, size);
		int64_t end = data < size ? find_hole(fd, data, size) : size;

		r = put_hole(w, data - at);
		if (r == 0)
			r = put_data(w, fd, data, end);
		at = end;
	}
	return r;
}

static int put_header(struct writing *w, struct archive_entry *en)
{
	int r = archive_write_header(w->a, en);

	return r < ARCHIVE_WARN ? bundle_fail(w->a, w->e, -EIO, "write") : 0;
}

/* A member that is a file, from its beginning. */
static int put_file(struct writing *w, const char *name, int fd)
{
	struct archive_entry *en = archive_entry_new();
	struct stat st;
	int r;

	if (en == NULL || fstat(fd, &st) < 0) {
		archive_entry_free(en);
		return err_set(w->e, -errno, "%s: %s", name, strerror(errno));
	}
	archive_entry_set_pathname(en, name);
	archive_entry_set_filetype(en, AE_IFREG);
	archive_entry_set_perm(en, 0600);
	archive_entry_set_size(en, st.st_size);
	note_data(en, fd, st.st_size);
	r = put_header(w, en);
	archive_entry_free(en);
	return r < 0 ? r : put_content(w, fd, st.st_size);
}

static int aside(struct err *e)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	return fd < 0 ? err_set(e, -errno, "%s", strerror(errno)) : fd;
}

static int put_text(struct writing *w, const char *name, const char *text,
		    size_t len)
{
	autoclose int fd = aside(w->e);

	if (fd < 0)
		return fd;
	if (write(fd, text, len) != (ssize_t)len)
		return err_set(w->e, -ENOSPC, "%s", name);
	return put_file(w, name, fd);
}

static int put_manifest(struct writing *w)
{
	autojw struct jw text = {0};
	int r;

	snapshot_write(w->b->s, &text);
	if (text.failed)
		return err_set(w->e, -ENOMEM, "out of memory");
	r = put_text(w, SNAPSHOT_JSON, text.buf, text.len);
	return r < 0 ? r
		     : put_text(w, BUNDLE_HASHES, w->b->hashes,
				strlen(w->b->hashes));
}

static int put_pack(struct writing *w)
{
	autovfsrepo struct vfs_repo *repo = NULL;
	autoclose int fd = aside(w->e);
	struct vfs_oid heads[2];
	size_t n = 0;
	int r;

	if (fd < 0 || w->b->s->head[0] == '\0')
		return fd < 0 ? fd : 0;
	n += vfs_oid_parse(w->b->s->head, &heads[n]) == 0;
	if (w->b->s->base[0] != '\0')
		n += vfs_oid_parse(w->b->s->base, &heads[n]) == 0;
	r = vfs_repo_open(w->b->repository, true, &repo, w->e);
	if (r == 0)
		r = vfs_bundle_write(repo, heads, n, fd, w->e);
	return r < 0 ? r : put_file(w, BUNDLE_PACK, fd);
}

/* --- logs ------------------------------------------------------------------- */

struct log {
	int fd;
	int64_t to;
};

static int put_event(const struct event *ev, void *arg)
{
	const struct log *l = arg;

	if (ev->seq > l->to)
		return 1;
	return write(l->fd, ev->line, ev->len) == (ssize_t)ev->len ? 0
								   : -ENOSPC;
}

static int put_log(struct writing *w, const char *session, int64_t to)
{
	const struct event_query q = {.session = session};
	autoclose int fd = aside(w->e);
	struct log l = {.fd = fd, .to = to};
	autojw struct jw head = {0};
	char name[64];
	int r;

	if (fd < 0)
		return fd;
	transfer_write_head(session, &head);
	if (head.failed || write(fd, head.buf, head.len) != (ssize_t)head.len)
		return err_set(w->e, -ENOSPC, "%s", session);
	r = reader_each_event(w->b->reader, &q, put_event, &l, w->e);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), BUNDLE_SESSIONS "/%s.jsonl", session);
	return put_file(w, name, fd);
}

static int put_logs(struct writing *w)
{
	autojson struct json j = {0};
	const char *text = w->b->s->cursors;
	int r = json_parse(&j, text, strlen(text), w->e);
	struct jv all = json_root(&j);

	for (struct jv k = jv_first(all); r == 0 && jv_has(k);
	     k = jv_next(all, k)) {
		char id[ID_MAX];

		if (jv_strcpy(k, id, sizeof(id)) > 0)
			r = put_log(w, id, jv_int(jv_value(k), 0));
		if (r == -FAULT_SESSION_NOT_FOUND)
			r = 0; /* It was destroyed since. */
	}
	return r;
}

/* --- the disk --------------------------------------------------------------- */

/* Who that is in the VM.  Without ids of its own, all is one user's: who it was
 * follows from where it is. */
static int64_t inner_owner(const struct writing *w, const char *path,
			   uint32_t id)
{
	const uint32_t first = launched_uid(w->b->s->vm);

	if (geteuid() == 0)
		return id >= first && id - first < RANGE_IDS ? id - first : 0;
	return strncmp(path, "home/user", 9) == 0 ||
			       strncmp(path, "vfs/upper", 9) == 0
		       ? RANGE_AGENT
		       : 0;
}

struct inner {
	const struct writing *w;
	const char *path;
};

static uint32_t inner_id(uint32_t id, const void *arg)
{
	const struct inner *in = arg;

	return (uint32_t)inner_owner(in->w, in->path, id);
}

/* Who runs as an ordinary user has no ids that an ACL could name. */
static bool keeps_xattr(const char *name)
{
	return strncmp(name, "user.", 5) == 0 ||
	       (geteuid() == 0 && (strcmp(name, ACL_ACCESS) == 0 ||
				   strcmp(name, ACL_DEFAULT) == 0));
}

static void put_xattrs(const struct writing *w, struct archive_entry *en,
		       const char *path, int fd)
{
	autofree char *names = malloc(2 * XATTR_MAX);
	ssize_t n = names == NULL ? 0 : flistxattr(fd, names, XATTR_MAX);
	const struct inner in = {w, path};

	for (const char *p = names; n > 0 && p < names + n;
	     p += strlen(p) + 1) {
		char *value = names + XATTR_MAX;
		ssize_t len = fgetxattr(fd, p, value, XATTR_MAX);

		if (keeps_xattr(p) && len >= 0 &&
		    acl_map(p, value, (size_t)len, inner_id, &in) == 0)
			archive_entry_xattr_add_entry(en, p, value,
						      (size_t)len);
	}
}

static int fill_entry(struct writing *w, struct archive_entry *en,
		      const struct treewalk_entry *t, int fd)
{
	autofree char *name = NULL;
	char target[PATH_MAX];
	ssize_t n = 0;

	if (asprintf(&name, "disk%s%s", t->path[0] ? "/" : "", t->path) < 0)
		return -ENOMEM;
	archive_entry_copy_stat(en, t->st);
	archive_entry_set_nlink(en, 1);
	archive_entry_set_pathname(en, name);
	archive_entry_set_uid(en, inner_owner(w, t->path, t->st->st_uid));
	archive_entry_set_gid(en, inner_owner(w, t->path, t->st->st_gid));
	if (!S_ISREG(t->st->st_mode))
		archive_entry_set_size(en, 0);
	if (S_ISLNK(t->st->st_mode)) {
		n = readlinkat(t->at, t->name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		archive_entry_set_symlink(en, target);
	}
	if (fd >= 0)
		put_xattrs(w, en, t->path, fd);
	if (fd >= 0 && S_ISREG(t->st->st_mode))
		note_data(en, fd, t->st->st_size);
	return 0;
}

static int put_entry(struct writing *w, const struct treewalk_entry *t, int fd)
{
	struct archive_entry *en = archive_entry_new();
	int r = en == NULL ? -ENOMEM : fill_entry(w, en, t, fd);

	if (r < 0)
		err_set(w->e, r, "%.200s: %s", t->path, strerror(-r));
	if (r == 0)
		r = put_header(w, en);
	archive_entry_free(en);
	return r;
}

static int tree_enter(const struct treewalk_entry *t, void *arg)
{
	return put_entry(arg, t, t->fd);
}

static int tree_other(const struct treewalk_entry *t, void *arg)
{
	struct writing *w = arg;
	autoclose int fd = -1;
	int r;

	if (!S_ISREG(t->st->st_mode))
		return put_entry(w, t, -1);
	fd = treewalk_open(t);
	if (fd < 0)
		return err_set(w->e, fd, "%.200s: %s", t->path, strerror(-fd));
	r = put_entry(w, t, fd);
	return r < 0 ? r : put_content(w, fd, t->st->st_size);
}

static int put_disk(struct writing *w)
{
	const struct treewalk tree = {
		.enter = tree_enter, .other = tree_other, .arg = w};
	autoclose int dir =
		open(w->b->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : treewalk(dir, "disk", &tree);

	return r < 0 && w->e->code == 0
		       ? err_set(w->e, r, "disk: %s", strerror(-r))
		       : r;
}

/* --- a machine -------------------------------------------------------------- */

static int put_machine(struct writing *w)
{
	autoclose int dir =
		open(w->b->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? err_set(w->e, -errno, "%s: %s", w->b->folder,
				  strerror(errno))
			: 0;

	for (size_t i = 0; r == 0 && bundle_machine[i] != NULL; i++) {
		const char *name = bundle_machine[i];
		autoclose int fd =
			openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0)
			r = put_file(w, name, fd);
		else if (errno != ENOENT)
			r = err_set(w->e, -errno, "%s: %s", name,
				    strerror(errno));
	}
	return r;
}

/* --- all -------------------------------------------------------------------- */

static int write_all(struct writing *w, int fd)
{
	int r;

	archive_write_set_format_pax(w->a);
	if (archive_write_set_options(w->a, "hdrcharset=BINARY") !=
		    ARCHIVE_OK ||
	    archive_write_add_filter_zstd(w->a) != ARCHIVE_OK ||
	    archive_write_open_fd(w->a, fd) != ARCHIVE_OK)
		return bundle_fail(w->a, w->e, -EIO, "write");
	r = put_manifest(w);
	if (r == 0)
		r = put_pack(w);
	if (r == 0)
		r = put_logs(w);
	if (r == 0)
		r = w->b->s->memory ? put_machine(w) : put_disk(w);
	if (r == 0 && archive_write_close(w->a) != ARCHIVE_OK)
		r = bundle_fail(w->a, w->e, -EIO, "write");
	return r;
}

int bundle_write(const struct bundle_source *b, int fd, struct err *e)
{
	struct writing w = {.b = b, .e = e, .a = archive_write_new()};
	int r;

	w.buf = malloc(PIECE);
	r = w.a != NULL && w.buf != NULL ? write_all(&w, fd)
					 : err_set(e, -ENOMEM, "out of memory");
	if (w.a != NULL)
		archive_write_free(w.a);
	free(w.buf);
	return r;
}
