// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_shared.c - One process for the identical servers of several sessions
 *
 * The process is an upstream of its own, made by mcp_local.c, whose owner is a
 * mcp_shared.  Each session has a member: an upstream that follows the state of
 * the process and passes requests on.  Ids and progress tokens are those of the
 * process's client, so no session sees another's.
 *
 * A member that comes when the process is ready already is told so by the timer,
 * which also frees what members leave behind and, without any, the whole.
 */
#include "guest/mcp_shared.h"

#include <string.h>

#include "core/log.h"

#define LOG_COMPONENT "mcp"

struct member {
	struct upstream up;
	TAILQ_ENTRY(member) link;
	struct mcp_shared *shared;
	unsigned n_subs;
};
TAILQ_HEAD(member_list, member);

/* A member wants to hear of a resource. */
struct sub {
	TAILQ_ENTRY(sub) link;
	struct member *member;
	char uri[];
};

struct mcp_shared {
	TAILQ_ENTRY(mcp_shared) link;
	struct mcp_sharing *all;
	bool ending;	   /* It has no members any more... */
	bool process_gone; /* ...and no process. */
	struct mcp_spec *spec;
	struct upstream *server;
	struct member_list members, dead;
	TAILQ_HEAD(sub_list, sub) subs;
	uv_timer_t timer;
};

static struct member *member_of(struct upstream *u)
{
	return container_of(u, struct member, up);
}

static void shared_on_timer(uv_timer_t *t);

static void look_later(struct mcp_shared *s)
{
	uv_timer_start(&s->timer, shared_on_timer, 0, 0);
}

/*
 * Following the process.
 */

static char *copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

/* The process is ready, and the member waits for that. */
static void catch_up(struct member *m)
{
	const struct upstream *server = m->shared->server;
	struct upstream_info info = server->info;

	info.server = copy(server->info.server);
	info.capabilities = copy(server->info.capabilities);
	info.instructions = copy(server->info.instructions);
	if (info.server == NULL || info.capabilities == NULL) {
		upstream_info_done(&info);
		return;
	}
	m->up.pid = server->pid;
	m->up.ready_ms = server->ready_ms;
	upstream_shook_hands(&m->up, &info);
}

/* Run @stmt for each member in @wanted, though members may go meanwhile. */
#define for_members(m, s, wanted, stmt)                                      \
	do {                                                                 \
		struct member *next_;                                        \
		for (m = TAILQ_FIRST(&(s)->members); m != NULL; m = next_) { \
			next_ = TAILQ_NEXT(m, link);                         \
			if (m->up.state == (wanted))                         \
				stmt;                                        \
		}                                                            \
	} while (0)

static void shared_on_ready(struct upstream *u, bool fresh, void *arg)
{
	struct mcp_shared *s = arg;
	struct member *m;

	(void)u;
	(void)fresh;
	for_members(m, s, UPSTREAM_STARTING, catch_up(m));
}

/* What a member may know of an end. */
static struct upstream_end told(const struct mcp_shared *s,
				const struct upstream_end *end)
{
	struct upstream_end e = *end;

	if (s->server->n_ready > 0)
		e.tail = NULL;
	return e;
}

static void shared_on_failed(struct upstream *u, const struct upstream_end *end,
			     void *arg)
{
	struct mcp_shared *s = arg;
	const struct upstream_end e = told(s, end);
	struct member *m;

	s->process_gone = true;
	for_members(m, s, UPSTREAM_STARTING,
		    upstream_failed(&m->up, &e, u->state));
	if (s->ending)
		look_later(s);
}

/* A member's stop is one by nobody's use: it is begun again when it is wanted. */
static void member_exited(struct member *m, const struct upstream_end *end,
			  enum upstream_state next)
{
	if (next == UPSTREAM_OFF)
		upstream_stopping(&m->up);
	upstream_exited(&m->up, end, next);
}

static void shared_on_exited(struct upstream *u, const struct upstream_end *end,
			     void *arg)
{
	struct mcp_shared *s = arg;
	const struct upstream_end e = told(s, end);
	enum upstream_state next = u->state;
	bool waited_for = false;
	struct member *m;

	s->process_gone = true;
	for_members(m, s, UPSTREAM_STARTING, waited_for = true);
	for_members(m, s, UPSTREAM_READY, member_exited(m, &e, next));
	if (s->ending)
		look_later(s);
	else if (waited_for)
		upstream_want(u);
}

static void shared_on_changed(struct upstream *u, const char *kind, void *arg)
{
	struct mcp_shared *s = arg;
	struct member *m;

	(void)u;
	for_members(m, s, UPSTREAM_READY, upstream_list_changed(&m->up, kind));
}

static bool has_sub(const struct mcp_shared *s, const struct member *m,
		    struct jv uri)
{
	const struct sub *sub;

	TAILQ_FOREACH (sub, &s->subs, link)
		if (sub->member == m && jv_eq(uri, sub->uri))
			return true;
	return false;
}

static void shared_on_notify(struct upstream *u, const struct rpc_msg *msg,
			     void *arg)
{
	struct mcp_shared *s = arg;
	struct jv uri = jv_get(msg->params, "uri");
	struct member *m;

	(void)u;
	if (!jv_eq(msg->method, "notifications/resources/updated"))
		return;
	for_members(m, s, UPSTREAM_READY,
		    if (has_sub(s, m, uri)) upstream_tell(&m->up, msg));
}

static void shared_on_said(struct upstream *u, const char *line, size_t len,
			   unsigned dropped, void *arg)
{
	(void)arg;
	(void)dropped;
	log_debug("shared server %s: %.*s", u->spec->name, (int)len, line);
}

static const struct upstream_events shared_events = {
	.ready = shared_on_ready,
	.failed = shared_on_failed,
	.exited = shared_on_exited,
	.changed = shared_on_changed,
	.notify = shared_on_notify,
	.said = shared_on_said,
};

/*
 * Subscriptions.
 */

static void sub_free(struct mcp_shared *s, struct sub *sub)
{
	sub->member->n_subs--;
	TAILQ_REMOVE(&s->subs, sub, link);
	free(sub);
}

static int subscribe(struct member *m, const char *uri)
{
	struct sub *sub;

	if (m->n_subs == MCP_SHARED_SUBS_MAX)
		return -ENOBUFS;
	sub = malloc(sizeof(*sub) + strlen(uri) + 1);
	if (sub == NULL)
		return -ENOMEM;
	sub->member = m;
	strcpy(sub->uri, uri);
	TAILQ_INSERT_TAIL(&m->shared->subs, sub, link);
	m->n_subs++;
	return 0;
}

/* Return: whether somebody else wants to hear of it still. */
static bool unsubscribe(struct member *m, const char *uri)
{
	struct mcp_shared *s = m->shared;
	struct sub *sub, *next;
	bool others = false;

	for (sub = TAILQ_FIRST(&s->subs); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		if (strcmp(sub->uri, uri) != 0)
			continue;
		if (sub->member == m)
			sub_free(s, sub);
		else
			others = true;
	}
	return others;
}

/* Note a subscription that passes.  One that is taken back while others want it
 * becomes a ping, which has the same answer. */
static int note_subs(struct member *m, struct upstream_request *q)
{
	bool on = q->method != NULL &&
		  strcmp(q->method, "resources/subscribe") == 0;
	bool off = q->method != NULL &&
		   strcmp(q->method, "resources/unsubscribe") == 0;
	autojson struct json j = {0};
	autofree char *uri = NULL;

	if ((!on && !off) || q->params == NULL ||
	    json_parse(&j, q->params, strlen(q->params), NULL) < 0)
		return 0;
	uri = jv_strdup(jv_get(json_root(&j), "uri"), NULL);
	if (uri == NULL)
		return 0;
	if (on)
		return subscribe(m, uri);
	if (unsubscribe(m, uri)) {
		q->method = "ping";
		q->params = NULL;
	}
	return 0;
}

/*
 * Requests.
 */

static void member_on_answer(const struct upstream_answer *a, void *arg)
{
	upstream_end_call(arg, a);
}

static void member_on_progress(struct jv params, void *arg)
{
	struct upstream_call *c = arg;

	c->q.progress(params, c->q.arg);
}

static int member_send(struct upstream *u, struct upstream_call *c,
		       struct err *e)
{
	struct member *m = member_of(u);
	struct upstream_request q = c->q;
	struct upstream_call *call;
	int r = note_subs(m, &q);

	if (r < 0)
		return err_set(e, r, "mcp server %s: %s", u->spec->name,
			       strerror(-r));
	q.done = member_on_answer;
	q.progress = c->q.progress != NULL ? member_on_progress : NULL;
	q.arg = c;
	r = upstream_ask(m->shared->server, &q, &call, e);
	if (r == 0)
		c->data = call;
	return r;
}

static void member_cancel(struct upstream *u, struct upstream_call *c,
			  const char *reason)
{
	(void)u;
	upstream_forget(c->data, reason);
	upstream_end_call(c, &(struct upstream_answer){.status = -ECANCELED});
}

static void member_list_tools(struct upstream *u)
{
	const struct upstream *server = member_of(u)->shared->server;

	upstream_tools(u, server->tools, server->tools_len);
}

/*
 * Members come and go.
 */

static int member_start(struct upstream *u, struct err *e)
{
	struct mcp_shared *s = member_of(u)->shared;

	if (upstream_start(s->server, e) < 0)
		return e != NULL ? e->code : -EPIPE;
	upstream_starting(u);
	if (s->server->state == UPSTREAM_READY)
		look_later(s);
	return 0;
}

/* Its session ends; the process may have others. */
static void member_stop(struct upstream *u)
{
	(void)u;
}

static void shared_on_closed(uv_handle_t *h)
{
	struct mcp_shared *s = h->data;
	struct member *m;

	while ((m = TAILQ_FIRST(&s->dead)) != NULL) {
		TAILQ_REMOVE(&s->dead, m, link);
		free(m);
	}
	mcp_spec_free(s->spec);
	free(s);
}

static void shared_free(struct mcp_shared *s)
{
	TAILQ_REMOVE(&s->all->ending, s, link);
	s->server->ops->free(s->server);
	uv_close((uv_handle_t *)&s->timer, shared_on_closed);
}

static void shared_on_timer(uv_timer_t *t)
{
	struct mcp_shared *s = t->data;
	struct member *m;

	if (s->ending && s->process_gone) {
		shared_free(s);
		return;
	}
	while ((m = TAILQ_FIRST(&s->dead)) != NULL) {
		TAILQ_REMOVE(&s->dead, m, link);
		free(m);
	}
	if (s->server->state == UPSTREAM_READY)
		for_members(m, s, UPSTREAM_STARTING, catch_up(m));
}

/* Nobody has it any more: whoever comes now gets another one. */
static void shared_end(struct mcp_shared *s)
{
	enum upstream_state state = s->server->state;

	TAILQ_REMOVE(&s->all->used, s, link);
	TAILQ_INSERT_TAIL(&s->all->ending, s, link);
	s->ending = true;
	s->process_gone = state == UPSTREAM_OFF || state == UPSTREAM_DOWN ||
			  (state == UPSTREAM_STARTING && s->server->pid == 0);
	s->server->ops->stop(s->server);
	look_later(s);
}

static void member_free(struct upstream *u)
{
	struct member *m = member_of(u);
	struct mcp_shared *s = m->shared;
	struct upstream_call *c;
	struct sub *sub, *next;

	TAILQ_FOREACH (c, &u->calls, link)
		if (c->sent)
			upstream_forget(c->data, "the session has ended");
	for (sub = TAILQ_FIRST(&s->subs); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		if (sub->member == m)
			sub_free(s, sub);
	}
	upstream_done(u);
	TAILQ_REMOVE(&s->members, m, link);
	TAILQ_INSERT_TAIL(&s->dead, m, link);
	if (TAILQ_EMPTY(&s->members))
		shared_end(s);
	else
		look_later(s);
}

static const struct upstream_ops member_ops = {
	.start = member_start,
	.stop = member_stop,
	.send = member_send,
	.cancel = member_cancel,
	/* What one session says to a server of many is not said, and it asks
	 * none. */
	.notify = NULL,
	.reply = NULL,
	.list_tools = member_list_tools,
	.free = member_free,
};

/*
 * The object.
 */

static struct mcp_shared *shared_find(const struct mcp_sharing *all,
				      const struct mcp_spec *spec)
{
	struct mcp_shared *s;

	TAILQ_FOREACH (s, &all->used, link)
		if (mcp_spec_runs_same(s->spec, spec))
			break;
	return s;
}

static struct mcp_shared *shared_new(struct mcp_sharing *all,
				     const struct mcp_place *place,
				     const struct mcp_spec *spec)
{
	const struct mcp_place own = {
		.loop = place->loop,
		.isolate = place->isolate,
		.capabilities = "{}",
	};
	struct mcp_shared *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->all = all;
	s->spec = mcp_spec_copy(spec);
	s->server = s->spec == NULL ? NULL : mcp_local_new(&own, s->spec);
	if (s->server == NULL) {
		mcp_spec_free(s->spec);
		free(s);
		return NULL;
	}
	s->server->owner = &shared_events;
	s->server->owner_arg = s;
	TAILQ_INIT(&s->members);
	TAILQ_INIT(&s->dead);
	TAILQ_INIT(&s->subs);
	uv_timer_init(place->loop, &s->timer);
	s->timer.data = s;
	TAILQ_INSERT_TAIL(&all->used, s, link);
	return s;
}

struct upstream *mcp_shared_new(struct mcp_sharing *all,
				const struct mcp_place *place,
				const struct mcp_spec *spec)
{
	struct member *m = calloc(1, sizeof(*m));
	struct mcp_shared *s = m == NULL ? NULL : shared_find(all, spec);

	if (m != NULL && s == NULL)
		s = shared_new(all, place, spec);
	if (s == NULL) {
		free(m);
		return NULL;
	}
	upstream_init(&m->up, spec, &member_ops);
	m->shared = s;
	TAILQ_INSERT_TAIL(&s->members, m, link);
	return &m->up;
}

void mcp_sharing_init(struct mcp_sharing *all)
{
	TAILQ_INIT(&all->used);
	TAILQ_INIT(&all->ending);
}

void mcp_sharing_done(struct mcp_sharing *all)
{
	while (!TAILQ_EMPTY(&all->ending))
		shared_free(TAILQ_FIRST(&all->ending));
}
