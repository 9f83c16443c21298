// SPDX-License-Identifier: Apache-2.0
/*
 * lower_ops.c - What the kernel asks of the committed files
 *
 * A request that can be answered from memory is; another becomes an op that waits
 * for a directory or for bytes, of which there may be any number.
 *
 * The kernel interrupts a request when its thread gets any signal, but once only,
 * and few programs expect EINTR of a stat(2).  So an interrupted op waits on,
 * and is looked after: it ends with EINTR as soon as its thread is being killed,
 * and nobody has to wait for a source that is away in order to die.
 *
 * open(2) and opendir(2) are answered with ENOSYS, once: from then on the kernel
 * opens files by itself and keeps what it knows of all of them
 * (FUSE_NO_OPEN_SUPPORT in <linux/fuse.h>), so a cached file costs no request at
 * all.
 *
 * FUSE_PASSTHROUGH is not used: the kernel lets only root of the first user
 * namespace register the files behind it (fs/fuse/backing.c), which nobody in a
 * sandbox is.
 */
#include "vfs/lower_impl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define FOREVER	       ((double)UINT32_MAX) /* Seconds. */
#define BACKGROUND_MAX 64 /* Read-ahead requests of the kernel. */
#define COMMIT_MODE    (S_IFDIR | 0755)

/* A request that waits. */
struct op {
	struct vfs_lower *l;
	fuse_req_t req;
	uint64_t ino;
	void (*on_dir)(struct op *op, const struct dir *d); /* Or for bytes. */
	struct dir_wait dir;
	struct blob_wait blob;
	TAILQ_ENTRY(op) link; /* While interrupted. */
	bool interrupted;

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

static void free_op(struct op *op)
{
	if (op->interrupted)
		TAILQ_REMOVE(&op->l->interrupted, op, link);
	free(op);
}

/* libfuse holds the request's lock here, so that it cannot be answered yet. */
static void on_interrupt(fuse_req_t req, void *arg)
{
	struct op *op = arg;

	(void)req;
	if (op->interrupted)
		return;
	op->interrupted = true;
	TAILQ_INSERT_TAIL(&op->l->interrupted, op, link);
}

#define SIGNAL(n) (1ull << ((n)-1))

/* Signals that end nothing by default. */
#define HARMLESS                                                \
	(SIGNAL(SIGCHLD) | SIGNAL(SIGCONT) | SIGNAL(SIGURG) |   \
	 SIGNAL(SIGWINCH) | SIGNAL(SIGSTOP) | SIGNAL(SIGTSTP) | \
	 SIGNAL(SIGTTIN) | SIGNAL(SIGTTOU))

/* A fatal signal becomes a SIGKILL of each thread, but not while another signal
 * is pending (complete_signal() in kernel/signal.c): so all are looked at.  A
 * thread that we cannot see is taken to live. */
static bool is_dying(pid_t tid)
{
	enum { PENDING, SHARED, BLOCKED, IGNORED, CAUGHT, N };
	static const char *const names[N] = {
		"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"};
	unsigned long long mask[N] = {0};
	char path[32], line[128];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	status = fopen(path, "re");
	if (status == NULL)
		return false;
	while (fgets(line, sizeof(line), status) != NULL)
		for (size_t i = 0; i < N; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				mask[i] = strtoull(line + strlen(names[i]),
						   NULL, 16);
	fclose(status);
	return (mask[PENDING] | mask[SHARED]) & ~mask[BLOCKED] &
	       ~mask[IGNORED] & ~mask[CAUGHT] & ~HARMLESS;
}

static void end_killed(struct op *op)
{
	if (op->on_dir != NULL)
		dirs_cancel(&op->dir);
	else
		blobs_cancel(&op->blob);
	(void)fuse_reply_err(op->req, EINTR);
	free_op(op);
}

static void on_look(uv_timer_t *look)
{
	lower_end_killed(container_of(look, struct vfs_lower, look));
}

void lower_end_killed(struct vfs_lower *l)
{
	struct op *next, *op = TAILQ_FIRST(&l->interrupted);

	for (; op != NULL; op = next) {
		next = TAILQ_NEXT(op, link);
		if (is_dying(fuse_req_ctx(op->req)->pid))
			end_killed(op);
	}
	if (!TAILQ_EMPTY(&l->interrupted))
		(void)uv_timer_start(&l->look, on_look, LOWER_LOOK_MS, 0);
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
		free_op(op);
		return;
	}
	fuse_req_interrupt_func(op->req, on_interrupt, op);
}

void lower_tell_changes(struct vfs_lower *l)
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
	free_op(op);
	lower_tell_changes(l);
}

/* Somebody wants what @node is of. */
static void note(struct vfs_lower *l, const struct node *node,
		 enum ahead_kind kind, bool waits)
{
	const struct node *parent = nodes_find(&l->nodes, node->parent);
	struct ahead_place place = {.at = node->at, .kind = kind};

	if (parent == NULL)
		return;
	place.folder = parent->oid;
	ahead_note(&l->ahead, &place, waits);
}

/* Have @answer called with the directory, now or later; @op is freed then. */
static void with_dir(struct op *op, const struct vfs_oid *oid,
		     void (*answer)(struct op *op, const struct dir *d))
{
	const struct dir *d = dirs_find(&op->l->dirs, oid);

	if (d != NULL) {
		answer(op, d);
		free_op(op);
		return;
	}
	op->on_dir = answer;
	op->dir.done = on_dir;
	wait_on(op, dirs_load(&op->l->dirs, oid, &op->dir));
}

/* The same with the directory of a node. */
static void with_folder(struct op *op, const struct node *node,
			void (*answer)(struct op *op, const struct dir *d))
{
	struct vfs_lower *l = op->l;

	with_dir(op, &node->oid, answer);
	note(l, node, AHEAD_FOLDERS, dirs_peek(&l->dirs, &node->oid) == NULL);
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

static void reply_entry(fuse_req_t req, uint64_t parent, size_t at,
			const struct vfs_entry *entry)
{
	struct vfs_lower *l = lower_of(req);
	const struct node *node = nodes_get(&l->nodes, parent, at, entry);
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
	size_t at;

	if (!dir_lookup(d, op->name, &at)) {
		(void)fuse_reply_entry(op->req, &nothing);
		return;
	}
	dir_entry(d, at, &entry);
	reply_entry(op->req, op->ino, at, &entry);
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
	reply_entry(op->req, NODES_ROOT, 0, &entry);
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
	with_folder(op, node, answer_lookup);
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

/* The same for entry @at with all that a lookup would tell, which counts as
 * one. */
static bool add_entry_plus(struct reply_dir *r, const struct vfs_entry *entry,
			   size_t at)
{
	struct vfs_lower *l = r->op->l;
	size_t room = r->op->size - r->used, n;
	struct fuse_entry_param e;
	const struct node *node;

	n = fuse_add_direntry_plus(r->op->req, NULL, 0, entry->name, NULL, 0);
	if (n > room)
		return false;
	node = nodes_get(&l->nodes, r->op->ino, at, entry);
	if (node == NULL)
		return false;
	fill_entry(l, node, &e);
	r->used += fuse_add_direntry_plus(r->op->req, r->buf + r->used, room,
					  entry->name, &e, (off_t)at + 3);
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
		dir_entry(d, i, &entry);
		fits = op->plus ? add_entry_plus(r, &entry, i)
				: add_entry(r, entry.name,
					    nodes_number(op->ino, entry.name,
							 entry.name_len),
					    entry.mode, (off_t)i + 3);
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
		with_folder(op, node, answer_readdir);
		return;
	}
	answer_readdir(op, NULL);
	free_op(op);
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
	free_op(op);
}

static void start_read(struct op *op, const struct node *node, uint64_t off,
		       size_t len)
{
	const struct blob_key key = {.oid = node->oid, .size = node->size};
	struct vfs_lower *l = op->l;
	const char *data;
	int r;

	op->blob.done = on_bytes;
	r = blobs_read(&l->blobs, &key, off, len, &op->blob, &data);
	if (r > 0) {
		reply_bytes(op, data, len);
		free_op(op);
	} else {
		wait_on(op, r);
	}
	if (off == 0)
		note(l, node, AHEAD_FILES, r == 0);
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

/* --- the table --- */

static void do_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX;
}

const struct fuse_lowlevel_ops lower_ops = {
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
