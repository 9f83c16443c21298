// SPDX-License-Identifier: Apache-2.0
/*
 * api_import.c - Take in a session from an export stream
 *
 * The body is read line by line and stored batch by batch while it arrives: its
 * size does not matter.  The session keeps its id and its events keep their
 * bytes.  Until the last line is stored the session is an import on its way; if
 * the stream breaks or a line is refused, what was stored is purged again.
 *
 * The stream is hostile: each line is checked as if a guest had sent it, and
 * all must belong to the session that the first line names.
 */
#include <stdio.h>
#include <string.h>

#include "core/lines.h"
#include "host/daemon/routes.h"
#include "host/transfer.h"
#include "host/views.h"

#define BATCH_EVENTS 512
#define INFLIGHT_MAX 4 /* Batches; beyond that the body is paused. */

struct import {
	struct hibd *d;
	struct http_req *r; /* NULL once the client is gone. */
	struct lines lines;
	char session[ID_MAX]; /* "" before the first line. */
	struct store_batch *batch;
	unsigned n_batch, inflight;
	int64_t stored;
	bool complete; /* The whole body was read. */
	bool paused;
	struct err err;
};

static void import_settle(struct import *im);

static void batch_free(struct store_batch *b)
{
	if (b == NULL)
		return;
	event_list_free(&b->events);
	free(b);
}

static void batch_on_done(struct store_batch *b, int64_t acked,
			  const struct err *e)
{
	struct import *im = b->arg;

	im->inflight--;
	if (acked < 0 && im->err.code == 0)
		im->err = *e;
	if (acked > im->stored)
		im->stored = acked;
	batch_free(b);
	if (im->paused && im->r != NULL) {
		im->paused = false;
		http_body_resume(im->r);
	}
	import_settle(im);
}

static void import_flush(struct import *im)
{
	struct store_batch *b = take_ptr(im->batch);

	if (b == NULL)
		return;
	im->n_batch = 0;
	im->inflight++;
	store_append(im->d->store, b);
	if (im->inflight >= INFLIGHT_MAX && im->r != NULL && !im->paused) {
		im->paused = true;
		http_body_pause(im->r);
	}
}

static int import_add(struct import *im, struct event *ev)
{
	if (im->batch == NULL) {
		im->batch = calloc(1, sizeof(*im->batch));
		if (im->batch == NULL) {
			free(ev);
			return err_set(&im->err, -ENOMEM,
				       "import: out of memory");
		}
		TAILQ_INIT(&im->batch->events);
		memcpy(im->batch->session, im->session, ID_MAX);
		im->batch->fresh_only = true;
		im->batch->done = batch_on_done;
		im->batch->arg = im;
	}
	TAILQ_INSERT_TAIL(&im->batch->events, ev, link);
	if (++im->n_batch == BATCH_EVENTS)
		import_flush(im);
	return 0;
}

static int import_head(struct import *im, const char *line, size_t len)
{
	struct session_brief b;
	int r = transfer_read_head(line, len, im->session, &im->err);

	if (r < 0)
		return r;
	if (reader_session(im->d->reader, im->session, &b, NULL) != 0)
		return 0;
	err_set(&im->err, -FAULT_ALREADY_EXISTS, "%s is here already",
		im->session);
	im->session[0] = '\0'; /* Not ours to purge. */
	return im->err.code;
}

static int import_on_line(char *line, size_t len, void *arg)
{
	struct import *im = arg;
	struct event *ev;
	int r;

	if (im->session[0] == '\0')
		return import_head(im, line, len);
	if (len == 0)
		return 0;
	r = event_parse(line, len, &ev, &im->err);
	if (r < 0)
		return r;
	if (strcmp(ev->session, im->session) == 0)
		return import_add(im, ev);
	free(ev);
	return err_set(&im->err, -FAULT_BAD_FRAME,
		       "import: an event of another session");
}

static int import_on_body(struct http_req *r, const char *data, size_t n,
			  void *arg)
{
	struct import *im = arg;
	autofree char *copy = NULL;

	(void)r;
	if (im->err.code < 0)
		return 0; /* Read to the end, then say what was wrong. */
	copy = malloc(n + 1);
	if (copy == NULL)
		return err_set(&im->err, -ENOMEM, "import: out of memory");
	memcpy(copy, data, n);
	if (lines_feed(&im->lines, copy, n, import_on_line, im) == -EMSGSIZE)
		err_set(&im->err, -FAULT_MESSAGE_TOO_LARGE,
			"import: a line is longer than %u bytes",
			EVENT_LINE_MAX);
	return 0;
}

/* --- end ---------------------------------------------------------------- */

static void import_free(struct import *im)
{
	lines_done(&im->lines);
	batch_free(im->batch);
	free(im);
}

static void import_answer(struct import *im)
{
	autojw struct jw w = {0};
	struct err e = {0};

	if (im->r == NULL)
		return;
	http_on_end(im->r, NULL, NULL);
	if (im->err.code < 0)
		http_reply_err(im->r, &im->err);
	else if (views_session(im->d->reader, im->session, &w, &e) < 0)
		http_reply_err(im->r, &e);
	else
		http_reply(im->r, 200, "application/json", w.buf, w.len);
}

static void import_on_purged(const struct err *e, void *arg)
{
	struct import *im = arg;

	(void)e;
	import_answer(im);
	import_free(im);
}

static void import_on_marked(const struct err *e, void *arg)
{
	struct import *im = arg;

	if (e->code < 0)
		im->err = *e;
	import_answer(im);
	import_free(im);
}

/* All of an imported log is here: no guest has more of it. */
static void import_mark(struct import *im)
{
	struct change *c = change_new();

	change_add(c,
		   "UPDATE mirror SET tail_complete=1 WHERE session_n="
		   "(SELECT n FROM session WHERE id=?1)",
		   1, im->session);
	change_add(c, "DELETE FROM tombstone WHERE id=?1", 1, im->session);
	change_submit(im->d->store, c, import_on_marked, im);
}

/* Once nothing is on its way and the body has ended, one way or the other. */
static void import_settle(struct import *im)
{
	if (im->inflight > 0 || (!im->complete && im->r != NULL))
		return;
	if (im->err.code == 0 && !im->complete)
		err_set(&im->err, -FAULT_CANCELLED, "import: broken off");
	if (im->err.code == 0 && im->stored == 0)
		err_set(&im->err, -FAULT_INVALID_ARGUMENT,
			"import: no events in it");
	if (im->err.code == 0)
		import_mark(im);
	else if (im->stored > 0)
		store_purge(im->d->store, im->session, import_on_purged, im);
	else
		import_on_purged(&im->err, im);
}

static void import_on_gone(struct http_req *r, void *arg)
{
	struct import *im = arg;

	(void)r;
	im->r = NULL;
	if (!im->complete)
		import_settle(im);
}

void import_end(struct http_req *r)
{
	struct import *im = http_data(r);

	im->complete = true;
	if (im->err.code == 0 && im->lines.len > 0)
		err_set(&im->err, -FAULT_INVALID_ARGUMENT,
			"import: the last line is cut off");
	if (im->err.code == 0)
		import_flush(im);
	import_settle(im);
}

bool import_begin(struct hibd *d, struct http_req *r)
{
	struct import *im = calloc(1, sizeof(*im));

	if (im == NULL)
		return false;
	im->d = d;
	im->r = r;
	lines_init(&im->lines, EVENT_LINE_MAX);
	http_set_data(r, im);
	http_on_end(r, import_on_gone, im);
	http_req_on_body(r, import_on_body, im);
	return true;
}
