// SPDX-License-Identifier: Apache-2.0
/*
 * named.c - The thaw of a guest that was not started: whose disk it has
 */
#include "guest/named.h"

#include "guest/feed.h"
#include "guest/guest.h"
#include "guest/rekey.h"

struct named {
	struct guest *guest;
	struct call_list calls;
};

bool named_is_busy(const struct guest *g)
{
	return g->named != NULL;
}

static void answer(struct guest *g, struct call *c)
{
	struct err e = {0};

	jw_obj(&c->result);
	jw_key(&c->result, "last_seq");
	if (feed_write_tails(g->reader, &c->result, &e) < 0) {
		call_fail(c, &e);
		return;
	}
	jw_obj_end(&c->result);
	call_reply(c);
}

static void named_on_rekeyed(const struct err *e, void *arg)
{
	struct named *n = arg;
	struct call *c;

	n->guest->named = NULL;
	if (e != NULL)
		call_list_fail(&n->calls, e);
	while ((c = TAILQ_FIRST(&n->calls)) != NULL) {
		TAILQ_REMOVE(&n->calls, c, link);
		answer(n->guest, c);
	}
	free(n);
}

static int begin(struct guest *g, struct jv params, struct err *e)
{
	struct jv vm = jv_get(params, "vm");
	struct rekey_spec spec = {.sessions = jv_get(params, "sessions")};
	struct named *n;
	char id[ID_MAX];
	int r;

	if (jv_strcpy(vm, id, sizeof(id)) > 0)
		spec.vm = id;
	else if (jv_has(vm) && !jv_is(vm, JV_NULL))
		return err_set(e, -FAULT_INVALID_ID, "vm is no id of a VM");
	if (jv_is(spec.sessions, JV_NULL))
		spec.sessions.i = -1;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return err_set(e, -ENOMEM, "thaw: out of memory");
	n->guest = g;
	TAILQ_INIT(&n->calls);
	r = rekey_begin(g, &spec, named_on_rekeyed, n, e);
	if (r < 0)
		free(n);
	else
		g->named = n;
	return r;
}

int named_thaw(struct guest *g, struct call *c, struct err *e)
{
	if (g->named == NULL && begin(g, c->params, e) < 0)
		return e->code;
	TAILQ_INSERT_TAIL(&g->named->calls, c, link);
	return 0;
}
