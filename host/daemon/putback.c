// SPDX-License-Identifier: Apache-2.0
/*
 * putback.c - Bring back files of a VM while it runs
 *
 *	 next step --link: read, call-----------> answer --.
 *	   ^   |----other: call-----------------> answer --|
 *	   |   '----file: stream, then piece after piece --|
 *	   '-----------------------------------------------'
 *
 * A content is read from the repository on the pool, a piece at a time, as fast
 * as the guest takes it.
 */
#include "host/daemon/putback.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "host/daemon/depot.h"
#include "host/daemon/files.h"
#include "vfs/browse.h"

struct putback {
	struct hibd *d;
	char vm[ID_MAX];
	const struct steps *steps;
	size_t at;
	putback_cb cb;
	void *arg;

	struct depot_job job; /* Reads a piece. */
	bool reading;
	struct jw piece;
	uint64_t offset;

	/* Of a file. */
	struct h2_stream *stream;
	bool complete; /* All of it is sent. */
	bool answered;
	int status;
	struct jw answer;
	struct err err;
};

static void putback_next(struct putback *p);

static const struct step *step_of(const struct putback *p)
{
	return &p->steps->v[p->at];
}

/* NULL, and the error is set, when the VM is gone. */
static struct vm *vm_of(struct putback *p)
{
	struct vm *vm = p->d->stopping ? NULL : vm_find(p->d, p->vm);

	if (vm == NULL)
		err_set(&p->err, -FAULT_GUEST_UNREACHABLE,
			"restore: the VM is gone");
	return vm;
}

/* --- the end ------------------------------------------------------------ */

static void putback_end(struct putback *p)
{
	p->cb(&p->err, p->arg);
	jw_done(&p->piece);
	jw_done(&p->answer);
	free(p);
}

/* What somebody else has removed meanwhile need be neither removed nor changed. */
static bool is_settled(const struct putback *p)
{
	enum step_kind kind = step_of(p)->kind;

	return p->err.code == -FAULT_FILE_NOT_FOUND &&
	       (kind == STEP_REMOVE || kind == STEP_MODE);
}

static void step_over(struct putback *p)
{
	if (p->err.code < 0 && !is_settled(p)) {
		putback_end(p);
		return;
	}
	p->err = (struct err){0};
	p->at++;
	putback_next(p);
}

/* --- contents ----------------------------------------------------------- */

static int take_bytes(const void *data, size_t n, void *arg)
{
	jw_lit(arg, data, n);
	return 0;
}

static int piece_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct putback *p = container_of(j, struct putback, job);

	jw_reset(&p->piece);
	return vfs_browse_read(repo, &step_of(p)->oid, p->offset, FILES_CHUNK,
			       take_bytes, &p->piece, e);
}

/* Have the next piece read, for @done. */
static bool read_piece(struct putback *p,
		       void (*done)(struct depot_job *, const struct err *))
{
	struct vm *vm = vm_of(p);

	if (vm == NULL)
		return false;
	p->job.work = piece_work;
	p->job.done = done;
	p->reading = true;
	depot_read(vm_depot(vm), &p->job);
	return true;
}

static void piece_read(struct putback *p, const struct err *e)
{
	p->reading = false;
	if (e->code < 0)
		p->err = *e;
	else if (p->piece.failed)
		err_set(&p->err, -ENOMEM, "restore: out of memory");
}

/* --- steps that are one call -------------------------------------------- */

static void step_on_answer(const char *body, size_t len, const struct err *e,
			   void *arg)
{
	struct putback *p = arg;

	(void)body, (void)len;
	p->err = *e;
	step_over(p);
}

/* Path and permissions, of an object that is open. */
static void put_step(const struct step *s, struct jw *w)
{
	char mode[8];

	vfs_path_put(w, "path", s->path, strlen(s->path));
	snprintf(mode, sizeof(mode), "%04o", (unsigned)(s->mode & 07777));
	jw_kstr(w, "mode", mode);
}

static void call_guest(struct putback *p, const char *name, struct jw *w)
{
	struct vm *vm = vm_of(p);

	jw_obj_end(w);
	if (w->failed)
		err_set(&p->err, -ENOMEM, "restore: out of memory");
	if (p->err.code < 0) {
		step_over(p);
		return;
	}
	vm_touch(vm);
	link_files(vm_link(vm), name, w->buf, step_on_answer, p);
}

static void remove_step(struct putback *p)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	put_step(step_of(p), &w);
	jw_kbool(&w, "recursive", true);
	call_guest(p, "remove", &w);
}

static void folder_step(struct putback *p)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	put_step(step_of(p), &w);
	jw_kbool(&w, "parents", true);
	call_guest(p, "mkdir", &w);
}

static void mode_step(struct putback *p)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	put_step(step_of(p), &w);
	call_guest(p, "chmod", &w);
}

static void link_on_read(struct depot_job *j, const struct err *e)
{
	struct putback *p = container_of(j, struct putback, job);
	autojw struct jw w = {0};

	piece_read(p, e);
	jw_obj(&w);
	put_step(step_of(p), &w);
	jw_kbool(&w, "over", true);
	jw_key(&w, "target_b64");
	base64_write(&w, p->piece.buf ? p->piece.buf : "", p->piece.len);
	call_guest(p, "symlink", &w);
}

static void link_step(struct putback *p)
{
	p->offset = 0;
	if (!read_piece(p, link_on_read))
		step_over(p);
}

/* --- a file ------------------------------------------------------------- */

static void file_on_read(struct depot_job *j, const struct err *e);

/* Both the stream and the reader are done with. */
static void file_over(struct putback *p)
{
	if (p->stream == NULL && !p->reading)
		step_over(p);
}

static void file_more(struct putback *p)
{
	if (!p->reading && !p->complete && !p->answered &&
	    !read_piece(p, file_on_read))
		h2_reset(p->stream);
}

static void file_on_read(struct depot_job *j, const struct err *e)
{
	struct putback *p = container_of(j, struct putback, job);

	piece_read(p, e);
	if (p->stream == NULL) {
		file_over(p);
		return;
	}
	if (p->err.code < 0 ||
	    h2_write(p->stream, p->piece.buf ? p->piece.buf : "",
		     p->piece.len) < 0) {
		h2_reset(p->stream);
		return;
	}
	p->offset += p->piece.len;
	if (p->piece.len < FILES_CHUNK) {
		p->complete = true;
		h2_fin(p->stream);
	} else if (h2_queued(p->stream) < FILES_QUEUE_MAX) {
		file_more(p);
	}
}

static void file_on_head(struct h2_stream *s, int status, void *arg)
{
	struct putback *p = arg;

	(void)s;
	p->status = status;
}

static void file_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct putback *p = arg;

	h2_consume(s, n);
	if (p->answer.len + n <= FILES_ERROR_MAX)
		jw_lit(&p->answer, data, n);
}

static void file_on_drained(struct h2_stream *s, void *arg)
{
	(void)s;
	file_more(arg);
}

/* The answer is there, maybe before all of the file was sent. */
static void file_on_fin(struct h2_stream *s, void *arg)
{
	struct putback *p = arg;
	autojson struct json j = {0};

	p->answered = true;
	if (p->status != 200 && p->answer.len > 0 &&
	    json_parse(&j, p->answer.buf, p->answer.len, NULL) == 0)
		(void)err_read(&p->err, json_root(&j));
	else if (p->status != 200 || !p->complete)
		err_set(&p->err, -FAULT_BAD_FRAME, "the guest answered %d",
			p->status);
	if (!p->complete)
		h2_reset(s);
}

static void file_on_end(struct h2_stream *s, int r, void *arg)
{
	struct putback *p = arg;

	(void)s;
	p->stream = NULL;
	if (!p->answered && p->err.code == 0)
		err_set(&p->err, -FAULT_GUEST_UNREACHABLE,
			"the channel to the guest broke: %s", strerror(-r));
	file_over(p);
}

static const struct h2_stream_events file_events = {
	.head = file_on_head,
	.data = file_on_data,
	.fin = file_on_fin,
	.drained = file_on_drained,
	.end = file_on_end,
};

static void file_step(struct putback *p)
{
	struct vm *vm = vm_of(p);
	autojw struct jw w = {0};

	p->offset = 0;
	p->complete = p->answered = false;
	p->status = 0;
	jw_reset(&p->answer);
	jw_obj(&w);
	put_step(step_of(p), &w);
	jw_kbool(&w, "over", true);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	if (vm != NULL && !w.failed) {
		vm_touch(vm);
		p->stream = link_files_stream(vm_link(vm), "write", w.buf,
					      w.len, true, &file_events, p);
	}
	if (p->stream != NULL) {
		file_more(p);
		return;
	}
	err_set(&p->err, -FAULT_GUEST_UNREACHABLE,
		"the channel to the guest is down");
	step_over(p);
}

/* --- all ---------------------------------------------------------------- */

static void putback_next(struct putback *p)
{
	static void (*const steps[])(struct putback * p) = {
		[STEP_REMOVE] = remove_step, [STEP_FOLDER] = folder_step,
		[STEP_FILE] = file_step,     [STEP_LINK] = link_step,
		[STEP_MODE] = mode_step,
	};

	if (p->at == p->steps->n)
		putback_end(p);
	else
		steps[step_of(p)->kind](p);
}

void putback_start(struct hibd *d, const char *vm, const struct steps *steps,
		   putback_cb cb, void *arg)
{
	struct putback *p = calloc(1, sizeof(*p));
	struct err e = {0};

	if (p == NULL) {
		err_set(&e, -ENOMEM, "restore: out of memory");
		cb(&e, arg);
		return;
	}
	*p = (struct putback){.d = d, .steps = steps, .cb = cb, .arg = arg};
	snprintf(p->vm, sizeof(p->vm), "%s", vm);
	putback_next(p);
}
