// SPDX-License-Identifier: Apache-2.0
/*
 * permission.c - A question of the agent that somebody must answer
 */
#include "guest/permission.h"

#include <string.h>

#include "core/time.h"
#include "guest/limits.h"

#define TOOL_ID_MAX 1024 /* Bytes of a toolCallId that go into ctx. */

static char *copy_raw(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return strndup(raw, len);
}

static bool has_option_ids(struct jv options)
{
	size_t n = jv_count(options);

	if (!jv_is(options, JV_ARRAY) || n == 0 || n > OPTIONS_MAX)
		return false;
	for (struct jv it = jv_first(options); jv_has(it);
	     it = jv_next(options, it))
		if (!jv_is(jv_get(it, "optionId"), JV_STRING))
			return false;
	return true;
}

static void permission_on_closed(uv_handle_t *h)
{
	struct permission *p = container_of(h, struct permission, timer);

	free(p->rpc_id);
	free(p->tool);
	free(p->options);
	free(p);
}

void permission_free(struct permission *p)
{
	uv_close((uv_handle_t *)&p->timer, permission_on_closed);
}

static void permission_on_timer(uv_timer_t *t)
{
	struct permission *p = container_of(t, struct permission, timer);

	p->expired(p, p->arg);
}

static int take_parts(struct permission *p, const struct rpc_msg *m)
{
	struct jv tool = jv_path(m->params, "toolCall.toolCallId");
	size_t len = 0;

	p->rpc_id = copy_raw(m->id);
	p->options = copy_raw(jv_get(m->params, "options"));
	(void)jv_raw(tool, &len);
	if (jv_is(tool, JV_STRING) && len <= TOOL_ID_MAX) {
		p->tool = copy_raw(tool);
		if (p->tool == NULL)
			return -ENOMEM;
	}
	return p->rpc_id == NULL || p->options == NULL ? -ENOMEM : 0;
}

int permission_new(uv_loop_t *loop, const struct rpc_msg *m, int64_t timeout_ms,
		   struct permission **out, struct err *e)
{
	struct permission *p;

	if (!has_option_ids(jv_get(m->params, "options")))
		return err_set(e, -EINVAL,
			       "the request offers no list of options");
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_set(e, -ENOMEM, "permission: out of memory");
	uv_timer_init(loop, &p->timer);
	if (take_parts(p, m) < 0) {
		permission_free(p);
		return err_set(e, -ENOMEM, "permission: out of memory");
	}
	id_new(p->id, "req");
	if (timeout_ms > 0) {
		p->deadline_ms = now_ms() + timeout_ms;
		uv_timer_start(&p->timer, permission_on_timer,
			       (uint64_t)timeout_ms, 0);
	}
	*out = p;
	return 0;
}

bool permission_offers(const struct permission *p, const char *option)
{
	autojson struct json j = {0};
	struct jv list;

	if (json_parse(&j, p->options, strlen(p->options), NULL) < 0)
		return false;
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (jv_eq(jv_get(it, "optionId"), option))
			return true;
	return false;
}

void permission_write_ctx(const struct permission *p, const char *input,
			  struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "input", input);
	jw_kstr(w, "req", p->id);
	if (p->tool != NULL)
		jw_kraw(w, "tool", p->tool);
	jw_obj_end(w);
}
