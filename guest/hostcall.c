// SPDX-License-Identifier: Apache-2.0
/*
 * hostcall.c - Ask the host for something, from the main loop
 *
 * The uplink is the second loop's: a job goes there, and comes back with what the
 * host has said.
 */
#include "guest/hostcall.h"

#include <string.h>

#include "guest/limits.h"
#include "guest/workspace.h"

struct hostcall {
	struct sideloop_job job;
	struct workspace *ws;
	const char *path;
	struct jw body, answer;
	struct err err;
	hostcall_cb cb;
	void *arg;
};

/*
 * On the second loop.
 */

static void hostcall_on_writable(struct uplink_request *q, void *arg)
{
	struct hostcall *c = arg;

	if (c->body.len > 0 && uplink_write(q, c->body.buf, c->body.len) == 0)
		uplink_fin(q);
	jw_reset(&c->body);
}

static void hostcall_on_answer(const struct err *e, char *body, size_t n,
			       void *arg)
{
	struct hostcall *c = arg;

	if (e != NULL)
		c->err = *e;
	else
		jw_lit(&c->answer, body, n);
	sideloop_end(&c->job);
}

static const struct uplink_events hostcall_events = {
	.writable = hostcall_on_writable,
	.done = hostcall_on_answer,
};

static void hostcall_run(struct sideloop_job *job)
{
	struct hostcall *c = container_of(job, struct hostcall, job);
	const struct uplink_spec spec = {
		.method = "POST",
		.path = c->path,
		.answer_max = HOSTCALL_ANSWER_MAX,
		.streamed = true,
		.ev = &hostcall_events,
		.arg = c,
	};
	struct uplink *u = workspace_uplink(c->ws);

	if (u != NULL && uplink_request(u, &spec) != NULL)
		return;
	err_set(&c->err, u == NULL ? -ECANCELED : -ENOMEM, "%s: %s", c->path,
		u == NULL ? "the guest is ending" : "out of memory");
	sideloop_end(job);
}

/*
 * On the main loop.
 */

static void hostcall_done(struct sideloop_job *job)
{
	struct hostcall *c = container_of(job, struct hostcall, job);

	if (c->answer.failed)
		err_set(&c->err, -ENOMEM, "%s: out of memory", c->path);
	c->cb(&c->err, c->answer.len > 0 ? c->answer.buf : "", c->answer.len,
	      c->arg);
	jw_done(&c->body);
	jw_done(&c->answer);
	free(c);
}

int hostcall_post(struct workspace *ws, const char *path, struct jw *body,
		  hostcall_cb cb, void *arg)
{
	struct hostcall *c = body->failed ? NULL : calloc(1, sizeof(*c));

	if (c == NULL) {
		jw_done(body);
		return -ENOMEM;
	}
	c->job = (struct sideloop_job){.run = hostcall_run,
				       .done = hostcall_done};
	c->ws = ws;
	c->path = path;
	c->body = *body;
	*body = (struct jw){0};
	c->cb = cb;
	c->arg = arg;
	workspace_run(ws, &c->job);
	return 0;
}
