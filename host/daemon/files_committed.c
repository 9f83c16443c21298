// SPDX-License-Identifier: Apache-2.0
/*
 * files_committed.c - Files of a commit, from the VM's repository
 *
 * All reading is on threads of the pool, one piece of work after the other: the
 * first one finds the commit and the file and makes the whole of an answer that
 * is JSON; a content then goes out piece by piece as the client takes it.  No VM
 * is woken and nothing is written.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host/daemon/files.h"
#include "vfs/browse.h"
#include "vfs/history.h"

struct committed {
	uv_work_t work;
	struct op *op;	    /* Until the answer has begun... */
	struct http_req *r; /* ...then this; NULL: the client is gone. */
	bool busy;
	struct files_query q;
	char git[HOME_PATH_MAX + VM_NAME_MAX + 32], db[HOME_PATH_MAX];
	struct vfs_repo *repo;
	struct vfs_oid commit;
	struct vfs_entry file; /* Whose content is sent. */
	struct jw out;
	int64_t left; /* Of a list: entries. */
	bool truncated;
	char last[VFS_PATH_MAX + 1];
	struct err err;
};

static void committed_free(struct committed *c)
{
	vfs_repo_close(c->repo);
	jw_done(&c->out);
	free(c);
}

/* --- entries ------------------------------------------------------------ */

static int take_bytes(const void *data, size_t n, void *arg)
{
	jw_lit(arg, data, n);
	return 0;
}

/* Like guest/fsentry.h has it, as far as a commit knows it. */
static int put_entry(struct committed *c, const char *path,
		     const struct vfs_entry *en)
{
	autojw struct jw target = {0};
	struct jw *w = &c->out;
	char text[VFS_OID_HEX];

	jw_obj(w);
	vfs_path_put(w, "path", path, strlen(path));
	jw_kstr(w, "type",
		S_ISDIR(en->mode)   ? "dir"
		: S_ISLNK(en->mode) ? "link"
				    : "file");
	if (!S_ISDIR(en->mode))
		jw_kint(w, "size", (int64_t)en->size);
	snprintf(text, sizeof(text), "%06o", en->mode);
	jw_kstr(w, "mode", text);
	jw_kstr(w, "etag", vfs_oid_format(&en->oid, text));
	if (S_ISLNK(en->mode) && en->size <= VFS_LINK_MAX &&
	    vfs_browse_read(c->repo, &en->oid, 0, en->size, take_bytes, &target,
			    &c->err) == 0)
		vfs_path_put(w, "target", target.buf ? target.buf : "",
			     target.len);
	jw_obj_end(w);
	return c->err.code;
}

/* --- lists -------------------------------------------------------------- */

/* The entries of one folder; their names are in one block of memory. */
struct folder {
	struct vfs_entry *v;
	size_t n, cap;
	struct jw names;
};

static int folder_add(const struct vfs_entry *en, void *arg)
{
	struct folder *f = arg;
	size_t cap = f->cap > 0 ? 2 * f->cap : 32;
	struct vfs_entry *v = f->v;

	if (f->n == f->cap) {
		v = realloc(f->v, cap * sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	v[f->n++] = *en;
	jw_lit(&f->names, en->name, en->name_len);
	jw_lit(&f->names, "", 1);
	return f->names.failed ? -ENOMEM : 0;
}

static void folder_done(struct folder *f)
{
	free(f->v);
	jw_done(&f->names);
}

static int list_folder(struct committed *c, const struct vfs_oid *oid,
		       char *path, int64_t depth);

/* Is @path behind what is to be left out; may something in it be? */
static bool is_due(const struct committed *c, const char *path, bool *enter)
{
	const char *after = c->q.after.text;
	size_t n = strlen(path);

	*enter = true;
	if (!c->q.has_after || vfs_path_cmp(path, after) > 0)
		return true;
	*enter = strncmp(path, after, n) == 0 &&
		 (after[n] == '/' || after[n] == '\0');
	return false;
}

static int list_entry(struct committed *c, const struct vfs_entry *en,
		      char *path, int64_t depth)
{
	bool enter;
	bool due = is_due(c, path, &enter);

	if (due && c->left == 0) {
		c->truncated = true;
		return 1;
	}
	if (due) {
		c->left--;
		(void)stpcpy(c->last, path);
		if (put_entry(c, path, en) < 0)
			return c->err.code;
	}
	if (enter && S_ISDIR(en->mode) && depth > 1)
		return list_folder(c, &en->oid, path, depth - 1);
	return 0;
}

/* @path: VFS_PATH_MAX + 1 bytes, as before when this returns.  Return: 0; 1: the
 * list is full; a failure. */
static int list_folder(struct committed *c, const struct vfs_oid *oid,
		       char *path, int64_t depth)
{
	struct folder f = {0};
	size_t at = strlen(path);
	const char *name;
	int r = vfs_browse_tree(c->repo, oid, folder_add, &f, &c->err);

	name = f.names.buf;
	for (size_t i = 0; r == 0 && i < f.n; i++) {
		size_t room = VFS_PATH_MAX + 1 - at;

		if (snprintf(path + at, room, "%s%s", at > 0 ? "/" : "", name) <
		    (int)room)
			r = list_entry(c, &f.v[i], path, depth);
		name += strlen(name) + 1;
		path[at] = '\0';
	}
	if (r < 0 && c->err.code == 0)
		err_set(&c->err, r, "list: %s", strerror(-r));
	folder_done(&f);
	return r;
}

static int list(struct committed *c, const struct vfs_entry *at)
{
	char path[VFS_PATH_MAX + 1];
	struct jw *w = &c->out;

	if (!S_ISDIR(at->mode))
		return err_set(&c->err, -FAULT_INVALID_ARGUMENT,
			       "/%.128s: it is no folder", c->q.path.text);
	c->left = c->q.limit;
	memcpy(path, c->q.path.text, sizeof(path));
	jw_obj(w);
	jw_key(w, "entries");
	jw_arr(w);
	if (list_folder(c, &at->oid, path, c->q.depth) < 0)
		return c->err.code;
	jw_arr_end(w);
	jw_kbool(w, "truncated", c->truncated);
	if (c->truncated)
		vfs_path_put(w, "next", c->last, strlen(c->last));
	jw_obj_end(w);
	return 0;
}

/* --- the answer, in a thread -------------------------------------------- */

static int find(struct committed *c, struct vfs_entry *at)
{
	autoreader struct reader *reader = NULL;
	int r = vfs_repo_open(c->git, true, &c->repo, &c->err);

	if (r == -FAULT_FILE_NOT_FOUND)
		return err_set(&c->err, -FAULT_SNAPSHOT_NOT_FOUND,
			       "nothing of this VM has been committed");
	if (r == 0)
		r = reader_open(c->db, &reader, &c->err);
	if (r == 0)
		r = vfs_history_resolve(c->repo, reader,
					c->q.at[0] ? c->q.at : NULL, &c->commit,
					&c->err);
	if (r == 0)
		r = vfs_browse_find(c->repo, &c->commit, c->q.path.text, at,
				    &c->err);
	return r;
}

/* Of a file of @size bytes: what of it is asked for. */
static void set_range(struct files_query *q, uint64_t size)
{
	if ((uint64_t)q->offset > size)
		q->offset = (int64_t)size;
	if ((uint64_t)q->length > size - (uint64_t)q->offset)
		q->length = (int64_t)size - q->offset;
}

static void first_work(uv_work_t *w)
{
	struct committed *c = container_of(w, struct committed, work);
	struct vfs_entry at;

	if (find(c, &at) < 0)
		return;
	if (c->q.kind == FILES_LISTING) {
		(void)list(c, &at);
		return;
	}
	if (c->q.kind == FILES_CONTENT && !S_ISREG(at.mode)) {
		err_set(&c->err, -FAULT_INVALID_ARGUMENT,
			"/%.128s: it is no regular file", c->q.path.text);
		return;
	}
	c->file = at;
	set_range(&c->q, at.size);
	(void)put_entry(c, c->q.path.text, &at);
}

static void content_work(uv_work_t *w)
{
	struct committed *c = container_of(w, struct committed, work);
	int64_t n = c->q.length < FILES_CHUNK ? c->q.length : FILES_CHUNK;

	jw_reset(&c->out);
	if (vfs_browse_read(c->repo, &c->file.oid, (uint64_t)c->q.offset,
			    (uint64_t)n, take_bytes, &c->out, &c->err) == 0 &&
	    (int64_t)c->out.len != n)
		err_set(&c->err, -FAULT_STORE_CORRUPT, "a file is too short");
	c->q.offset += n;
	c->q.length -= n;
}

/* --- the answer, on the loop -------------------------------------------- */

static void content_next(struct committed *c);

static void content_on_gone(struct http_req *r, void *arg)
{
	struct committed *c = arg;

	(void)r;
	c->r = NULL;
	if (!c->busy)
		committed_free(c);
}

static void content_on_drained(struct http_req *r, void *arg)
{
	struct committed *c = arg;

	(void)r;
	if (!c->busy)
		content_next(c);
}

static void content_on_done(uv_work_t *w, int status)
{
	struct committed *c = container_of(w, struct committed, work);

	c->busy = false;
	if (c->r == NULL) {
		committed_free(c);
		return;
	}
	if (status < 0 || c->err.code < 0 || c->out.failed) {
		http_stream_abort(c->r);
		return;
	}
	http_stream_write(c->r, c->out.buf, c->out.len);
	if (http_stream_queued(c->r) < FILES_QUEUE_MAX)
		content_next(c);
}

static void content_next(struct committed *c)
{
	struct http_req *r = c->r;

	if (c->q.length == 0) {
		http_on_end(r, NULL, NULL);
		http_stream_end(r);
		committed_free(c);
		return;
	}
	c->busy = uv_queue_work(c->work.loop, &c->work, content_work,
				content_on_done) == 0;
	if (!c->busy)
		http_stream_abort(r);
}

static void send_content(struct committed *c)
{
	struct op *op = take_ptr(c->op);

	c->r = op->r;
	op->r = NULL;
	op_reply_empty(op);
	if (c->r == NULL) {
		committed_free(c);
		return;
	}
	files_put_headers(c->r, c->out.buf);
	http_on_end(c->r, content_on_gone, c);
	http_stream_begin(c->r, 200, "application/octet-stream",
			  content_on_drained, c);
	content_next(c);
}

static void first_on_done(uv_work_t *w, int status)
{
	struct committed *c = container_of(w, struct committed, work);

	c->busy = false;
	if (status < 0)
		err_set(&c->err, status, "files: %s", uv_strerror(status));
	else if (c->err.code == 0 && c->out.failed)
		err_set(&c->err, -ENOMEM, "files: out of memory");
	if (c->err.code == 0 && c->q.kind == FILES_CONTENT) {
		send_content(c);
		return;
	}
	if (c->err.code < 0)
		op_fail(c->op, &c->err);
	else
		op_reply(c->op, c->out.buf, c->out.len);
	committed_free(c);
}

void files_committed(struct op *op, const struct files_query *q)
{
	struct committed *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL) {
		op_refuse(op, -ENOMEM, "files: out of memory");
		return;
	}
	c->op = op;
	c->q = *q;
	snprintf(c->git, sizeof(c->git), "%s/%s/workspace.git", op->d->home.vms,
		 op->vm);
	snprintf(c->db, sizeof(c->db), "%s", op->d->home.db);
	r = uv_queue_work(&op->d->loop, &c->work, first_work, first_on_done);
	if (r == 0) {
		c->busy = true;
		return;
	}
	free(c);
	op_refuse(op, r, "files: %s", uv_strerror(r));
}
