// SPDX-License-Identifier: Apache-2.0
/*
 * lower.c - Committed files as a read-only file system
 *
 * The kernel's requests come by a poll of the FUSE descriptor, as many at a time
 * as there are.  One that can be answered from memory is; another becomes an op
 * that waits for a directory or for bytes, of which there may be any number.
 * When the kernel interrupts a request (its process is being killed), its op ends
 * at once with EINTR: nobody hangs on a source that is away.
 *
 * open(2) and opendir(2) are answered with ENOSYS, once: from then on the kernel
 * opens files by itself and keeps what it knows of all of them (fuse(4), "no
 * open"), so a cached file costs no request at all.
 *
 * FUSE_PASSTHROUGH is not used: the kernel lets only the host's root register the
 * files behind it (fs/fuse/backing.c), which nobody in a sandbox is.
 */
#include "vfs/lower.h"

#define FUSE_USE_VERSION 314
#include <assert.h>
#include <fcntl.h>
#include <fuse_log.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "core/log.h"
#include "vfs/blobs.h"
#include "vfs/dirs.h"
#include "vfs/nodes.h"

#define LOG_COMPONENT	"vfs"
#define FOREVER		((double)UINT32_MAX) /* Seconds. */
#define REQUESTS_A_TURN 64		     /* Of the loop. */
#define BACKGROUND_MAX	64 /* Read-ahead requests of the kernel. */
#define COMMIT_MODE	(S_IFDIR | 0755)

struct vfs_lower {
	uv_loop_t *loop;
	struct vfs_lower_spec spec;
	struct fuse_session *session;
	struct fuse_buf buf; /* For one request. */
	uv_poll_t poll;
	char *at;
	struct objcache *cache;
	struct fetch fetch;
	struct nodes nodes;
	struct dirs dirs;
	struct blobs blobs;
	TAILQ_HEAD(op_list, op) interrupted;
	uint64_t told; /* nodes.changes that the kernel knows of. */
	unsigned open; /* Parts still to be closed. */
	void (*closed)(void *arg);
	void *arg;
};

/* A request that waits. */
struct op {
	struct vfs_lower *l;
	fuse_req_t req;
	uint64_t ino;
	void (*on_dir)(struct op *op, const struct dir *d); /* Or for bytes. */
	struct dir_wait dir;
	struct blob_wait blob;
	TAILQ_ENTRY(op) link; /* While interrupted. */

	bool is_link;		     /* Bytes are what a link says. */
	bool plus;		     /* readdir */
	off_t off;		     /* readdir */
	size_t size;		     /* readdir */
	char name[VFS_NAME_MAX + 1]; /* lookup */
};

static struct vfs_lower *lower_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* --- waiting --- */

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct op *op = arg;

	(void)req;
	TAILQ_INSERT_TAIL(&op->l->interrupted, op, link);
}

/* libfuse holds the request's lock while it tells of an interrupt; so it is
 * answered here, soon after. */
static void end_interrupted(struct vfs_lower *l)
{
	struct op *op;

	while ((op = TAILQ_FIRST(&l->interrupted)) != NULL) {
		TAILQ_REMOVE(&l->interrupted, op, link);
		if (op->on_dir != NULL)
			dirs_cancel(&op->dir);
		else
			blobs_cancel(&op->blob);
		(void)fuse_reply_err(op->req, EINTR);
		free(op);
	}
}

static struct op *new_op(fuse_req_t req, uint64_t ino)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		(void)fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	op->l = lower_of(req);
	op->req = req;
	op->ino = ino;
	return op;
}

/* The last step of a handler. */
static void wait_on(struct op *op, int r)
{
	if (r < 0) {
		(void)fuse_reply_err(op->req, -r);
		free(op);
		return;
	}
	fuse_req_interrupt_func(op->req, on_interrupt, op);
}

/* A commit has become known or forgotten. */
static void tell_changes(struct vfs_lower *l)
{
	if (l->told == l->nodes.changes)
		return;
	l->told = l->nodes.changes;
	(void)fuse_lowlevel_notify_inval_inode(l->session, NODES_ROOT, 0, 0);
}

static void on_dir(struct dir_wait *w, int status, const struct dir *d)
{
	struct op *op = container_of(w, struct op, dir);
	struct vfs_lower *l = op->l;

	/* Only a commit may be missing; a folder of one is damage. */
	if (status == -ENOENT && op->ino != NODES_ROOT)
		status = -EIO;
	if (status < 0)
		(void)fuse_reply_err(op->req, -status);
	else
		op->on_dir(op, d);
	free(op);
	tell_changes(l);
}

/* Have @answer called with the directory, now or later; @op is freed then. */
static void with_dir(struct op *op, const struct vfs_oid *oid,
		     void (*answer)(struct op *op, const struct dir *d))
{
	const struct dir *d = dirs_find(&op->l->dirs, oid);

	if (d != NULL) {
		answer(op, d);
		free(op);
		return;
	}
	op->on_dir = answer;
	op->dir.done = on_dir;
	wait_on(op, dirs_load(&op->l->dirs, oid, &op->dir));
}

/* Return: the node of a directory; else the request is answered. */
static const struct node *folder_of(fuse_req_t req, uint64_t ino)
{
	const struct node *node = nodes_find(&lower_of(req)->nodes, ino);

	if (node == NULL)
		(void)fuse_reply_err(req, ESTALE);
	else if (!S_ISDIR(node->mode))
		(void)fuse_reply_err(req, ENOTDIR);
	else
		return node;
	return NULL;
}

/* --- attributes --- */

static void fill_stat(const struct vfs_lower *l, uint64_t ino, uint32_t mode,
		      uint64_t size, struct stat *st)
{
	*st = (struct stat){
		.st_ino = ino,
		.st_mode = S_ISLNK(mode) ? mode | 0777 : mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_uid = l->spec.uid,
		.st_gid = l->spec.gid,
		.st_size = (off_t)size,
		.st_blocks = (blkcnt_t)((size + 511) / 512),
		.st_atim.tv_sec = l->spec.mtime,
		.st_mtim.tv_sec = l->spec.mtime,
		.st_ctim.tv_sec = l->spec.mtime,
	};
}

/* The kernel keeps the root's listing for as long as its mtime is the same; what
 * it keeps of the root is taken back when that changes. */
static void fill_root_stat(const struct vfs_lower *l, struct stat *st)
{
	fill_stat(l, NODES_ROOT, COMMIT_MODE, 0, st);
	st->st_mtim.tv_nsec = (long)(l->nodes.changes % 1000000000);
}

static void fill_entry(const struct vfs_lower *l, const struct node *node,
		       struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){
		.ino = node->ino,
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER,
	};
	fill_stat(l, node->ino, node->mode, node->size, &out->attr);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	const struct vfs_lower *l = lower_of(req);
	const struct node *node;
	struct stat st;

	(void)fi;
	if (ino == NODES_ROOT) {
		fill_root_stat(l, &st);
		(void)fuse_reply_attr(req, &st, FOREVER);
		return;
	}
	node = nodes_find(&l->nodes, ino);
	if (node == NULL) {
		(void)fuse_reply_err(req, ESTALE);
		return;
	}
	fill_stat(l, ino, node->mode, node->size, &st);
	(void)fuse_reply_attr(req, &st, FOREVER);
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_namemax = VFS_NAME_MAX,
	};

	(void)ino;
	(void)fuse_reply_statfs(req, &st);
}

/* --- lookup --- */

static void reply_entry(fuse_req_t req, uint64_t parent,
			const struct vfs_entry *entry)
{
	struct vfs_lower *l = lower_of(req);
	const struct node *node = nodes_get(&l->nodes, parent, entry);
	struct fuse_entry_param e;

	if (node == NULL) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	fill_entry(l, node, &e);
	(void)fuse_reply_entry(req, &e);
}

static void answer_lookup(struct op *op, const struct dir *d)
{
	const struct fuse_entry_param nothing = {.entry_timeout = FOREVER};
	struct vfs_entry entry;

	if (dir_lookup(d, op->name, &entry))
		reply_entry(op->req, op->ino, &entry);
	else
		(void)fuse_reply_entry(op->req, &nothing);
}

/* The commit exists: its directory has come. */
static void answer_commit(struct op *op, const struct dir *d)
{
	struct vfs_entry entry = {
		.mode = COMMIT_MODE,
		.name = op->name,
		.name_len = strlen(op->name),
	};

	(void)d;
	(void)vfs_oid_parse(op->name, &entry.oid);
	reply_entry(op->req, NODES_ROOT, &entry);
}

/* That a commit is not there may not be true for ever, so it is not cached. */
static void lookup_commit(fuse_req_t req, const char *name)
{
	struct vfs_oid oid;
	struct op *op;

	if (vfs_oid_parse(name, &oid) < 0) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	op = new_op(req, NODES_ROOT);
	if (op == NULL)
		return;
	memcpy(op->name, name, VFS_OID_HEX);
	with_dir(op, &oid, answer_commit);
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct node *node;
	struct op *op;

	if (parent == NODES_ROOT) {
		lookup_commit(req, name);
		return;
	}
	node = folder_of(req, parent);
	if (node == NULL)
		return;
	if (strlen(name) > VFS_NAME_MAX) {
		(void)fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	op = new_op(req, parent);
	if (op == NULL)
		return;
	memcpy(op->name, name, strlen(name) + 1);
	with_dir(op, &node->oid, answer_lookup);
}

static void do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	nodes_forget(&lower_of(req)->nodes, ino, n);
	fuse_reply_none(req);
}

static void do_forget_multi(fuse_req_t req, size_t n,
			    struct fuse_forget_data *all)
{
	for (size_t i = 0; i < n; i++)
		nodes_forget(&lower_of(req)->nodes, all[i].ino, all[i].nlookup);
	fuse_reply_none(req);
}

/* --- readdir --- */

/* Entries as they are written one after the other into a reply. */
struct reply_dir {
	struct op *op;
	char *buf;
	size_t used;
};

/* @node is NULL for one that the kernel learns only the name and type of.
 * Return: false when it does not fit any more. */
static bool add_entry(struct reply_dir *r, const char *name, uint64_t ino,
		      uint32_t mode, off_t next)
{
	struct fuse_entry_param e = {.attr = {.st_ino = ino, .st_mode = mode}};
	size_t room = r->op->size - r->used, n;

	n = r->op->plus ? fuse_add_direntry_plus(r->op->req, r->buf + r->used,
						 room, name, &e, next)
			: fuse_add_direntry(r->op->req, r->buf + r->used, room,
					    name, &e.attr, next);
	if (n > room)
		return false;
	r->used += n;
	return true;
}

/* The same with all that a lookup would tell, which counts as one. */
static bool add_entry_plus(struct reply_dir *r, const struct vfs_entry *entry,
			   off_t next)
{
	struct vfs_lower *l = r->op->l;
	size_t room = r->op->size - r->used, n;
	struct fuse_entry_param e;
	const struct node *node;

	n = fuse_add_direntry_plus(r->op->req, NULL, 0, entry->name, NULL, 0);
	if (n > room)
		return false;
	node = nodes_get(&l->nodes, r->op->ino, entry);
	if (node == NULL)
		return false;
	fill_entry(l, node, &e);
	r->used += fuse_add_direntry_plus(r->op->req, r->buf + r->used, room,
					  entry->name, &e, next);
	return true;
}

/* Offsets are 1 behind ".", 2 behind "..", i + 3 behind entry i. */
static bool add_dots(struct reply_dir *r, uint64_t parent)
{
	if (r->op->off < 1 && !add_entry(r, ".", r->op->ino, S_IFDIR, 1))
		return false;
	return r->op->off >= 2 || add_entry(r, "..", parent, S_IFDIR, 2);
}

static void fill_dir(struct reply_dir *r, const struct dir *d)
{
	const struct op *op = r->op;
	const struct node *node = nodes_find(&op->l->nodes, op->ino);
	size_t i = op->off > 2 ? (size_t)op->off - 2 : 0;
	struct vfs_entry entry;
	bool fits = add_dots(r, node != NULL ? node->parent : NODES_ROOT);

	for (; fits && i < dir_count(d); i++) {
		off_t next = (off_t)i + 3;

		dir_entry(d, i, &entry);
		fits = op->plus ? add_entry_plus(r, &entry, next)
				: add_entry(r, entry.name,
					    nodes_number(op->ino, entry.name,
							 entry.name_len),
					    entry.mode, next);
	}
}

static int by_ino(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return ((*x)->ino > (*y)->ino) - ((*x)->ino < (*y)->ino);
}

/* The commits that the kernel knows, in the order of their numbers. */
static void fill_root(struct reply_dir *r)
{
	const struct nodes *nodes = &r->op->l->nodes;
	autofree const struct node **all =
		calloc(nodes->n_commits + 1, sizeof(struct node *));
	size_t n = 0, i = r->op->off > 2 ? (size_t)r->op->off - 2 : 0;
	bool fits = add_dots(r, NODES_ROOT);
	char hex[VFS_OID_HEX];

	if (all == NULL)
		return;
	n = nodes_commits(nodes, all);
	qsort(all, n, sizeof(struct node *), by_ino);
	for (; fits && i < n; i++)
		fits = add_entry(r, vfs_oid_format(&all[i]->oid, hex),
				 all[i]->ino, COMMIT_MODE, (off_t)i + 3);
}

/* @d is NULL for the root. */
static void answer_readdir(struct op *op, const struct dir *d)
{
	autofree char *buf = malloc(op->size);
	struct reply_dir r = {.op = op, .buf = buf};

	if (buf == NULL) {
		(void)fuse_reply_err(op->req, ENOMEM);
		return;
	}
	if (d != NULL)
		fill_dir(&r, d);
	else
		fill_root(&r);
	(void)fuse_reply_buf(op->req, buf, r.used);
}

static void start_readdir(fuse_req_t req, fuse_ino_t ino, size_t size,
			  off_t off, bool plus)
{
	const struct node *node =
		ino == NODES_ROOT ? NULL : folder_of(req, ino);
	struct op *op;

	if (node == NULL && ino != NODES_ROOT)
		return;
	op = new_op(req, ino);
	if (op == NULL)
		return;
	op->size = size < LOWER_CHUNK ? size : LOWER_CHUNK;
	op->off = off;
	op->plus = plus;
	if (node != NULL) {
		with_dir(op, &node->oid, answer_readdir);
		return;
	}
	answer_readdir(op, NULL);
	free(op);
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	start_readdir(req, ino, size, off, false);
}

static void do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	start_readdir(req, ino, size, off, true);
}

/* --- contents --- */

static void reply_link(fuse_req_t req, const char *data, size_t n)
{
	char link[VFS_LINK_MAX + 1];

	memcpy(link, data, n);
	link[n] = '\0';
	(void)fuse_reply_readlink(req, link);
}

static void reply_bytes(struct op *op, const char *data, size_t n)
{
	if (op->is_link)
		reply_link(op->req, data, n);
	else
		(void)fuse_reply_buf(op->req, data, n);
}

static void on_bytes(struct blob_wait *w, int status, const char *data,
		     size_t n)
{
	struct op *op = container_of(w, struct op, blob);

	if (status < 0)
		(void)fuse_reply_err(op->req, -status);
	else
		reply_bytes(op, data, n);
	free(op);
}

static void start_read(struct op *op, const struct node *node, uint64_t off,
		       size_t len)
{
	const struct blob_key key = {.oid = node->oid, .size = node->size};
	const char *data;
	int r;

	op->blob.done = on_bytes;
	r = blobs_read(&op->l->blobs, &key, off, len, &op->blob, &data);
	if (r <= 0) {
		wait_on(op, r);
		return;
	}
	reply_bytes(op, data, len);
	free(op);
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct node *node = nodes_find(&lower_of(req)->nodes, ino);
	struct op *op;

	if (node == NULL || !S_ISLNK(node->mode)) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	op = new_op(req, ino);
	if (op == NULL)
		return;
	op->is_link = true;
	start_read(op, node, 0, node->size);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	const struct node *node = nodes_find(&lower_of(req)->nodes, ino);
	uint64_t at = (uint64_t)off, rest;
	struct op *op;

	(void)fi;
	if (node == NULL || !S_ISREG(node->mode)) {
		(void)fuse_reply_err(req, node == NULL ? ESTALE : EISDIR);
		return;
	}
	rest = at < node->size ? node->size - at : 0;
	if (size > LOWER_CHUNK)
		size = LOWER_CHUNK;
	if (size > rest)
		size = (size_t)rest;
	if (size == 0) {
		(void)fuse_reply_buf(req, NULL, 0);
		return;
	}
	op = new_op(req, ino);
	if (op != NULL)
		start_read(op, node, at, size);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

/* --- the session --- */

static void do_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX;
}

static const struct fuse_lowlevel_ops ops = {
	.init = do_init,
	.lookup = do_lookup,
	.forget = do_forget,
	.forget_multi = do_forget_multi,
	.getattr = do_getattr,
	.readlink = do_readlink,
	.open = do_open,
	.read = do_read,
	.opendir = do_open,
	.readdir = do_readdir,
	.readdirplus = do_readdirplus,
	.statfs = do_statfs,
};

/* The kernel has unmounted, or aborts the connection. */
static void stop_serving(struct vfs_lower *l, int code)
{
	(void)uv_poll_stop(&l->poll);
	log_debug("%s: no more requests: %s", l->at, strerror(-code));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct vfs_lower *l = container_of(poll, struct vfs_lower, poll);

	(void)status;
	(void)events;
	for (int i = 0; i < REQUESTS_A_TURN; i++) {
		int n = fuse_session_receive_buf(l->session, &l->buf);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			stop_serving(l, n < 0 ? n : -ENODEV);
			return;
		}
		fuse_session_process_buf(l->session, &l->buf);
		end_interrupted(l);
		tell_changes(l);
	}
}

static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[ERR_MSG_MAX];

	(void)level;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
}

int vfs_fuse_open(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int mount_fuse(int fuse, const char *at, struct err *e)
{
	char options[160];
	int r;

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,"
		 "default_permissions",
		 fuse);
	if (mount("hibernacle", at, "fuse.hib",
		  MS_RDONLY | MS_NOSUID | MS_NODEV, options) == 0)
		return 0;
	r = -errno;
	return err_set(e, r, "mount FUSE on %s: %s", at, strerror(-r));
}

/* From here on the session owns the descriptor. */
static int make_session(struct vfs_lower *l, int *fuse, struct err *e)
{
	char name[] = "hib", path[sizeof("/dev/fd/-2147483648")];
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	fuse_set_log_func(log_fuse);
	l->session = fuse_session_new(&args, &ops, sizeof(ops), l);
	fuse_opt_free_args(&args);
	if (l->session == NULL)
		return err_set(e, -ENOMEM, "FUSE: no session");
	snprintf(path, sizeof(path), "/dev/fd/%d", *fuse);
	if (fuse_session_mount(l->session, path) < 0)
		return err_set(e, -EIO, "FUSE: no session on a descriptor");
	(void)take_fd(fuse);
	return 0;
}

static int start_polling(struct vfs_lower *l, struct err *e)
{
	int fd = fuse_session_fd(l->session), r;

	r = uv_poll_init(l->loop, &l->poll, fd);
	if (r < 0)
		return err_set(e, r, "FUSE: %s", uv_strerror(r));
	l->open++;
	r = uv_poll_start(&l->poll, UV_READABLE, on_readable);
	return r < 0 ? err_set(e, r, "FUSE: %s", uv_strerror(r)) : 0;
}

/* What needs no handle. */
static int prepare(struct vfs_lower *l, const char *at, int *fuse,
		   struct err *e)
{
	int r = 0;

	l->at = strdup(at);
	if (l->at == NULL)
		return err_set(e, -ENOMEM, "FUSE: out of memory");
	if (l->spec.cache != NULL)
		r = objcache_open(l->spec.cache, l->spec.cache_bytes, &l->cache,
				  e);
	return r < 0 ? r : make_session(l, fuse, e);
}

static void free_lower(struct vfs_lower *l)
{
	if (l->session != NULL)
		fuse_session_destroy(l->session);
	dirs_done(&l->dirs);
	nodes_done(&l->nodes);
	objcache_close(l->cache);
	free(l->buf.mem);
	free(l->at);
	free(l);
}

static void part_closed(void *arg)
{
	struct vfs_lower *l = arg;
	void (*closed)(void *arg) = l->closed;
	void *closed_arg = l->arg;

	if (--l->open > 0)
		return;
	free_lower(l);
	if (closed != NULL)
		closed(closed_arg);
}

static void on_poll_closed(uv_handle_t *poll)
{
	part_closed(container_of((uv_poll_t *)poll, struct vfs_lower, poll));
}

static void close_parts(struct vfs_lower *l)
{
	if (uv_is_active((const uv_handle_t *)&l->poll))
		(void)uv_poll_stop(&l->poll);
	if (l->poll.loop != NULL)
		uv_close((uv_handle_t *)&l->poll, on_poll_closed);
	fetch_close(&l->fetch, part_closed, l);
	blobs_close(&l->blobs, part_closed, l);
}

static int start(struct vfs_lower *l, struct err *e)
{
	int r = mount_fuse(fuse_session_fd(l->session), l->at, e);

	if (r < 0)
		return r;
	r = start_polling(l, e);
	if (r < 0)
		(void)umount2(l->at, MNT_DETACH);
	return r;
}

int vfs_lower_open(uv_loop_t *loop, int fuse, const char *at,
		   const struct vfs_lower_spec *spec, struct vfs_lower **out,
		   struct err *e)
{
	struct vfs_lower *l = calloc(1, sizeof(*l));
	autoclose int fd = fuse;
	int r;

	if (l == NULL)
		return err_set(e, -ENOMEM, "FUSE: out of memory");
	l->loop = loop;
	l->spec = *spec;
	TAILQ_INIT(&l->interrupted);
	nodes_init(&l->nodes);
	dirs_init(&l->dirs, &l->fetch);
	r = fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	r = r < 0 ? err_set(e, r, "FUSE: %s", strerror(-r))
		  : prepare(l, at, &fd, e);
	if (r < 0) {
		free_lower(l);
		return r;
	}
	(void)fetch_init(&l->fetch, loop, spec);
	blobs_init(&l->blobs, loop, &l->fetch, l->cache);
	l->open = 2;
	r = start(l, e);
	if (r < 0) {
		close_parts(l);
		return r;
	}
	*out = l;
	return 0;
}

void vfs_lower_close(struct vfs_lower *l, void (*closed)(void *arg), void *arg)
{
	l->closed = closed;
	l->arg = arg;
	(void)umount2(l->at, MNT_DETACH);
	close_parts(l);
}

void vfs_lower_stats(const struct vfs_lower *l, struct vfs_lower_stats *out)
{
	*out = (struct vfs_lower_stats){
		.trees = l->fetch.trees,
		.blobs = l->fetch.blobs,
		.cache_hits = l->blobs.hits,
		.nodes = l->nodes.table.n,
		.dirs = l->dirs.n,
		.dirs_bytes = l->dirs.bytes,
	};
}
