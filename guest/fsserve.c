// SPDX-License-Identifier: Apache-2.0
/*
 * fsserve.c - The files of the workspace, as the host asks for them
 *
 *	GATHERING --line, or all of it--> WORKING --> ANSWERED
 *
 * A request has at most one piece of work at a time with the pool.  `write` has
 * its first one when the line is there: the file is opened, then each piece of
 * content is written, and the window of the stream opens by as much; when it has
 * failed, the rest is thrown away.  `read` opens, and then reads piece by piece
 * as the channel takes them.
 *
 * When the stream ends too early the request goes as soon as its work is done;
 * what it holds open is closed by the pool, too, since that may wait as well.
 */
#include "guest/fsserve.h"

#include <fcntl.h>
#include <string.h>

#include "guest/call.h"
#include "guest/fsat.h"
#include "guest/fspool.h"
#include "guest/fswatch.h"
#include "guest/fswrite.h"
#include "guest/limits.h"
#include "vfs/path.h"

enum kind { KIND_OP, KIND_READ, KIND_WRITE, KIND_WATCH };

struct fsserve {
	struct fsserve_spec spec;
	struct fspool *pool;
	struct fstree tree;
	struct fswatches *watches;
	unsigned n; /* Requests. */
	bool closing;
};

struct fsreq {
	struct fsserve *all;
	struct h2_stream *stream; /* NULL: nobody waits for the answer. */
	enum kind kind;
	const struct fsop *op;
	struct fswork work;
	void (*next)(struct fsreq *q); /* When the work is done. */
	bool busy;		       /* It is with the pool. */
	bool fin;		       /* The whole body is there. */
	bool answered;

	struct jw body; /* What came and is not dealt with. */
	struct jw line; /* Params. */
	struct json json;
	struct fscall call;
	struct err err;

	struct fswrite *write;
	struct jw piece; /* Being written. */
	int fd;		 /* Being read. */
	char *buf;
	ssize_t got;
	int64_t left;
};

/*
 * Life.
 */

static void req_free(struct fsreq *q)
{
	q->all->n--;
	jw_done(&q->body);
	jw_done(&q->line);
	jw_done(&q->piece);
	jw_done(&q->call.out);
	json_done(&q->json);
	free(q->buf);
	free(q);
}

static void close_files(struct fsreq *q)
{
	fswrite_free(take_ptr(q->write));
	close_fd(&q->fd);
	q->fd = -1;
	close_fd(&q->call.root);
	q->call.root = -1;
}

static void closing_run(struct fswork *w)
{
	close_files(container_of(w, struct fsreq, work));
}

static void closing_done(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);

	close_files(q); /* If the pool was closed before it ran. */
	req_free(q);
}

/* It has been answered, or never will be. */
static void req_end(struct fsreq *q)
{
	if (q->busy || q->stream != NULL)
		return;
	if (q->all->closing) {
		close_files(q);
		req_free(q);
		return;
	}
	q->busy = true;
	q->work.run = closing_run;
	q->work.done = closing_done;
	fspool_submit(q->all->pool, &q->work);
}

static void req_on_done(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);

	q->busy = false;
	if (q->kind == KIND_WRITE || (q->op != NULL && q->op->changes))
		q->all->spec.touched(q->all->spec.arg);
	if (q->stream == NULL)
		req_end(q);
	else
		q->next(q);
}

static void req_work(struct fsreq *q, void (*run)(struct fswork *w),
		     void (*next)(struct fsreq *q))
{
	q->busy = true;
	q->work.run = run;
	q->work.done = req_on_done;
	q->next = next;
	fspool_submit(q->all->pool, &q->work);
}

static void req_fail(struct fsreq *q)
{
	q->answered = true;
	stream_fail(q->stream, &q->err);
}

/* The result of a call. */
static void req_reply(struct fsreq *q)
{
	if (q->call.out.failed)
		err_set(&q->err, -ENOMEM, "answer: out of memory");
	if (q->err.code < 0) {
		req_fail(q);
		return;
	}
	q->answered = true;
	h2_reply(q->stream, 200, q->call.out.buf, q->call.out.len);
}

/* In a thread. */
static int open_root(struct fsreq *q)
{
	q->call.root = fsat_root(q->all->tree.root, &q->err);
	return q->call.root;
}

/*
 * Operations that take and make one object.
 */

static void op_run(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);
	int r = open_root(q);

	if (r >= 0)
		r = q->op->run(&q->call, &q->err);
	if (r >= 0)
		q->err.code = 0;
}

/*
 * Read.
 */

static int64_t number(struct jv in, const char *key, int64_t otherwise,
		      struct err *e)
{
	struct jv v = jv_get(in, key);
	int64_t n = jv_int(v, -1);

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return otherwise;
	if (n < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no number of 0 or more", key);
	return n;
}

/* Of a file of @size bytes; sets q->left. */
static int seek_range(struct fsreq *q, int64_t size)
{
	int64_t offset = number(q->call.in, "offset", 0, &q->err);
	int64_t length = number(q->call.in, "length", INT64_MAX, &q->err);

	if (offset < 0 || length < 0)
		return q->err.code;
	if (offset > size)
		offset = size;
	q->left = length < size - offset ? length : size - offset;
	if (lseek(q->fd, offset, SEEK_SET) < 0)
		return err_set(&q->err, -errno, "seek: %s", strerror(errno));
	return 0;
}

static void put_read_head(struct fsreq *q, const char *path,
			  const struct stat *st)
{
	struct jw *w = &q->call.out;

	fsentry_put(w, path, st, q->fd, "", false);
	if (w->failed)
		return;
	w->buf[--w->len] = '\0'; /* Open the object again. */
	w->comma = true;
	jw_kint(w, "length", q->left);
	jw_obj_end(w);
	jw_lit(w, "\n", 1);
}

static void read_open_run(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);
	struct vfs_path path;
	struct stat st;

	if (open_root(q) < 0 ||
	    vfs_path_get(&path, q->call.in, "path", &q->err) < 0)
		return;
	q->fd = fsat_file(q->call.root, path.text, O_RDONLY, &st, &q->err);
	if (q->fd < 0 || seek_range(q, st.st_size) < 0)
		return;
	q->buf = malloc(FS_CHUNK);
	if (q->buf == NULL)
		err_set(&q->err, -ENOMEM, "read: out of memory");
	put_read_head(q, path.text, &st);
}

static void read_run(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);
	size_t n = q->left < FS_CHUNK ? (size_t)q->left : FS_CHUNK;

	do {
		q->got = read(q->fd, q->buf, n);
	} while (q->got < 0 && errno == EINTR);
}

static void read_on_piece(struct fsreq *q);

/* The next piece, unless the last ones are still on their way. */
static void read_more(struct fsreq *q)
{
	if (q->busy || q->answered || h2_queued(q->stream) >= FS_SEND_MAX)
		return;
	if (q->left > 0) {
		req_work(q, read_run, read_on_piece);
		return;
	}
	q->answered = true;
	h2_fin(q->stream);
}

static void read_on_piece(struct fsreq *q)
{
	if (q->got <= 0) { /* Shorter than it was told, or broken. */
		h2_reset(q->stream);
		return;
	}
	q->left -= q->got;
	if (h2_write(q->stream, q->buf, (size_t)q->got) < 0)
		h2_reset(q->stream);
	else
		read_more(q);
}

static void read_on_open(struct fsreq *q)
{
	if (q->call.out.failed)
		err_set(&q->err, -ENOMEM, "read: out of memory");
	if (q->err.code < 0) {
		req_fail(q);
		return;
	}
	h2_respond(q->stream, 200);
	if (h2_write(q->stream, q->call.out.buf, q->call.out.len) < 0)
		h2_reset(q->stream);
	else
		read_more(q);
}

/*
 * Write.
 */

static void write_open_run(struct fswork *work)
{
	struct fsreq *q = container_of(work, struct fsreq, work);
	struct fswrite_spec spec = {0};
	struct jv in = q->call.in;
	struct vfs_path path;

	if (open_root(q) < 0 || vfs_path_get(&path, in, "path", &q->err) < 0 ||
	    fsexpect_read(&spec.expect, in, &q->err) < 0)
		return;
	spec.path = path.text;
	spec.append = jv_bool(jv_get(in, "append"), false);
	spec.over = jv_bool(jv_get(in, "over"), false);
	spec.offset = number(in, "offset", -1, &q->err);
	spec.mode = fsentry_mode(jv_get(in, "mode"), -1, &q->err);
	if (q->err.code == 0 && path.folder)
		err_set(&q->err, -FAULT_INVALID_ARGUMENT,
			"/%.*s: a file's name does not end in a slash",
			ERR_MSG_MAX / 2, path.text);
	if (q->err.code == 0)
		(void)fswrite_begin(&q->all->tree, q->call.root, &spec,
				    &q->write, &q->err);
}

static void write_run(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);

	(void)fswrite_feed(q->write, q->piece.buf, q->piece.len, &q->err);
}

static void commit_run(struct fswork *w)
{
	struct fsreq *q = container_of(w, struct fsreq, work);

	(void)fswrite_commit(q->write, &q->call.out, &q->err);
}

/* What came next, or the end; or the failure, and what still comes is thrown
 * away. */
static void write_next(struct fsreq *q)
{
	h2_consume(q->stream, q->piece.len);
	jw_reset(&q->piece);
	if (q->body.failed)
		err_set(&q->err, -ENOMEM, "write: out of memory");
	if (q->err.code < 0) {
		h2_consume(q->stream, q->body.len);
		jw_reset(&q->body);
		req_fail(q);
	} else if (q->body.len > 0) {
		struct jw empty = q->piece;

		q->piece = q->body;
		q->body = empty;
		req_work(q, write_run, write_next);
	} else if (q->fin) {
		req_work(q, commit_run, req_reply);
	}
}

/*
 * The request.
 */

static void req_start(struct fsreq *q)
{
	if (q->err.code == 0 &&
	    json_parse(&q->json, q->line.buf ? q->line.buf : "", q->line.len,
		       &q->err) == 0 &&
	    !jv_is(json_root(&q->json), JV_OBJECT))
		err_set(&q->err, -FAULT_INVALID_ARGUMENT,
			"params are no object");
	if (q->err.code < 0) {
		req_fail(q);
		return;
	}
	q->call.in = json_root(&q->json);
	switch (q->kind) {
	case KIND_OP:
		req_work(q, op_run, req_reply);
		break;
	case KIND_READ:
		req_work(q, read_open_run, read_on_open);
		break;
	case KIND_WRITE:
		req_work(q, write_open_run, write_next);
		break;
	case KIND_WATCH: /* The stream is its own from here on. */
		fswatch_start(q->all->watches, take_ptr(q->stream), q->call.in);
		req_end(q);
		break;
	}
}

static void too_large(struct fsreq *q)
{
	err_set(&q->err, -FAULT_MESSAGE_TOO_LARGE,
		"params have more than %u bytes",
		q->kind == KIND_WRITE ? FS_LINE_MAX : FS_PARAMS_MAX);
	req_start(q);
}

/* Of a write: the line may be there. */
static void split_line(struct fsreq *q)
{
	const char *nl = memchr(q->body.buf, '\n', q->body.len);
	size_t n = nl != NULL ? (size_t)(nl - q->body.buf) : 0;

	if (nl == NULL) {
		if (q->body.len > FS_LINE_MAX)
			too_large(q);
		return;
	}
	h2_consume(q->stream, n + 1);
	jw_lit(&q->line, q->body.buf, n);
	memmove(q->body.buf, nl + 1, q->body.len - n - 1);
	q->body.len -= n + 1;
	req_start(q);
}

static void req_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct fsreq *q = arg;
	bool started = q->line.len > 0;

	if (q->answered) {
		h2_consume(s, n);
		return;
	}
	jw_lit(&q->body, data, n);
	if (q->kind != KIND_WRITE)
		h2_consume(s, n);
	if (!started && (q->body.failed || q->body.len > FS_PARAMS_MAX))
		too_large(q);
	else if (q->kind == KIND_WRITE && !started)
		split_line(q);
	else if (q->kind == KIND_WRITE && !q->busy)
		write_next(q);
}

static void req_on_fin(struct h2_stream *s, void *arg)
{
	struct fsreq *q = arg;

	(void)s;
	q->fin = true;
	if (q->answered || q->busy)
		return;
	if (q->line.len > 0) {
		write_next(q);
		return;
	}
	q->line = q->body;
	q->body = (struct jw){0};
	req_start(q);
}

static void req_on_drained(struct h2_stream *s, void *arg)
{
	struct fsreq *q = arg;

	(void)s;
	if (q->kind == KIND_READ)
		read_more(q);
}

static void req_on_end(struct h2_stream *s, int r, void *arg)
{
	struct fsreq *q = arg;

	(void)s;
	(void)r;
	q->stream = NULL;
	atomic_store(&q->call.gone, true);
	req_end(q);
}

static const struct h2_stream_events req_events = {
	.data = req_on_data,
	.fin = req_on_fin,
	.drained = req_on_drained,
	.end = req_on_end,
};

static int find_kind(struct fsreq *q, const char *name)
{
	q->op = fsops_find(name);
	if (strcmp(name, "read") == 0)
		q->kind = KIND_READ;
	else if (strcmp(name, "write") == 0)
		q->kind = KIND_WRITE;
	else if (strcmp(name, "watch") == 0)
		q->kind = KIND_WATCH;
	else if (q->op == NULL)
		return err_set(&q->err, -FAULT_METHOD_UNKNOWN,
			       "there is no '%.32s' of files", name);
	return 0;
}

bool fsserve_writes(const char *name)
{
	const struct fsop *op = fsops_find(name);

	return strcmp(name, "write") == 0 || (op != NULL && op->changes);
}

void fsserve_request(struct fsserve *f, struct h2_stream *s, const char *name)
{
	struct fsreq *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return; /* Refused, as no events are set. */
	q->all = f;
	q->stream = s;
	q->fd = q->call.root = -1;
	q->call.tree = &f->tree;
	f->n++;
	h2_stream_set(s, &req_events, q);
	if (find_kind(q, name) == 0 && f->n > FS_OPS_MAX)
		err_set(&q->err, -FAULT_OVERLOADED,
			"%u file operations are under way", FS_OPS_MAX);
	if (q->err.code < 0)
		req_fail(q);
}

/*
 * All of them.
 */

int fsserve_open(const struct fsserve_spec *spec, struct fsserve **out)
{
	struct fsserve *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL)
		return -ENOMEM;
	f->spec = *spec;
	f->tree.root = spec->root;
	f->tree.passing = spec->passing;
	pthread_mutex_init(&f->tree.lock, NULL);
	r = fspool_open(spec->loop, spec->as_agent, &f->pool);
	if (r == 0)
		r = fswatches_open(spec->loop, f->pool, &f->tree, &f->watches);
	if (r < 0)
		fsserve_close(f);
	else
		*out = f;
	return r;
}

struct fspool *fsserve_pool(struct fsserve *f)
{
	return f->pool;
}

struct fstree *fsserve_tree(struct fsserve *f)
{
	return &f->tree;
}

void fsserve_close(struct fsserve *f)
{
	if (f == NULL)
		return;
	f->closing = true;
	fswatches_close(f->watches);
	fspool_close(f->pool);
	pthread_mutex_destroy(&f->tree.lock);
	free(f);
}
