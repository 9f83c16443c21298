// SPDX-License-Identifier: Apache-2.0
/*
 * hostcall.c - Ask the host for something, from the main loop
 */
#include "guest/hostcall.h"

#include "guest/guest.h"
#include "guest/hostline.h"
#include "guest/limits.h"

struct hostcall {
	struct hostline *line;
	struct jw answer;
	bool too_long;
	hostcall_cb cb;
	void *arg;
};

static void hostcall_on_data(char *data, size_t n, void *arg)
{
	struct hostcall *c = arg;

	if (c->answer.len + n > HOSTCALL_ANSWER_MAX)
		c->too_long = true;
	else
		jw_lit(&c->answer, data, n);
}

static void hostcall_on_ended(const struct err *e, void *arg)
{
	struct hostcall *c = arg;
	struct err bad = {0};

	if (e != NULL)
		bad = *e;
	else if (c->too_long)
		err_set(&bad, -FAULT_MESSAGE_TOO_LARGE,
			"the host's answer is too long");
	else if (c->answer.failed)
		err_set(&bad, -ENOMEM, "the host's answer: out of memory");
	c->cb(&bad, c->answer.len > 0 ? c->answer.buf : "", c->answer.len,
	      c->arg);
	jw_done(&c->answer);
	free(c);
}

static struct hostcall *begin(struct guest *g, const char *path)
{
	static const struct hostline_events events = {
		.data = hostcall_on_data,
		.ended = hostcall_on_ended,
	};
	struct hostcall *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->line = hostline_open(&(struct hostline_spec){
		.ws = g->workspace,
		.home = g->loop,
		.path = path,
		.ev = &events,
		.arg = c,
	});
	if (c->line == NULL)
		free(take_ptr(c));
	return c;
}

int hostcall_post(struct guest *g, const char *path, const struct jw *body,
		  hostcall_cb cb, void *arg)
{
	struct hostcall *c = body->failed ? NULL : begin(g, path);

	if (c == NULL)
		return -ENOMEM;
	c->cb = cb;
	c->arg = arg;
	if (hostline_write(c->line, body->buf, body->len) < 0) {
		hostline_drop(c->line);
		free(c);
		return -ENOMEM;
	}
	hostline_fin(c->line);
	return 0;
}
