// SPDX-License-Identifier: Apache-2.0
/*
 * collect.c - What has changed in a workspace since the host was told
 *
 * Folders are taken from a stack of paths, each opened from the root of the
 * upper tree (openat2, nothing but folders of the same mount on the way), so
 * that neither the C stack nor the number of descriptors grows with the depth.
 * In a folder the sorted names and the sorted rows of vfs.db are merged:
 *
 *	name and row alike    the host has it: nothing is read
 *	name, another row     tell it, and replace the row
 *	row without a name    it was deleted
 *
 * Of an overlay's upper tree a character device 0:0 is a whiteout: the path
 * below is deleted.  A folder with the xattr overlay.opaque hides all that is
 * below it: it is deleted once and told from the beginning.
 *
 * Whatever the workspace's users do meanwhile, nothing is followed and nothing
 * blocks: what was a file may be a link or a FIFO when it is opened.  What
 * vanishes on the way is a deletion, now or in the next walk.
 */
#include "vfs/collect.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "core/json.h"
#include "vfs/cachetag.h"
#include "vfs/changes_write.h"
#include "vfs/ignore.h"
#include "vfs/passing.h"
#include "vfs/sent.h"
#include "vfs/steady.h"

#define FLUSH_BYTES   (64u << 10) /* Gathered before they are written. */
#define NS_PER_S      1000000000LL
#define OPEN_SAFELY   (O_CLOEXEC | O_NOFOLLOW)
#define OPEN_ANYTHING (OPEN_SAFELY | O_NONBLOCK)

struct row {
	char *name;
	struct vfs_sent_row is;
};

/* One folder's names and rows, both sorted. */
struct folder {
	const char *path;
	int fd;
	char **names;
	size_t n_names, cap_names;
	struct row *rows;
	size_t n_rows, cap_rows;
};

struct walk {
	const struct vfs_collect_spec *spec;
	struct vfs_collect_result *stats;
	struct vfs_ignore *ignore;
	char **stack; /* Paths of folders to be entered. */
	size_t depth, cap;
	struct jw out; /* Of the change set, not yet written. */
	char *buffer;  /* Of steady.h. */
	struct err *e;
	/* The file that is being told. */
	const char *path;
};

/*
 * Memory.
 */

static int no_memory(struct walk *w)
{
	return err_set(w->e, -ENOMEM, "workspace: out of memory");
}

/* Room for one more.  Return: the array, moved if need be; NULL. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap * 2 + 32;
	void *grown;

	if (n < *cap)
		return array;
	grown = reallocarray(array, more, size);
	if (grown != NULL)
		*cap = more;
	return grown;
}

/* @out: "" is the workspace itself.  Return: 0; -ENAMETOOLONG. */
static int join(const char *dir, const char *name, char *out)
{
	int n = snprintf(out, VFS_CHANGE_PATH_MAX + 1, "%s%s%s", dir,
			 dir[0] ? "/" : "", name);

	return n > VFS_CHANGE_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int push(struct walk *w, const char *path)
{
	char **grown = grow(w->stack, w->depth, &w->cap, sizeof(*w->stack));

	if (grown == NULL)
		return no_memory(w);
	w->stack = grown;
	w->stack[w->depth] = strdup(path);
	if (w->stack[w->depth] == NULL)
		return no_memory(w);
	w->depth++;
	return 0;
}

/*
 * The change set.
 */

static int flush(struct walk *w, size_t at_least)
{
	int r;

	if (w->out.failed)
		return no_memory(w);
	if (w->out.len <= at_least)
		return 0;
	w->stats->changed = true;
	r = w->spec->write(w->out.buf, w->out.len, w->spec->arg);
	jw_reset(&w->out);
	return r;
}

static int tell_deletion(struct walk *w, const char *path)
{
	char line[VFS_CHANGE_MAX];

	w->stats->n_deleted++;
	jw_lit(&w->out, line, vfs_changes_write_remove(line, path));
	return flush(w, FLUSH_BYTES);
}

static int tell_content(struct walk *w, const char *path, uint32_t mode,
			int64_t size)
{
	char line[VFS_CHANGE_MAX];

	jw_lit(&w->out, line,
	       vfs_changes_write_file(line, path, mode, (uint64_t)size));
	return flush(w, FLUSH_BYTES);
}

static int tell_folder(struct walk *w, const char *path, uint32_t mode)
{
	char line[VFS_CHANGE_MAX];

	jw_lit(&w->out, line, vfs_changes_write_dir(line, path, mode));
	return flush(w, FLUSH_BYTES);
}

static int steady_on_begin(const struct stat *st, void *arg)
{
	struct walk *w = arg;

	return tell_content(w, w->path, st->st_mode, st->st_size);
}

static int steady_on_data(const char *data, size_t n, void *arg)
{
	struct walk *w = arg;

	w->stats->n_bytes += n;
	jw_lit(&w->out, data, n);
	return flush(w, FLUSH_BYTES);
}

static int steady_on_end(void *arg)
{
	struct walk *w = arg;

	jw_lit(&w->out, "\n", 1);
	return flush(w, FLUSH_BYTES);
}

/*
 * Opening.
 */

static int open_below(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | (flags & O_PATH ? OPEN_SAFELY : OPEN_ANYTHING),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, root, path[0] ? path : ".", &how,
			  sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* The first bytes of a regular file.  Return: their number; -ENOENT when it is
 * none; -errno. */
static ssize_t read_head(int fd, char *out, size_t max)
{
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	n = read(fd, out, max);
	return n < 0 ? -errno : n;
}

static bool is_opaque(int dir, const char *name)
{
	static const char *const attributes[] = {"user.overlay.opaque",
						 "trusted.overlay.opaque"};
	autoclose int fd =
		openat(dir, name, O_RDONLY | O_DIRECTORY | OPEN_ANYTHING);
	char value;

	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(attributes); i++)
		if (fgetxattr(fd, attributes[i], &value, 1) == 1 &&
		    value == 'y')
			return true;
	return false;
}

/*
 * Rows.
 */

static int64_t to_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static struct vfs_sent_row row_of(enum vfs_sent_kind kind,
				  const struct stat *st)
{
	return (struct vfs_sent_row){
		.kind = kind,
		.mode = st->st_mode,
		.size = kind == VFS_SENT_FILE || kind == VFS_SENT_LINK
				? st->st_size
				: 0,
		.mtime_ns = to_ns(st->st_mtim),
		.ctime_ns = to_ns(st->st_ctim),
		.ino = st->st_ino,
	};
}

/* Does an entry look as it did when the host took it? */
static bool is_same(const struct vfs_sent_row *a, const struct vfs_sent_row *b)
{
	return a->kind == b->kind && !a->racy && a->mode == b->mode &&
	       a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->ctime_ns == b->ctime_ns && a->ino == b->ino;
}

/* Does the host have something at the path that the guest has sent? */
static bool is_there(const struct row *row)
{
	return row != NULL && row->is.kind != VFS_SENT_DELETED &&
	       row->is.kind != VFS_SENT_IGNORED;
}

/*
 * What is in a folder.
 */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct folder *f, const char *name)
{
	char **grown =
		grow(f->names, f->n_names, &f->cap_names, sizeof(*f->names));

	if (grown == NULL)
		return -ENOMEM;
	f->names = grown;
	f->names[f->n_names] = strdup(name);
	if (f->names[f->n_names] == NULL)
		return -ENOMEM;
	f->n_names++;
	return 0;
}

static int list_names(struct folder *f)
{
	int r = 0, fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0) {
		const struct dirent *d;

		errno = 0;
		d = readdir(dir);
		if (d == NULL) {
			r = -errno;
			break;
		}
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = add_name(f, d->d_name);
	}
	closedir(dir);
	if (r == 0 && f->n_names > 1)
		qsort(f->names, f->n_names, sizeof(*f->names), by_name);
	return r;
}

static int add_row(const char *name, const struct vfs_sent_row *row, void *arg)
{
	struct folder *f = arg;
	struct row *grown =
		grow(f->rows, f->n_rows, &f->cap_rows, sizeof(*f->rows));

	if (grown == NULL)
		return -ENOMEM;
	f->rows = grown;
	grown[f->n_rows].is = *row;
	grown[f->n_rows].name = strdup(name);
	if (grown[f->n_rows].name == NULL)
		return -ENOMEM;
	f->n_rows++;
	return 0;
}

static void folder_done(struct folder *f)
{
	if (f->fd >= 0)
		close(f->fd);
	while (f->n_names > 0)
		free(f->names[--f->n_names]);
	while (f->n_rows > 0)
		free(f->rows[--f->n_rows].name);
	free(f->names);
	free(f->rows);
}

/*
 * One entry.
 */

static int put_row(struct walk *w, const struct folder *f, const char *name,
		   const struct vfs_sent_row *is)
{
	w->stats->n_racy += is->racy;
	return vfs_sent_put(w->spec->sent, f->path, name, is, w->e);
}

/* The entry is gone, or has become something that is not kept. */
static int forget(struct walk *w, const struct folder *f, const struct row *row)
{
	char path[VFS_CHANGE_PATH_MAX + 1];
	int r = 0;

	if (is_there(row) && join(f->path, row->name, path) == 0)
		r = tell_deletion(w, path);
	if (r < 0)
		return r;
	return vfs_sent_drop(w->spec->sent, f->path, row->name, w->e);
}

static int skip(struct walk *w, const struct folder *f, const struct row *row,
		uint64_t *count)
{
	++*count;
	return row == NULL ? 0 : forget(w, f, row);
}

static int tell_file(struct walk *w, const struct folder *f, const char *name,
		     const char *path, const struct row *row)
{
	const struct vfs_steady_sink sink = {steady_on_begin, steady_on_data,
					     steady_on_end, w, w->buffer};
	autoclose int fd = openat(f->fd, name, O_RDONLY | OPEN_ANYTHING);
	struct vfs_sent_row is;
	struct stat st;
	bool racy;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		w->stats->n_unreadable++;
		return 0; /* As the host has it, until the next walk. */
	}
	if (is_there(row) && row->is.kind == VFS_SENT_FOLDER) {
		r = forget(w, f, row);
		if (r < 0)
			return r;
	}
	w->path = path;
	r = vfs_steady_read(fd, &sink, &st, &racy);
	if (r < 0)
		return w->e != NULL && w->e->code == r
			       ? r
			       : err_set(w->e, r, "workspace: %s: %s", path,
					 strerror(-r));
	w->stats->n_put++;
	is = row_of(VFS_SENT_FILE, &st);
	is.racy = racy;
	return put_row(w, f, name, &is);
}

static int tell_link(struct walk *w, const struct folder *f, const char *name,
		     const char *path, const struct row *row)
{
	autoclose int fd = openat(f->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char target[VFS_CHANGE_PATH_MAX + 1];
	struct vfs_sent_row is;
	struct stat st;
	ssize_t n;
	int r = 0;

	n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target));
	if (n < 0 || fstat(fd, &st) < 0) {
		w->stats->n_unreadable++;
		return 0;
	}
	if (is_there(row) && row->is.kind == VFS_SENT_FOLDER)
		r = forget(w, f, row);
	if (r < 0)
		return r;
	w->stats->n_put++;
	is = row_of(VFS_SENT_LINK, &st);
	r = tell_content(w, path, st.st_mode, n);
	jw_lit(&w->out, target, (size_t)n);
	jw_lit(&w->out, "\n", 1);
	return r < 0 ? r : put_row(w, f, name, &is);
}

/* A folder that hides what was below it is told from the beginning. */
static int make_opaque(struct walk *w, const char *path)
{
	int r = tell_deletion(w, path);

	return r < 0 ? r : vfs_sent_drop_below(w->spec->sent, path, w->e);
}

static int take_folder(struct walk *w, const struct folder *f, const char *name,
		       const char *path, const struct row *row,
		       const struct stat *st)
{
	struct vfs_sent_row is = row_of(VFS_SENT_FOLDER, st);
	bool was_folder = row != NULL && row->is.kind == VFS_SENT_FOLDER;
	int r = 0;

	is.opaque = is_opaque(f->fd, name);
	if (is.opaque &&
	    !(was_folder && row->is.opaque && row->is.ino == is.ino)) {
		r = make_opaque(w, path);
		was_folder = false;
	} else if (is_there(row) && !was_folder) {
		r = forget(w, f, row);
	}
	if (r < 0)
		return r;
	if (!was_folder || row->is.mode != is.mode ||
	    row->is.opaque != is.opaque || row->is.ino != is.ino) {
		r = tell_folder(w, path, is.mode);
		if (r == 0)
			r = put_row(w, f, name, &is);
	}
	return r < 0 ? r : push(w, path);
}

static int take_whiteout(struct walk *w, const struct folder *f,
			 const char *name, const char *path,
			 const struct row *row, const struct stat *st)
{
	struct vfs_sent_row is = row_of(VFS_SENT_DELETED, st);
	int r;

	if (row != NULL && row->is.kind == VFS_SENT_DELETED)
		return 0;
	r = tell_deletion(w, path);
	if (r == 0 && row != NULL)
		r = vfs_sent_drop(w->spec->sent, f->path, name, w->e);
	return r < 0 ? r : put_row(w, f, name, &is);
}

/* What no commit has is left out if a rule says so, or the folder itself. */
static bool is_ignored(const struct walk *w, const struct folder *f,
		       const char *name, const char *path, bool is_dir)
{
	enum vfs_ignore_verdict said = vfs_ignore_ask(w->ignore, path, is_dir);

	if (said == VFS_IGNORE_UNSAID && is_dir)
		return vfs_cachetag_is(f->fd, name);
	return said == VFS_IGNORE_SKIP;
}

/* What is gone, of another mount, no file, or kept from us by its owner (a lease
 * is EAGAIN), is passed over. */
static bool may_vanish(int code)
{
	return code == -ENOENT || code == -ENOTDIR || code == -ELOOP ||
	       code == -EXDEV || code == -EACCES || code == -EPERM ||
	       code == -ENAMETOOLONG || code == -ENXIO || code == -EAGAIN;
}

/* Has the commit below it?  Return: 1, 0 or an error. */
static int is_committed(const struct walk *w, const char *path)
{
	autoclose int fd = w->spec->lower < 0
				   ? -ENOENT
				   : open_below(w->spec->lower, path, O_PATH);

	if (fd < 0 && !may_vanish(fd))
		return err_set(w->e, fd, "workspace: %s: %s", path,
			       strerror(-fd));
	return fd >= 0;
}

static int take_ignored(struct walk *w, const struct folder *f,
			const char *name, const struct row *row,
			const struct stat *st)
{
	struct vfs_sent_row is = row_of(VFS_SENT_IGNORED, st);

	if (row != NULL && row->is.kind == VFS_SENT_IGNORED)
		return 0;
	return put_row(w, f, name, &is);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int take_known(struct walk *w, const struct folder *f, const char *name,
		      const char *path, const struct row *row,
		      const struct stat *st)
{
	enum vfs_sent_kind kind =
		S_ISREG(st->st_mode) ? VFS_SENT_FILE : VFS_SENT_LINK;
	struct vfs_sent_row is = row_of(kind, st);

	if (S_ISDIR(st->st_mode))
		return take_folder(w, f, name, path, row, st);
	if (row != NULL && is_same(&row->is, &is))
		return 0;
	return kind == VFS_SENT_FILE ? tell_file(w, f, name, path, row)
				     : tell_link(w, f, name, path, row);
}

/* @row: of the same name, or NULL. */
static int take(struct walk *w, const struct folder *f, const char *name,
		const struct row *row)
{
	char path[VFS_CHANGE_PATH_MAX + 1];
	struct stat st;
	int r = 0;

	w->stats->n_entries++;
	if (join(f->path, name, path) < 0)
		return skip(w, f, row, &w->stats->n_unreadable);
	if (vfs_passing_is(w->spec->passing, name))
		return skip(w, f, row, &w->stats->n_passing);
	if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return row == NULL || errno != ENOENT ? 0 : forget(w, f, row);
	if (is_whiteout(&st))
		return take_whiteout(w, f, name, path, row, &st);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	    !S_ISLNK(st.st_mode))
		return skip(w, f, row, &w->stats->n_special);
	if (!is_there(row) &&
	    is_ignored(w, f, name, path, S_ISDIR(st.st_mode))) {
		r = is_committed(w, path);
		if (r == 0)
			return take_ignored(w, f, name, row, &st);
	}
	return r < 0 ? r : take_known(w, f, name, path, row, &st);
}

/*
 * The walk.
 */

static int merge(struct walk *w, const struct folder *f)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (r == 0 && (i < f->n_names || k < f->n_rows)) {
		int order = i == f->n_names ? 1
			    : k == f->n_rows
				    ? -1
				    : strcmp(f->names[i], f->rows[k].name);

		if (order > 0) {
			r = forget(w, f, &f->rows[k++]);
			continue;
		}
		r = take(w, f, f->names[i++], order == 0 ? &f->rows[k] : NULL);
		k += order == 0;
	}
	return r;
}

static int enter_rules(struct walk *w, const char *path)
{
	char at[VFS_CHANGE_PATH_MAX + 1];
	autofree char *text = NULL;
	autoclose int fd = -ENOENT;
	ssize_t n;

	if (join(path, VFS_IGNORE_FILE, at) == 0)
		fd = open_below(w->spec->view, at, O_RDONLY);
	n = fd;
	if (fd >= 0) {
		text = malloc(VFS_IGNORE_BYTES_MAX);
		if (text == NULL)
			return no_memory(w);
		n = read_head(fd, text, VFS_IGNORE_BYTES_MAX);
	}
	/* Without its rules a folder would be told with all that they leave
	 * out. */
	if (n < 0 && !may_vanish((int)n))
		return err_set(w->e, (int)n, "workspace: %s: %s", at,
			       strerror((int)-n));
	if (vfs_ignore_enter(w->ignore, path, n < 0 ? NULL : text,
			     n < 0 ? 0 : (size_t)n) < 0)
		return no_memory(w);
	return 0;
}

static int visit(struct walk *w, const char *path)
{
	struct folder f = {.path = path, .fd = -1};
	int r;

	f.fd = open_below(w->spec->upper, path, O_RDONLY | O_DIRECTORY);
	if (f.fd < 0 && may_vanish(f.fd) && path[0] != '\0') {
		w->stats->n_unreadable++;
		return 0;
	}
	r = f.fd < 0 ? f.fd : list_names(&f);
	if (r < 0)
		err_set(w->e, r, "workspace: %s: %s", path, strerror(-r));
	if (r == 0)
		r = enter_rules(w, path);
	if (r == 0)
		r = vfs_sent_list(w->spec->sent, path, add_row, &f, w->e);
	if (r == 0)
		r = merge(w, &f);
	folder_done(&f);
	return r;
}

static int walk_all(struct walk *w)
{
	char line[VFS_CHANGE_MAX];
	size_t n_first = 0;
	int r = push(w, "");

	if (w->spec->from_nothing) {
		n_first = vfs_changes_write_clear(line);
		jw_lit(&w->out, line, n_first);
	}
	while (r == 0 && w->depth > 0) {
		autofree char *path = w->stack[--w->depth];

		r = visit(w, path);
	}
	if (r < 0 || (!w->stats->changed && w->out.len == n_first))
		return r;
	jw_lit(&w->out, line, vfs_changes_write_done(line));
	return flush(w, 0);
}

int vfs_collect(const struct vfs_collect_spec *spec,
		struct vfs_collect_result *out, struct err *e)
{
	struct vfs_collect_result stats = {0};
	struct err why = {0};
	struct walk w = {.spec = spec, .stats = &stats, .e = &why};
	int r;

	w.buffer = malloc(VFS_STEADY_CHUNK);
	if (w.buffer == NULL || vfs_ignore_new(&w.ignore) < 0)
		r = no_memory(&w);
	else
		r = walk_all(&w);
	while (w.depth > 0)
		free(w.stack[--w.depth]);
	free(w.stack);
	free(w.buffer);
	jw_done(&w.out);
	vfs_ignore_free(w.ignore);
	if (r < 0)
		return err_set(e, r, "%s",
			       why.code == r ? why.msg : strerror(-r));
	*out = stats;
	return 0;
}
