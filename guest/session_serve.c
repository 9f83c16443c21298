// SPDX-License-Identifier: Apache-2.0
/*
 * session_serve.c - Sessions: what the agent says, and what serves it
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
} services[] =
	{
		{"elicitation/create", session_ask_elicitation},
		{"session/request_permission", session_ask_permission},
},
  listeners[] = {
	  {"$/cancel_request", session_withdraw},
	  {"elicitation/complete", session_complete_url},
};

static bool serve(const struct service *list, size_t n, struct session *s,
		  const struct rpc_msg *m)
{
	for (size_t i = 0; i < n; i++)
		if (jv_eq(m->method, list[i].method)) {
			list[i].serve(s, m);
			return true;
		}
	return false;
}

void session_on_request(const struct rpc_msg *m, void *arg)
{
	if (!serve(services, ARRAY_LEN(services), arg, m))
		session_refuse(arg, m, RPC_METHOD_NOT_FOUND,
			       "method not found");
}

void session_on_notify(const struct rpc_msg *m, void *arg)
{
	(void)serve(listeners, ARRAY_LEN(listeners), arg, m);
}
