// SPDX-License-Identifier: Apache-2.0
/*
 * front_server.c - A front for a server in this process
 *
 * Each link is a connection of the server, which tells of each message what
 * request it belongs to.
 */
#include "mcp/front.h"
#include "mcp/server.h"

static void on_send(const char *msg, size_t len,
		    const struct mcp_request *related, void *arg)
{
	const char *id = NULL;
	size_t id_len = 0;

	if (related != NULL)
		id = jv_raw(related->id, &id_len);
	mcp_link_send(arg, msg, len, id, id_len);
}

static int on_open(struct mcp_link *l, void *arg, struct err *e)
{
	struct mcp_conn_spec spec = {
		.send = on_send,
		.arg = l,
		.stateless = mcp_link_is_stateless(l),
	};
	struct mcp_conn *c = mcp_conn_new(arg, &spec);

	if (c == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	mcp_link_set_data(l, c);
	return 0;
}

static void on_message(struct mcp_link *l, const char *msg, size_t len,
		       void *arg)
{
	(void)arg;
	(void)mcp_conn_message(mcp_link_data(l), msg, len);
}

static void on_close(struct mcp_link *l, void *arg)
{
	(void)arg;
	mcp_conn_close(mcp_link_data(l));
}

struct mcp_front *mcp_front_serve(uv_loop_t *loop, struct mcp_server *s)
{
	static const struct mcp_front_ops ops = {
		.open = on_open,
		.message = on_message,
		.close = on_close,
	};

	return mcp_front_new(loop, &ops, s);
}
