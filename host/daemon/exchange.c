// SPDX-License-Identifier: Apache-2.0
/*
 * exchange.c - Ask a guest: one whole body, one whole answer
 */
#include "host/daemon/exchange.h"

#include <string.h>

#include "core/json.h"

struct exchange {
	int status;
	bool too_long;
	struct jw body;
	exchange_cb cb;
	void *arg;
};

static void exchange_on_head(struct h2_stream *s, int status, void *arg)
{
	struct exchange *x = arg;

	(void)s;
	x->status = status;
}

static void exchange_on_data(struct h2_stream *s, char *data, size_t n,
			     void *arg)
{
	struct exchange *x = arg;

	if (x->body.len + n >= EXCHANGE_REPLY_MAX) {
		x->too_long = true;
		h2_reset(s);
		return;
	}
	jw_lit(&x->body, data, n);
	h2_consume(s, n);
}

/* Read the guest's error object; its words are hostile but bounded. */
static void read_error(const struct exchange *x, struct err *e)
{
	autojson struct json j = {0};

	if (x->body.buf != NULL &&
	    json_parse(&j, x->body.buf, x->body.len, NULL) == 0)
		err_read(e, json_root(&j));
	else
		err_set(e, -FAULT_BAD_FRAME, "the guest answered %d",
			x->status);
}

static void exchange_on_end(struct h2_stream *s, int r, void *arg)
{
	struct exchange *x = arg;
	struct err e = {0};

	(void)s;
	if (x->body.failed)
		err_set(&e, -ENOMEM, "answer of the guest: out of memory");
	else if (x->too_long)
		err_set(&e, -FAULT_BAD_FRAME, "the guest's answer is too long");
	else if (r < 0)
		err_set(&e, -FAULT_GUEST_UNREACHABLE,
			"the channel to the guest broke: %s", strerror(-r));
	else if (x->status != 200)
		read_error(x, &e);
	x->cb(x->body.buf ? x->body.buf : "", x->body.len, &e, x->arg);
	jw_done(&x->body);
	free(x);
}

static const struct h2_stream_events exchange_events = {
	.head = exchange_on_head,
	.data = exchange_on_data,
	.end = exchange_on_end,
};

int exchange_post(struct h2 *c, const char *path, const char *body, size_t len,
		  exchange_cb cb, void *arg)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return -ENOMEM;
	x->cb = cb;
	x->arg = arg;
	if (h2_request(c, "POST", path, body, len, false, &exchange_events,
		       x) != NULL)
		return 0;
	free(x);
	return -ENOMEM;
}
