// SPDX-License-Identifier: Apache-2.0
/*
 * session_serve.c - Sessions: requests of the agent, and what serves them
 */
#include "guest/session_impl.h"

void session_reply(struct session *s, const struct rpc_msg *m,
		   const char *result)
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	agent_reply(s->agent, id, len, result);
}

void session_refuse(struct session *s, const struct rpc_msg *m, int code,
		    const char *why)
{
	size_t len;
	const char *id = jv_raw(m->id, &len);

	agent_reply_error(s->agent, id, len, code, why);
}

static const struct service {
	const char *method;
	void (*serve)(struct session *s, const struct rpc_msg *m);
} services[] = {
	{"session/request_permission", session_ask},
};

void session_on_request(const struct rpc_msg *m, void *arg)
{
	struct session *s = arg;

	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (jv_eq(m->method, services[i].method)) {
			services[i].serve(s, m);
			return;
		}
	session_refuse(s, m, RPC_METHOD_NOT_FOUND, "method not found");
}
