// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_door.c - The MCP servers of sessions, for clients outside
 *
 * A link of the front is one stream POST /mcp/SESSION/SERVER of the guest
 * channel, open in both directions for as long as the link is: messages are
 * lines.  When the guest refuses the stream, or it breaks, the link is lost and
 * its client is told so.
 *
 * A link's end and a stream's end each may come first; what they share is freed
 * when both are over.
 */
#include "host/daemon/mcp_door.h"

#include <stdio.h>
#include <string.h>

#include "core/lines.h"
#include "host/daemon/daemon.h"
#include "mcp/front.h"

#define TARGET_MAX 128 /* "ses_..../NAME" */

struct passage {
	struct mcp_link *link;	  /* NULL once it is over. */
	struct h2_stream *stream; /* NULL once it has ended. */
	struct hibd *d;
	char vm[ID_MAX];
	int status;
	struct lines lines;
};

static void passage_free(struct passage *p)
{
	if (p->link != NULL || p->stream != NULL)
		return;
	lines_done(&p->lines);
	free(p);
}

/* --- the guest ---------------------------------------------------------- */

/* The VM is not idle while messages go to and fro; a client that is only there
 * does not keep it awake. */
static void touch(const struct passage *p)
{
	struct vm *vm = p->d->stopping ? NULL : vm_find(p->d, p->vm);

	if (vm != NULL)
		vm_touch(vm);
}

static int passage_on_line(char *line, size_t len, void *arg)
{
	struct passage *p = arg;

	touch(p);
	if (p->link != NULL && len > 0)
		mcp_link_send(p->link, line, len, NULL, 0);
	return 0;
}

static void passage_on_head(struct h2_stream *s, int status, void *arg)
{
	struct passage *p = arg;

	p->status = status;
	if (status != 200)
		h2_reset(s);
}

static void passage_on_data(struct h2_stream *s, char *data, size_t n,
			    void *arg)
{
	struct passage *p = arg;

	if (p->status == 200 &&
	    lines_feed(&p->lines, data, n, passage_on_line, p) < 0)
		h2_reset(s);
	else
		h2_consume(s, n);
}

static void passage_on_fin(struct h2_stream *s, void *arg)
{
	(void)arg;
	h2_fin(s);
}

static void passage_on_end(struct h2_stream *s, int r, void *arg)
{
	struct passage *p = arg;
	struct mcp_link *link = take_ptr(p->link);

	(void)s;
	(void)r;
	p->stream = NULL;
	if (link != NULL)
		mcp_link_lost(link);
	passage_free(p);
}

static const struct h2_stream_events passage_events = {
	.head = passage_on_head,
	.data = passage_on_data,
	.fin = passage_on_fin,
	.end = passage_on_end,
};

/* --- the front ---------------------------------------------------------- */

static int door_open(struct mcp_link *l, void *arg, struct err *e)
{
	struct hibd *d = arg;
	struct passage *p = calloc(1, sizeof(*p));
	const char *target = mcp_link_target(l);
	char session[ID_MAX], path[TARGET_MAX + 8];
	struct session_brief b;
	struct vm *vm;

	if (p == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	snprintf(session, sizeof(session), "%.*s", ID_MAX - 1, target);
	snprintf(path, sizeof(path), "/mcp/%s", target);
	vm = reader_session(d->reader, session, &b, NULL) == 0
		     ? vm_find(d, b.vm_id)
		     : NULL;
	lines_init(&p->lines, MCP_LINE_MAX);
	p->d = d;
	if (vm != NULL) {
		memcpy(p->vm, vm_id(vm), ID_MAX);
		p->stream = link_stream(vm_link(vm), path, NULL, 0, true,
					&passage_events, p);
	}
	if (p->stream == NULL) {
		passage_free(p);
		return err_set(e, -FAULT_GUEST_UNREACHABLE,
			       "the channel to the guest is down");
	}
	p->link = l;
	mcp_link_set_data(l, p);
	return 0;
}

static void door_message(struct mcp_link *l, const char *msg, size_t len,
			 void *arg)
{
	struct passage *p = mcp_link_data(l);

	(void)arg;
	touch(p);
	if (h2_write(p->stream, msg, len) < 0 ||
	    h2_write(p->stream, "\n", 1) < 0)
		h2_reset(p->stream);
}

static void door_close(struct mcp_link *l, void *arg)
{
	struct passage *p = mcp_link_data(l);

	(void)arg;
	p->link = NULL;
	h2_reset(p->stream);
}

struct mcp_front *mcp_door_new(struct hibd *d)
{
	static const struct mcp_front_ops ops = {
		.open = door_open,
		.message = door_message,
		.close = door_close,
	};

	return mcp_front_new(&d->loop, &ops, d);
}

void mcp_door_request(struct mcp_front *f, struct http_req *r,
		      const char *session, const char *server)
{
	char target[TARGET_MAX];

	snprintf(target, sizeof(target), "%s/%s", session, server);
	mcp_front_request(f, r, target);
}
