// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_set.c - The MCP servers of one session, as long as its agent runs
 */
#include "guest/mcp_set.h"

#include <string.h>

#include "core/log.h"

#define LOG_COMPONENT "mcp"

struct mcp_set {
	struct journal *journal;
	const struct mcp_config *config;
	struct mcp_place place;
	struct mcp_sharing *sharing;
	void (*settled)(const struct err *why, void *arg);
	void *arg;
	TAILQ_HEAD(upstream_list, upstream) servers;
	unsigned n_required; /* That have not been ready yet. */
	bool told;	     /* settled() has run, or will not. */
};

/*
 * What is recorded.
 */

/* Begin an event about a server. */
static void begin(const struct upstream *u, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "name", u->spec->name);
}

static void record(struct mcp_set *s, const char *type, struct jw *w)
{
	jw_obj_end(w);
	journal_add_jw(s->journal, type, NULL, w);
}

static void write_end(const struct upstream_end *end, struct jw *w)
{
	if (end->has_process && end->signal != 0)
		jw_kint(w, "signal", end->signal);
	else if (end->has_process)
		jw_kint(w, "code", end->code);
}

static void write_tools(const struct upstream *u, bool fresh, struct jw *w)
{
	jw_kstr(w, "hash", u->tools_hash);
	if (!fresh)
		return;
	jw_key(w, "tools");
	jw_raw(w, u->tools, u->tools_len);
}

static void set_on_starting(struct upstream *u, void *arg)
{
	autojw struct jw w = {0};

	begin(u, &w);
	jw_kstr(&w, "transport", mcp_transport(u->spec));
	jw_kstr(&w, "start", u->spec->lazy ? "lazy" : "eager");
	record(arg, "mcp.starting", &w);
}

static void record_ready(struct mcp_set *s, const struct upstream *u,
			 bool fresh)
{
	autojw struct jw w = {0};

	begin(u, &w);
	if (u->pid > 0)
		jw_kint(&w, "pid", u->pid);
	jw_kint(&w, "ms", (int64_t)u->ready_ms);
	jw_kstr(&w, "era", u->info.modern ? "modern" : "legacy");
	jw_kstr(&w, "version", u->info.version);
	jw_kraw(&w, "server", u->info.server);
	jw_kraw(&w, "capabilities", u->info.capabilities);
	if (u->info.instructions != NULL)
		jw_kstr(&w, "instructions", u->info.instructions);
	write_tools(u, fresh, &w);
	record(s, "mcp.ready", &w);
}

static void record_failed(struct mcp_set *s, const struct upstream *u,
			  const struct upstream_end *end)
{
	autojw struct jw w = {0};

	begin(u, &w);
	jw_kstr(&w, "reason", end->why.msg);
	write_end(end, &w);
	if (end->tail != NULL)
		jw_kraw(&w, "stderr_tail", end->tail);
	record(s, "mcp.failed", &w);
}

static void record_exited(struct mcp_set *s, const struct upstream *u,
			  const struct upstream_end *end)
{
	autojw struct jw w = {0};

	begin(u, &w);
	write_end(end, &w);
	jw_kbool(&w, "expected", end->expected);
	if (!end->expected) {
		jw_kstr(&w, "reason", end->why.msg);
		if (end->tail != NULL)
			jw_kraw(&w, "stderr_tail", end->tail);
	}
	record(s, "mcp.exited", &w);
}

static void set_on_said(struct upstream *u, const char *line, size_t len,
			unsigned dropped, void *arg)
{
	autojw struct jw w = {0};

	begin(u, &w);
	jw_key(&w, "text");
	jw_strn(&w, line, len);
	if (dropped > 0)
		jw_kint(&w, "dropped", dropped);
	record(arg, "mcp.stderr", &w);
}

static void set_on_changed(struct upstream *u, const char *kind, void *arg)
{
	autojw struct jw w = {0};

	if (strcmp(kind, "tools") != 0)
		return;
	begin(u, &w);
	write_tools(u, true, &w);
	record(arg, "mcp.changed", &w);
}

/*
 * What becomes of the session.
 */

static void tell_settled(struct mcp_set *s, const struct err *why)
{
	if (s->told)
		return;
	s->told = true;
	s->settled(why, s->arg);
}

static void set_on_ready(struct upstream *u, bool fresh, void *arg)
{
	struct mcp_set *s = arg;

	record_ready(s, u, fresh);
	if (!u->spec->required || u->n_ready > 1)
		return;
	if (--s->n_required == 0)
		tell_settled(s, NULL);
}

static void explain(const struct upstream *u, const struct upstream_end *end,
		    struct err *e)
{
	char how[64] = "";

	if (end->has_process)
		snprintf(how, sizeof(how),
			 end->signal ? ",\"signal\":%d" : ",\"exit\":%d",
			 end->signal ? end->signal : end->code);
	err_set(e, -FAULT_MCP_START_FAILED, "mcp server %s: %s", u->spec->name,
		end->why.msg);
	err_data(e, "\"server\":\"%s\",\"stderr_tail\":%s%s", u->spec->name,
		 end->tail != NULL ? end->tail : "\"\"", how);
}

static void set_on_failed(struct upstream *u, const struct upstream_end *end,
			  void *arg)
{
	struct mcp_set *s = arg;
	struct err e = {0};

	if (end->expected) {
		record_exited(s, u, end);
		return;
	}
	record_failed(s, u, end);
	log_info("%s: mcp server %s: %s", s->journal->session, u->spec->name,
		 end->why.msg);
	if (!u->spec->required || u->n_ready > 0)
		return;
	explain(u, end, &e);
	tell_settled(s, &e);
}

static void set_on_exited(struct upstream *u, const struct upstream_end *end,
			  void *arg)
{
	struct mcp_set *s = arg;

	record_exited(s, u, end);
	if (!end->expected)
		log_info("%s: mcp server %s: %s", s->journal->session,
			 u->spec->name, end->why.msg);
}

static const struct upstream_events set_events = {
	.starting = set_on_starting,
	.ready = set_on_ready,
	.exited = set_on_exited,
	.failed = set_on_failed,
	.changed = set_on_changed,
	.said = set_on_said,
};

/*
 * The object.
 */

void mcp_set_add(struct mcp_set *s, struct upstream *u)
{
	u->owner = &set_events;
	u->owner_arg = s;
	TAILQ_INSERT_TAIL(&s->servers, u, link);
	s->n_required += u->spec->required;
}

static bool make_local(struct mcp_set *s)
{
	for (size_t i = 0; i < s->config->n; i++) {
		const struct mcp_spec *spec = &s->config->specs[i];
		struct upstream *u;

		if (spec->type != MCP_LOCAL)
			continue;
		u = spec->shared ? mcp_shared_new(s->sharing, &s->place, spec)
				 : mcp_local_new(&s->place, spec);
		if (u == NULL)
			return false;
		mcp_set_add(s, u);
	}
	return true;
}

static void free_all(struct mcp_set *s)
{
	struct upstream *u;

	while ((u = TAILQ_FIRST(&s->servers)) != NULL) {
		TAILQ_REMOVE(&s->servers, u, link);
		u->ops->free(u);
	}
	free(s);
}

struct mcp_set *mcp_set_new(const struct mcp_set_setup *setup)
{
	struct mcp_set *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct mcp_set){
		.journal = setup->journal,
		.config = setup->config,
		.place = setup->place,
		.sharing = setup->sharing,
		.settled = setup->settled,
		.arg = setup->arg,
	};
	TAILQ_INIT(&s->servers);
	if (!make_local(s)) {
		free_all(s);
		return NULL;
	}
	return s;
}

void mcp_set_begin(struct mcp_set *s)
{
	struct upstream *u;

	TAILQ_FOREACH (u, &s->servers, link)
		if (!u->spec->lazy)
			upstream_want(u);
}

static bool is_up(const struct upstream *u)
{
	return u->state == UPSTREAM_READY || u->state == UPSTREAM_STOPPING ||
	       (u->state == UPSTREAM_STARTING && u->pid > 0);
}

void mcp_set_free(struct mcp_set *s)
{
	struct upstream *u;

	if (s == NULL)
		return;
	TAILQ_FOREACH (u, &s->servers, link) {
		const struct upstream_end end = {
			.has_process = u->pid > 0 && !u->spec->shared,
			.signal = SIGKILL,
			.expected = true,
		};

		if (is_up(u))
			record_exited(s, u, &end);
	}
	free_all(s);
}

void mcp_set_stop(struct mcp_set *s)
{
	struct upstream *u;

	if (s == NULL)
		return;
	s->told = true;
	TAILQ_FOREACH (u, &s->servers, link) {
		u->over = true;
		u->ops->stop(u);
	}
}

bool mcp_set_is_settled(const struct mcp_set *s)
{
	return s == NULL || s->n_required == 0;
}

bool mcp_set_any_ready(const struct mcp_set *s)
{
	const struct upstream *u;

	if (s == NULL)
		return false;
	TAILQ_FOREACH (u, &s->servers, link)
		if (u->state == UPSTREAM_READY)
			return true;
	return false;
}

struct upstream *mcp_set_find(const struct mcp_set *s, const char *name)
{
	struct upstream *u;

	TAILQ_FOREACH (u, &s->servers, link)
		if (strcmp(u->spec->name, name) == 0)
			break;
	return u;
}

struct upstream *mcp_set_first(const struct mcp_set *s)
{
	return TAILQ_FIRST(&s->servers);
}

struct upstream *mcp_set_next(struct upstream *u)
{
	return TAILQ_NEXT(u, link);
}
