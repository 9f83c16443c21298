// SPDX-License-Identifier: Apache-2.0
/*
 * api_artifact.c - The bytes of an artifact
 *
 * They come out of the VM's repository piece by piece: the pool reads one, the
 * client takes it, and then the next one is read.  So a large file and a slow
 * client cost one piece of memory.  The first piece is read before the answer
 * begins: what cannot be read at all is an error of its own.
 */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/artifact.h"
#include "host/daemon/routes.h"
#include "vfs/browse.h"
#include "vfs/repo.h"

#define LOG_COMPONENT "api"
#define PIECE_BYTES   (1u << 20)

struct download {
	uv_work_t work;
	struct op *op; /* op->r: NULL once the client is gone. */
	struct artifact artifact;
	char path[PATH_MAX];
	bool begun, reading;

	/* Of the work while it runs. */
	struct vfs_repo *repo;
	uint64_t off, size;
	struct jw piece;
	struct err err;
};

static void download_read(struct download *d);

/* --- on a thread of the pool -------------------------------------------- */

static int take_bytes(const void *data, size_t n, void *arg)
{
	struct jw *piece = arg;

	jw_lit(piece, data, n);
	return piece->failed ? -ENOMEM : 0;
}

static int open_file(struct download *d)
{
	int r = vfs_repo_open(d->path, true, &d->repo, &d->err);

	return r < 0 ? r
		     : vfs_browse_size(d->repo, &d->artifact.oid, &d->size,
				       &d->err);
}

static void download_work(uv_work_t *w)
{
	struct download *d = container_of(w, struct download, work);
	int r = 0;

	jw_reset(&d->piece);
	if (d->repo == NULL)
		r = open_file(d);
	if (r == 0)
		r = vfs_browse_read(d->repo, &d->artifact.oid, d->off,
				    PIECE_BYTES, take_bytes, &d->piece,
				    &d->err);
	if (r < 0 && d->err.code == 0)
		err_set(&d->err, r, "artifact: %s", strerror(-r));
	d->off += d->piece.len;
}

/* --- on the loop -------------------------------------------------------- */

/* The op, if it was not answered, is the caller's. */
static void download_free(struct download *d)
{
	vfs_repo_close(d->repo);
	jw_done(&d->piece);
	free(d);
}

static void download_refuse(struct download *d)
{
	op_fail(d->op, &d->err);
	download_free(d);
}

/* The stream has ended: by us, or the client is gone. */
static void download_on_end(struct http_req *r, void *arg)
{
	struct download *d = arg;

	(void)r;
	d->op->r = NULL;
	if (d->reading)
		return;	       /* download_on_read() frees it. */
	op_reply_empty(d->op); /* Frees it. */
	download_free(d);
}

static void download_on_drained(struct http_req *r, void *arg)
{
	(void)r;
	download_read(arg);
}

/* Hand the piece on.  d may be no more afterwards. */
static void download_write(struct download *d)
{
	struct http_req *r = d->op->r;

	if (!d->begun) {
		d->begun = true;
		http_on_end(r, download_on_end, d);
		http_stream_begin(r, 200, "application/octet-stream",
				  download_on_drained, d);
	}
	if (d->piece.len > 0)
		http_stream_write(r, d->piece.buf, d->piece.len);
	if (d->off >= d->size || d->piece.len == 0)
		http_stream_end(r);
}

static void download_on_read(uv_work_t *w, int status)
{
	struct download *d = container_of(w, struct download, work);

	d->reading = false;
	if (status < 0)
		err_set(&d->err, status, "artifact: %s", uv_strerror(status));
	if (d->op->r == NULL || (d->err.code < 0 && !d->begun)) {
		download_refuse(d);
	} else if (d->err.code < 0) {
		log_warn("%s: artifact: %s", d->op->session, d->err.msg);
		http_stream_abort(d->op->r);
	} else {
		download_write(d);
	}
}

static void download_read(struct download *d)
{
	int r;

	if (d->reading || (d->begun && d->off >= d->size))
		return;
	d->reading = true;
	r = uv_queue_work(&d->op->d->loop, &d->work, download_work,
			  download_on_read);
	assert(r == 0); /* It only looks at its arguments. */
}

void artifact_get_route(struct op *op)
{
	struct download *d;

	if (!op_load_session(op))
		return;
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		op_refuse(op, -ENOMEM, "artifact: out of memory");
		return;
	}
	d->op = op;
	if (artifact_find(op->d->reader, op->session, op->what, &d->artifact,
			  &d->err) < 0) {
		download_refuse(d);
		return;
	}
	snprintf(d->path, sizeof(d->path), "%s/%s/workspace.git",
		 op->d->home.vms, d->artifact.vm);
	download_read(d);
}
