// SPDX-License-Identifier: Apache-2.0
/*
 * prewarm.c - Agents that run already when a session wants them
 *
 * What such an agent says is held by agent.c, as it has no journal yet.  Its
 * limits and the folder of its MCP socket are made before there is a session, and
 * have a name of their own for good.
 */
#include "guest/prewarm.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/time.h"
#include "guest/acp.h"
#include "guest/agent.h"
#include "guest/confine.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "guest/mcp_shim.h"

#define LOG_COMPONENT "prewarm"

struct prewarm {
	TAILQ_ENTRY(prewarm) link; /* In guest.prewarmed, until it is taken. */
	struct guest *guest;
	char id[ID_MAX];
	char *name;
	struct launch *launch;
	struct quota quota;
	struct agent *agent;
	struct confine *confine;
	char folder[PATH_MAX]; /* What it sees as MCP_SHIM_DIR. */
	int64_t started_ms;
	char *initialized; /* The answer, JSON; NULL: it is starting. */
	bool ending;
	uv_timer_t timer; /* Of the start. */
	struct call_list calls;
};

/*
 * The end.
 */

static void prewarm_on_closed(uv_handle_t *h)
{
	struct prewarm *p = container_of(h, struct prewarm, timer);

	launch_free(p->launch);
	free(p->name);
	free(p->initialized);
	free(p);
}

/* It is nobody's any more, and has no agent. */
static void release(struct prewarm *p)
{
	TAILQ_REMOVE(&p->guest->prewarmed, p, link);
	uv_close((uv_handle_t *)&p->timer, prewarm_on_closed);
}

static void release_dead(struct prewarm *p)
{
	p->agent = NULL;
	confine_free(take_ptr(p->confine));
	(void)rmdir(p->folder);
	release(p);
}

static void fail_calls(struct prewarm *p, const struct err *e)
{
	struct err clean = *e;

	redact_err(p->launch->secrets, &clean);
	log_info("%s: %s: %s", p->id, p->name, clean.msg);
	call_list_fail(&p->calls, &clean);
}

/* Its end follows. */
static void give_up(struct prewarm *p, const struct err *e)
{
	if (p->ending)
		return;
	p->ending = true;
	uv_timer_stop(&p->timer);
	fail_calls(p, e);
	agent_end(p->agent, AGENT_END_KILL);
}

/*
 * What the agent does.
 */

static void prewarm_on_broken(const struct err *e, void *arg)
{
	struct prewarm *p = arg;
	struct err why = *e;

	agent_explain(p->agent, NULL, &why);
	give_up(p, &why);
}

static void prewarm_on_gone(const struct proc_end *end, void *arg)
{
	struct prewarm *p = arg;
	struct err e = {0};

	agent_describe_end(p->agent, end, &e);
	if (!p->ending)
		fail_calls(p, &e);
	release_dead(p);
}

static enum agent_news prewarm_on_sort(const struct rpc_msg *m, void *arg)
{
	(void)m, (void)arg;
	return AGENT_NEWS;
}

/* A notification that asks for nothing is only held. */
static void prewarm_on_notify(const struct rpc_msg *m, void *arg)
{
	(void)m, (void)arg;
}

static void prewarm_on_wish(const struct rpc_msg *m, void *arg)
{
	struct err e = {0};
	char method[64] = "";

	(void)jv_strcpy(m->method, method, sizeof(method));
	err_set(&e, -FAULT_AGENT_PROTOCOL_ERROR,
		"agent says %s before it has a session", method);
	give_up(arg, &e);
}

static void write_ready(const struct prewarm *p, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "agent", p->name);
	jw_kint(w, "pid", agent_pid(p->agent));
	jw_kint(w, "started_ms", p->started_ms);
	jw_obj_end(w);
}

static void answer(struct prewarm *p)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&p->calls)) != NULL) {
		TAILQ_REMOVE(&p->calls, c, link);
		write_ready(p, &c->result);
		call_reply(c);
	}
}

static int keep_answer(struct prewarm *p, const struct rpc_answer *a,
		       struct err *e)
{
	size_t len;
	const char *raw = jv_raw(a->result, &len);

	if (a->status < 0)
		return acp_refused("initialize", a->error, e);
	if (acp_check_version(a->result, e) < 0)
		return e->code;
	p->initialized = strndup(raw, len);
	return p->initialized != NULL
		       ? 0
		       : err_set(e, -ENOMEM, "prewarm: out of memory");
}

static void prewarm_on_initialized(const struct rpc_answer *a, void *arg)
{
	struct prewarm *p = arg;
	struct err e = {0};

	if (a->status == -ECANCELED || p->ending)
		return;
	if (keep_answer(p, a, &e) < 0) {
		prewarm_on_broken(&e, p);
		return;
	}
	uv_timer_stop(&p->timer);
	log_info("%s: %s is ready", p->id, p->name);
	answer(p);
}

static void prewarm_on_started(void *arg)
{
	struct prewarm *p = arg;
	struct err e = {0};

	if (p->ending || agent_initialize(p->agent, p->launch,
					  prewarm_on_initialized, p) >= 0)
		return;
	err_set(&e, -ENOMEM, "prewarm: out of memory");
	give_up(p, &e);
}

static const struct agent_events agent_events = {
	.started = prewarm_on_started,
	.sort = prewarm_on_sort,
	.update = prewarm_on_wish,
	.notify = prewarm_on_notify,
	.request = prewarm_on_wish,
	.broken = prewarm_on_broken,
	.gone = prewarm_on_gone,
};

/*
 * The start.
 */

static void prewarm_on_timeout(uv_timer_t *t)
{
	struct err e = {0};

	err_set(&e, -FAULT_START_TIMEOUT, "agent was not ready in time");
	prewarm_on_broken(&e, container_of(t, struct prewarm, timer));
}

static void prewarm_on_limit(const char *resource, int64_t limit,
			     const char *how, void *arg)
{
	const struct prewarm *p = arg;

	log_info("%s: is at its limit of %s, %lld (%s)", p->id, resource,
		 (long long)limit, how);
}

static bool fits(const struct prewarm *p, const struct prewarm_want *w)
{
	const struct quota *a = &p->quota, *b = w->quota;

	return !p->ending && strcmp(p->name, w->name) == 0 &&
	       launch_starts_same(p->launch, w->launch) &&
	       a->processes == b->processes &&
	       a->memory_bytes == b->memory_bytes &&
	       a->cpu_percent == b->cpu_percent &&
	       a->open_files == b->open_files;
}

static struct prewarm *find(const struct guest *g, const struct prewarm_want *w)
{
	struct prewarm *p;

	TAILQ_FOREACH (p, &g->prewarmed, link)
		if (fits(p, w))
			return p;
	return NULL;
}

/* Where its session will have a socket, if it has servers. */
static int make_folder(struct prewarm *p, struct err *e)
{
	const struct guest_options *opt = p->guest->opt;
	char all[PATH_MAX / 2] = MCP_SHIM_DIR;

	if (!opt->isolate)
		snprintf(all, sizeof(all), "%s/mcp", opt->run);
	snprintf(p->folder, sizeof(p->folder), "%s/%s", all, p->id);
	if ((mkdir(all, 0755) < 0 && errno != EEXIST) ||
	    mkdir(p->folder, 0755) < 0)
		return err_set(e, -errno, "make %s: %s", p->folder,
			       strerror(errno));
	return 0;
}

static int spawn(struct prewarm *p, struct err *e)
{
	const struct confine_spec confine = {
		.loop = p->guest->loop,
		.cgroups = &p->guest->cgroups,
		.session = p->id,
		.quota = p->quota,
		.isolate = p->guest->opt->isolate,
		.bites = prewarm_on_limit,
		.arg = p,
	};
	struct agent_setup setup = {
		.loop = p->guest->loop,
		.launch = p->launch,
		.isolate = p->guest->opt->isolate,
		.mcp = p->folder,
		.events = &agent_events,
		.arg = p,
	};

	setup.confine = p->confine = confine_new(&confine);
	if (p->confine == NULL)
		return err_set(e, -ENOMEM, "prewarm: out of memory");
	p->started_ms = now_ms();
	return agent_start(&setup, &p->agent, e);
}

static struct prewarm *prewarm_new(struct guest *g,
				   const struct prewarm_spec *spec)
{
	struct prewarm *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->name = strdup(spec->name);
	if (p->name == NULL) {
		free(p);
		return NULL;
	}
	p->guest = g;
	p->quota = spec->quota;
	TAILQ_INIT(&p->calls);
	id_new(p->id, "pre");
	uv_timer_init(g->loop, &p->timer);
	TAILQ_INSERT_TAIL(&g->prewarmed, p, link);
	return p;
}

static int start(struct guest *g, struct prewarm_spec *spec, struct call *c,
		 struct err *e)
{
	struct prewarm *p = prewarm_new(g, spec);

	if (p == NULL)
		return err_set(e, -ENOMEM, "prewarm: out of memory");
	p->launch = spec->launch;
	if (make_folder(p, e) < 0 || spawn(p, e) < 0) {
		p->launch = NULL;
		release_dead(p);
		return e->code;
	}
	spec->launch = NULL;
	uv_timer_start(&p->timer, prewarm_on_timeout,
		       spec->timeout_ms > 0 ? (uint64_t)spec->timeout_ms
					    : START_TIMEOUT_MS,
		       0);
	TAILQ_INSERT_TAIL(&p->calls, c, link);
	return 0;
}

static unsigned count(const struct guest *g)
{
	const struct prewarm *p;
	unsigned n = 0;

	TAILQ_FOREACH (p, &g->prewarmed, link)
		n++;
	return n;
}

int prewarm_begin(struct guest *g, struct prewarm_spec *spec, struct call *c,
		  struct err *e)
{
	const struct prewarm_want want = {spec->name, spec->launch,
					  &spec->quota};
	struct prewarm *p;

	if (launch_tell(spec->launch, spec->instructions, e) < 0)
		return e->code;
	p = find(g, &want);
	if (p == NULL && count(g) >= PREWARMED_MAX)
		return err_set(e, -FAULT_LIMIT_SESSIONS,
			       "%d agents wait for a session in this VM, no "
			       "more may",
			       PREWARMED_MAX);
	if (p == NULL)
		return start(g, spec, c, e);
	TAILQ_INSERT_TAIL(&p->calls, c, link);
	if (p->initialized != NULL)
		answer(p);
	return 0;
}

static bool has_servers(const struct launch *l)
{
	return l->mcp != NULL && l->mcp->n > 0;
}

bool prewarm_take(struct guest *g, const struct prewarm_want *want,
		  struct prewarmed_agent *out)
{
	struct prewarm *p = find(g, want);

	if (p == NULL || p->initialized == NULL)
		return false;
	out->agent = take_ptr(p->agent);
	out->confine = take_ptr(p->confine);
	out->started_ms = p->started_ms;
	out->initialized = take_ptr(p->initialized);
	memcpy(out->id, p->id, sizeof(out->id));
	if (!has_servers(want->launch))
		(void)rmdir(p->folder);
	release(p);
	return true;
}

bool prewarm_is_busy(const struct guest *g)
{
	const struct prewarm *p;

	TAILQ_FOREACH (p, &g->prewarmed, link)
		if (p->initialized == NULL || p->ending)
			return true;
	return false;
}

void prewarm_end(struct guest *g)
{
	struct prewarm *p;
	struct err e = {0};

	err_set(&e, -FAULT_DRAINING, "the VM goes to sleep");
	TAILQ_FOREACH (p, &g->prewarmed, link)
		give_up(p, &e);
}

void prewarm_abandon(struct guest *g)
{
	struct prewarm *p;
	struct err e = {0};

	err_set(&e, -FAULT_VM_UNAVAILABLE, "the guest is ending");
	while ((p = TAILQ_FIRST(&g->prewarmed)) != NULL) {
		call_list_fail(&p->calls, &e);
		agent_abandon(p->agent);
		release_dead(p);
	}
}
