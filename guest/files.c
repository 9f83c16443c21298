// SPDX-License-Identifier: Apache-2.0
/*
 * files.c - Files that one session's agent has read and written for it
 *
 *	WAITING --room--> working --exit--> answered
 *
 * What is read is gathered until the program has ended, since only its exit code
 * says whether it is whole.  One that takes longer than FILE_OP_MS, held up by a
 * file system that does not answer, is killed.
 *
 * A program that is killed while it writes may leave a file under its passing
 * name, which stays written down for the next boot.
 */
#include "guest/files.h"

#include <stdio.h>
#include <string.h>

#include "core/rpc.h"
#include "guest/fsop.h"
#include "guest/limits.h"
#include "guest/text.h"
#include "vfs/passing.h"

struct file_op {
	TAILQ_ENTRY(file_op) link;
	struct files *all;
	struct file_place place;
	bool write;
	char *id; /* Of the request. */
	char *path;
	char *text; /* To be written, or what was read. */
	size_t len, cap;
	char temp[VFS_PASSING_MAX]; /* To be written. */
	char first[24], count[24];  /* Lines to be read. */
	struct proc *proc;	    /* NULL: it waits, or has ended. */
	bool too_large, too_long;
	uv_timer_t timer;
};

/*
 * The end.
 */

static void op_on_closed(uv_handle_t *h)
{
	struct file_op *op = container_of(h, struct file_op, timer);

	free(op->id);
	free(op->path);
	free(op->text);
	free(op);
}

/* It is in no list any more. */
static void op_free(struct file_op *op)
{
	if (op->proc != NULL)
		proc_abandon(op->proc);
	uv_close((uv_handle_t *)&op->timer, op_on_closed);
}

static void refuse(const struct file_op *op, int code, const char *why)
{
	const struct reply_to *to = op->all->to;
	char text[ERR_MSG_MAX];

	snprintf(text, sizeof(text), "%.*s: %s", ERR_MSG_MAX / 2, op->path,
		 why);
	to->refuse(op->id, code, text, to->arg);
}

static void answer_text(const struct file_op *op)
{
	const struct reply_to *to = op->all->to;
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "content");
	jw_strn(&w, op->text, op->len);
	jw_obj_end(&w);
	if (w.failed)
		refuse(op, RPC_INTERNAL, "out of memory");
	else if (w.len > FILE_RESULT_MAX)
		refuse(op, RPC_INTERNAL, "too large as JSON; read it by lines");
	else
		to->result(op->id, w.buf, to->arg);
}

static void fail_op(const struct file_op *op, int code)
{
	char why[96];

	snprintf(why, sizeof(why), "larger than %u bytes; read it by lines",
		 FILE_BYTES_MAX);
	if (code == EFBIG && !op->write)
		refuse(op, RPC_INTERNAL, why);
	else if (code == ENOENT || code == ENOTDIR)
		refuse(op, ACP_RESOURCE_NOT_FOUND, strerror(code));
	else
		refuse(op, RPC_INTERNAL, strerror(code));
}

static void answer(struct file_op *op, const struct proc_end *end)
{
	const struct reply_to *to = op->all->to;

	if (op->too_long)
		refuse(op, RPC_INTERNAL, "the file system does not answer");
	else if (op->too_large)
		fail_op(op, EFBIG);
	else if (end->failed != PROC_STEP_NONE)
		refuse(op, RPC_INTERNAL, end->err.msg);
	else if (end->signal != 0)
		refuse(op, RPC_INTERNAL, "killed");
	else if (end->code == ENOENT && op->place.missing_empty && !op->write)
		to->result(op->id, "{\"content\":\"\"}", to->arg);
	else if (end->code != 0)
		fail_op(op, end->code);
	else if (op->write)
		to->result(op->id, "{}", to->arg);
	else
		answer_text(op);
}

/*
 * At work.
 */

static void op_on_timer(uv_timer_t *t)
{
	struct file_op *op = container_of(t, struct file_op, timer);

	op->too_long = true;
	proc_kill_all(op->proc);
}

static void op_on_bytes(struct proc *p, char *data, size_t n, void *arg)
{
	struct file_op *op = arg;
	size_t cap = op->cap > 0 ? op->cap : 4096;
	char *grown;

	(void)p;
	if (op->too_large || n > FILE_BYTES_MAX - op->len) {
		op->too_large = true;
		return;
	}
	while (cap - op->len < n)
		cap *= 2;
	grown = cap == op->cap ? op->text : realloc(op->text, cap);
	if (grown == NULL) {
		op->too_large = true;
		return;
	}
	op->text = grown;
	op->cap = cap;
	memcpy(op->text + op->len, data, n);
	op->len += n;
}

static void start_waiting(struct files *f);

static void op_on_exit(struct proc *p, const struct proc_end *end, void *arg)
{
	struct file_op *op = arg;
	struct files *f = op->all;

	(void)p;
	op->proc = NULL;
	if (op->write && end->signal == 0)
		vfs_passing_drop(f->passing, op->temp);
	TAILQ_REMOVE(&f->working, op, link);
	f->n_working--;
	answer(op, end);
	op_free(op);
	start_waiting(f);
}

static const struct proc_events op_events = {
	.bytes = op_on_bytes,
	.exit = op_on_exit,
};

/* The program is our own, whatever the session has at any path. */
static int op_start(struct file_op *op, struct err *e)
{
	const char *read_argv[] = {"/proc/self/exe", FSOP_READ, op->path,
				   op->first,	     op->count, NULL};
	const char *write_argv[] = {"/proc/self/exe", FSOP_WRITE, op->path,
				    op->temp, NULL};
	const struct proc_spec spec = {
		.argv = op->write ? write_argv : read_argv,
		.cwd = "/",
		.isolate = op->place.isolate,
		.join = op->place.join,
		.want_stdin = op->write,
		.out = op->write ? PROC_STDOUT_NONE : PROC_STDOUT_BYTES,
	};
	struct files *f = op->all;
	int r;

	if (op->write && vfs_passing_take(f->passing, op->path, op->temp) < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	r = proc_spawn(f->loop, &spec, &op_events, op, &op->proc, e);
	if (r < 0 && op->write)
		vfs_passing_drop(f->passing, op->temp);
	if (r < 0)
		return r;
	if (op->write) {
		(void)proc_write(op->proc, op->text, op->len);
		proc_close_stdin(op->proc);
		free(take_ptr(op->text));
	}
	uv_timer_start(&op->timer, op_on_timer, FILE_OP_MS, 0);
	TAILQ_INSERT_TAIL(&f->working, op, link);
	f->n_working++;
	return 0;
}

static void start_waiting(struct files *f)
{
	struct file_op *op;
	struct err e = {0};

	while (f->n_working < FILE_OPS_MAX &&
	       (op = TAILQ_FIRST(&f->waiting)) != NULL) {
		TAILQ_REMOVE(&f->waiting, op, link);
		f->n_waiting--;
		f->bytes -= op->len;
		if (op_start(op, &e) == 0)
			continue;
		refuse(op, RPC_INTERNAL, e.msg);
		op_free(op);
	}
}

/*
 * The beginning.
 */

static int op_new(struct files *f, const struct file_place *place,
		  const char *id, struct jv params, struct file_op **out,
		  struct err *e)
{
	autofree char *path = NULL;
	struct file_op *op;

	if (text_take(jv_get(params, "path"), "path", &path, e) < 0)
		return e->code;
	if (path[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "path '%.128s' is not absolute", path);
	op = calloc(1, sizeof(*op));
	if (op != NULL)
		op->id = strdup(id);
	if (op == NULL || op->id == NULL) {
		free(op);
		return err_set(e, -ENOMEM, "file: out of memory");
	}
	op->all = f;
	op->place = *place;
	op->path = take_ptr(path);
	uv_timer_init(f->loop, &op->timer);
	*out = op;
	return 0;
}

/* Start it, or let it wait.  It is taken over. */
static int op_begin(struct file_op *op, struct err *e)
{
	struct files *f = op->all;
	int r = 0;

	if (f->n_working < FILE_OPS_MAX) {
		r = op_start(op, e);
	} else if (f->n_waiting == FILE_QUEUE_MAX ||
		   f->bytes + op->len > FILE_QUEUE_BYTES) {
		r = err_set(e, -FAULT_OVERLOADED, "%u files wait already",
			    f->n_working + f->n_waiting);
	} else {
		TAILQ_INSERT_TAIL(&f->waiting, op, link);
		f->n_waiting++;
		f->bytes += op->len;
	}
	if (r < 0)
		op_free(op);
	return r;
}

/* As the protocol asks, a number that is none counts as absent. */
static void put_range(struct file_op *op, struct jv params)
{
	int64_t first = jv_int(jv_get(params, "line"), 1);
	int64_t count = jv_int(jv_get(params, "limit"), -1);

	snprintf(op->first, sizeof(op->first), "%lld",
		 (long long)(first > 0 ? first : 1));
	snprintf(op->count, sizeof(op->count), "%lld",
		 (long long)(count >= 0 ? count : -1));
}

int files_read_text(struct files *f, const struct file_place *place,
		    const char *id, struct jv params, struct err *e)
{
	struct file_op *op;
	int r = op_new(f, place, id, params, &op, e);

	if (r < 0)
		return r;
	put_range(op, params);
	return op_begin(op, e);
}

static int take_content(struct file_op *op, struct jv params, struct err *e)
{
	struct jv content = jv_get(params, "content");

	if (!jv_is(content, JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content is no string");
	op->text = jv_strdup(content, &op->len);
	if (op->text == NULL)
		return err_set(e, -ENOMEM, "file: out of memory");
	if (op->len > FILE_BYTES_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "content has more than %u bytes",
			       FILE_BYTES_MAX);
	return 0;
}

int files_write_text(struct files *f, const struct file_place *place,
		     const char *id, struct jv params, struct err *e)
{
	struct file_op *op;
	int r = op_new(f, place, id, params, &op, e);

	if (r < 0)
		return r;
	op->write = true;
	r = take_content(op, params, e);
	if (r < 0) {
		op_free(op);
		return r;
	}
	return op_begin(op, e);
}

void files_init(struct files *f, uv_loop_t *loop, const struct reply_to *to,
		int passing)
{
	*f = (struct files){.loop = loop, .to = to, .passing = passing};
	TAILQ_INIT(&f->working);
	TAILQ_INIT(&f->waiting);
}

static void free_list(struct file_op_list *l)
{
	struct file_op *op;

	while ((op = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, op, link);
		op_free(op);
	}
}

void files_done(struct files *f)
{
	free_list(&f->working);
	free_list(&f->waiting);
	f->n_working = f->n_waiting = 0;
	f->bytes = 0;
}
