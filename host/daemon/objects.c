// SPDX-License-Identifier: Apache-2.0
/*
 * objects.c - hibd's end of the "host" stream: the connection, and reading
 *
 * Each GET is a fetch.  Fetches wait in order; a batch of them, the small ones
 * together, is at work for a guest at a time, and none begins while the guest has
 * not taken OBJECTS_QUEUE_MAX bytes of answers.  So a guest that asks for
 * everything and reads nothing costs that much memory, and its open streams.
 *
 *	WAITING ---> RUNNING ---> ANSWERED      (the stream's end frees it)
 *	    stream's end: gone    |
 *	             '--- RUNNING, without a stream: freed when done
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "host/daemon/dialer.h"
#include "host/daemon/objects_impl.h"
#include "vfs/browse.h"
#include "vfs/listing.h"

#define LOG_COMPONENT "objects"

struct fetch {
	TAILQ_ENTRY(fetch) link; /* In the owner's list or in the batch. */
	int (*work)(struct fetch *f, struct vfs_repo *repo, struct err *e);
	struct batch *batch;	  /* While it runs. */
	struct objects *owner;	  /* NULL once the stream has ended. */
	struct h2_stream *stream; /* The same. */
	struct vfs_oid oid;
	uint64_t off, len; /* Of a blob. */
	struct jw out;
	struct err err;
	bool done;     /* There is an answer. */
	bool waits;    /* In the owner's list. */
	size_t queued; /* Its share of the owner's. */
};

struct batch {
	struct depot_job job;
	struct objects *owner; /* NULL once it is closed. */
	struct fetch_list fetches;
};

static void objects_go(struct objects *o);

void objects_refuse(struct h2_stream *s, const struct err *e)
{
	autojw struct jw w = {0};

	err_write(e, &w);
	h2_reply(s, fault_http_status(err_fault(e->code)),
		 w.failed ? "{}" : w.buf, w.failed ? 2 : w.len);
}

/* --- on a thread of the pool -------------------------------------------- */

static int add_entry(const struct vfs_entry *entry, void *arg)
{
	return listing_add(arg, entry, NULL);
}

static int tree_work(struct fetch *f, struct vfs_repo *repo, struct err *e)
{
	struct listing_writer w = {0};
	int r = vfs_browse_tree(repo, &f->oid, add_entry, &w, e);

	if (r == 0)
		r = listing_end(&w, &f->out, e);
	listing_writer_done(&w);
	return r;
}

static int add_bytes(const void *data, size_t n, void *arg)
{
	struct jw *out = arg;

	jw_lit(out, data, n);
	return out->failed ? -ENOMEM : 0;
}

static int blob_work(struct fetch *f, struct vfs_repo *repo, struct err *e)
{
	return vfs_browse_read(repo, &f->oid, f->off, f->len, add_bytes,
			       &f->out, e);
}

static int batch_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct batch *b = container_of(j, struct batch, job);
	struct fetch *f = TAILQ_FIRST(&b->fetches);
	size_t bytes = 0;

	(void)e;
	for (; f != NULL && bytes < OBJECTS_BATCH_BYTES;
	     f = TAILQ_NEXT(f, link)) {
		int r = f->work(f, repo, &f->err);

		if (r < 0 && f->err.code == 0)
			err_set(&f->err, r, "workspace: %s", strerror(-r));
		if (r >= 0)
			f->err.code = 0;
		f->done = true;
		bytes += f->out.len;
	}
	return 0;
}

/* --- a fetch ------------------------------------------------------------ */

static void fetch_free(struct fetch *f)
{
	jw_done(&f->out);
	free(f);
}

static void fetch_answer(struct fetch *f, const struct err *e)
{
	if (e->code < 0) {
		objects_refuse(f->stream, e);
		return;
	}
	f->queued = f->out.len;
	f->owner->queued += f->queued;
	h2_reply(f->stream, 200, f->out.buf ? f->out.buf : "", f->out.len);
	jw_done(&f->out);
}

static void fetch_wait(struct fetch *f, struct fetch_list *list)
{
	TAILQ_INSERT_TAIL(list, f, link);
	f->waits = true;
}

/* @e is of a repository that cannot be opened, which is all of theirs. */
static void batch_on_done(struct depot_job *j, const struct err *e)
{
	struct batch *b = container_of(j, struct batch, job);
	struct fetch_list left = TAILQ_HEAD_INITIALIZER(left);
	struct objects *o = b->owner;
	struct fetch *f;

	while ((f = TAILQ_FIRST(&b->fetches)) != NULL) {
		TAILQ_REMOVE(&b->fetches, f, link);
		f->batch = NULL;
		if (f->owner == NULL)
			fetch_free(f);
		else if (e->code < 0 || f->done)
			fetch_answer(f, e->code < 0 ? e : &f->err);
		else
			fetch_wait(f, &left);
	}
	free(b);
	if (o == NULL)
		return;
	o->running = NULL;
	TAILQ_CONCAT(&left, &o->waiting, link);
	TAILQ_CONCAT(&o->waiting, &left, link);
	objects_go(o);
}

static void batch_fill(struct batch *b, struct objects *o)
{
	struct fetch *f;

	for (size_t n = 0;
	     n < OBJECTS_BATCH_MAX && (f = TAILQ_FIRST(&o->waiting)) != NULL;
	     n++) {
		TAILQ_REMOVE(&o->waiting, f, link);
		f->waits = false;
		TAILQ_INSERT_TAIL(&b->fetches, f, link);
		f->batch = b;
	}
}

static void objects_go(struct objects *o)
{
	struct batch *b;

	if (TAILQ_EMPTY(&o->waiting) || o->running != NULL || o->closed ||
	    o->queued >= OBJECTS_QUEUE_MAX)
		return;
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		h2_reset(TAILQ_FIRST(&o->waiting)->stream);
		return;
	}
	TAILQ_INIT(&b->fetches);
	b->owner = o;
	b->job.work = batch_work;
	b->job.done = batch_on_done;
	batch_fill(b, o);
	o->running = b;
	depot_read(o->spec.depot, &b->job);
}

static void fetch_on_end(struct h2_stream *s, int r, void *arg)
{
	struct fetch *f = arg;
	struct objects *o = f->owner;

	(void)s;
	(void)r;
	o->queued -= f->queued;
	if (f->batch != NULL) {
		f->owner = NULL;
		f->stream = NULL;
	} else {
		if (f->waits)
			TAILQ_REMOVE(&o->waiting, f, link);
		fetch_free(f);
	}
	objects_go(o);
}

static const struct h2_stream_events fetch_events = {.end = fetch_on_end};

/* "<40 hex>" at @*path, which moves behind it. */
static bool take_oid(const char **path, struct vfs_oid *out)
{
	char hex[VFS_OID_HEX];

	if (strnlen(*path, VFS_OID_HEX - 1) < VFS_OID_HEX - 1)
		return false;
	memcpy(hex, *path, VFS_OID_HEX - 1);
	hex[VFS_OID_HEX - 1] = '\0';
	*path += VFS_OID_HEX - 1;
	return vfs_oid_parse(hex, out) == 0;
}

/* "/<digits>" at @*path, at most @max. */
static bool take_number(const char **path, uint64_t max, uint64_t *out)
{
	const char *p = *path;
	uint64_t n = 0;

	if (*p++ != '/' || *p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > max)
			return false;
	}
	*path = p;
	*out = n;
	return true;
}

/* What follows "/tree/" or "/blob/". */
static bool fetch_read_path(struct fetch *f, const char *path)
{
	if (!take_oid(&path, &f->oid))
		return false;
	if (f->work == blob_work &&
	    (!take_number(&path, VFS_SIZE_MAX, &f->off) ||
	     !take_number(&path, OBJECTS_RANGE_MAX, &f->len)))
		return false;
	return *path == '\0';
}

static void fetch_begin(struct objects *o, struct h2_stream *s,
			const char *path)
{
	struct fetch *f = calloc(1, sizeof(*f));
	struct err e = {0};

	if (f == NULL)
		return; /* The stream is refused. */
	f->owner = o;
	f->stream = s;
	f->work = strncmp(path, "/blob/", 6) == 0 ? blob_work : tree_work;
	h2_stream_set(s, &fetch_events, f);
	if (fetch_read_path(f, path + strlen("/blob/"))) {
		fetch_wait(f, &o->waiting);
		objects_go(o);
		return;
	}
	err_set(&e, -FAULT_INVALID_ARGUMENT, "no object is named '%.80s'",
		path);
	objects_refuse(s, &e);
}

/* --- what is asked ------------------------------------------------------ */

static void nothing_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s, (void)r, (void)arg;
}

static const struct h2_stream_events nothing_events = {.end = nothing_on_end};

static void objects_on_request(struct h2_stream *s, const char *method,
			       const char *path, void *arg)
{
	struct objects *o = arg;
	bool get = strcmp(method, "GET") == 0;
	struct err e = {0};

	if (get && (strncmp(path, "/tree/", 6) == 0 ||
		    strncmp(path, "/blob/", 6) == 0)) {
		fetch_begin(o, s, path);
		return;
	}
	if (strcmp(method, "POST") == 0 && strcmp(path, "/checkpoint") == 0) {
		checkpoint_begin(o, s);
		return;
	}
	if (strcmp(method, "POST") == 0 && path[0] == '/' &&
	    objects_ask_begin(o, s, path + 1))
		return;
	if (strcmp(method, "POST") != 0 || strncmp(path, "/mcp/", 5) != 0)
		err_set(&e, -FAULT_ROUTE_NOT_FOUND, "no route %.16s '%.64s'",
			method, path);
	else if (mcp_bridge_begin(o->bridges, s, path + 5, &e) == 0)
		return;
	h2_stream_set(s, &nothing_events, NULL);
	objects_refuse(s, &e);
}

/* --- the connection ----------------------------------------------------- */

static void objects_on_h2_closed(struct h2 *c, int r, void *arg)
{
	struct objects *o = arg;

	log_debug("%s: host stream lost: %s", o->vm,
		  r < 0 ? strerror(-r) : "closed by the guest");
	if (o->h2 == c)
		o->h2 = NULL;
	h2_close(c);
	/* One that ended at once does not make the pauses short. */
	if (uv_now(o->spec.loop) - o->connected_at > DIALER_RETRY_MAX_MS)
		dialer_good(o->dialer);
	dialer_again(o->dialer);
}

static const struct h2_events objects_h2_events = {
	.request = objects_on_request,
	.closed = objects_on_h2_closed,
};

static void objects_on_connected(uv_stream_t *io, void *arg)
{
	struct objects *o = arg;

	o->connected_at = uv_now(o->spec.loop);
	if (h2_new(io, true, &objects_h2_events, o, &o->h2) < 0)
		dialer_again(o->dialer);
}

static const struct dialer_events objects_dialer_events = {
	.connected = objects_on_connected,
};

struct objects *objects_open(const struct objects_spec *spec,
			     const struct objects_events *ev, void *arg)
{
	const struct dialer_spec dial = {
		.loop = spec->loop,
		.ops = spec->ops,
		.machine = spec->machine,
		.dir = spec->dir,
		.name = "host",
	};
	struct mcp_bridges_spec bridges = {
		.loop = spec->loop,
		.vault = spec->vault,
		.reader = spec->reader,
	};
	struct objects *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->spec = *spec;
	o->ev = ev;
	o->arg = arg;
	TAILQ_INIT(&o->waiting);
	TAILQ_INIT(&o->asks);
	snprintf(o->vm, sizeof(o->vm), "%s", spec->vm);
	bridges.vm = o->vm;
	o->bridges = mcp_bridges_new(&bridges);
	if (o->bridges != NULL)
		o->dialer = dialer_open(&dial, &objects_dialer_events, o);
	if (o->dialer != NULL)
		return o;
	mcp_bridges_free(o->bridges);
	free(o);
	return NULL;
}

void objects_close(struct objects *o)
{
	if (o == NULL)
		return;
	o->closed = true;
	if (o->running != NULL)
		o->running->owner = NULL;
	h2_close(take_ptr(o->h2)); /* Ends all streams. */
	objects_asks_forget(o);
	mcp_bridges_free(o->bridges);
	dialer_close(o->dialer);
	free(o);
}
