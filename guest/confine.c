// SPDX-License-Identifier: Apache-2.0
/*
 * confine.c - The limits of one session's processes: how they are kept, and when
 *	       they bite
 */
#include "guest/confine.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "guest/limits.h"
#include "guest/proctab.h"
#include "guest/session_init.h"

#define LOG_COMPONENT "confine"

#define HOW_GROUP   "cgroup"
#define HOW_USER    "rlimit"
#define HOW_PROCESS "rlimit of each process"
#define HOW_NONE    "none"

enum resource { PROCESSES, MEMORY, CPU, FILES, RESOURCES };

static const char *const names[RESOURCES] = {
	[PROCESSES] = "processes",
	[MEMORY] = "memory_bytes",
	[CPU] = "cpu_percent",
	[FILES] = "open_files",
};

/* A file of the group that says how often a limit was hit. */
struct events {
	uv_poll_t poll;
	struct confine *all;
	enum resource resource;
	const char *key;
	int fd; /* -1: it is not watched. */
	int64_t n;
};

struct confine {
	struct quota asked, quota; /* quota: by the session init. */
	const struct cgroups *cgroups;
	struct cgroup group;
	char procs[sizeof(CGROUPS_AT) + ID_MAX + 16];
	const char *how[RESOURCES];
	bool told[RESOURCES];
	void (*bites)(const char *resource, int64_t limit, const char *how,
		      void *arg);
	void *arg;
	pid_t agent;
	uv_timer_t timer;
	struct events pids, memory;
	unsigned open; /* Handles. */
	bool left;     /* The group stays. */
};

static int64_t limit_of(const struct confine *c, enum resource r)
{
	const int64_t limits[RESOURCES] = {
		[PROCESSES] = c->asked.processes,
		[MEMORY] = c->asked.memory_bytes,
		[CPU] = c->asked.cpu_percent,
		[FILES] = c->asked.open_files,
	};

	return limits[r];
}

static void tell(struct confine *c, enum resource r)
{
	if (c->told[r])
		return;
	c->told[r] = true;
	c->bites(names[r], limit_of(c, r), c->how[r], c->arg);
}

/*
 * By a control group.
 */

static void confine_on_event(uv_poll_t *h, int status, int events)
{
	struct events *ev = container_of(h, struct events, poll);
	int64_t n = cgroup_read_key(ev->fd, ev->key);

	(void)status;
	(void)events;
	if (n > ev->n)
		tell(ev->all, ev->resource);
	ev->n = n;
}

static void watch_file(struct confine *c, struct events *ev, const char *file)
{
	uv_loop_t *loop = c->timer.loop;

	ev->fd = cgroup_open_file(&c->group, file);
	if (ev->fd < 0)
		return;
	if (uv_poll_init(loop, &ev->poll, ev->fd) < 0) {
		close_fd(&ev->fd);
		ev->fd = -1;
		return;
	}
	c->open++;
	ev->n = cgroup_read_key(ev->fd, ev->key);
	uv_poll_start(&ev->poll, UV_PRIORITIZED, confine_on_event);
}

static void enter_group(struct confine *c, const char *session)
{
	int r = cgroup_make(c->cgroups, session, &c->asked, &c->group);

	if (r < 0) {
		if (r != -ENOENT)
			log_error("%s: no control group: %s, continuing "
				  "without it",
				  session, strerror(-r));
		return;
	}
	snprintf(c->procs, sizeof(c->procs), CGROUPS_AT "/%s/cgroup.procs",
		 session);
	if (c->cgroups->pids) {
		c->how[PROCESSES] = HOW_GROUP;
		watch_file(c, &c->pids, "pids.events");
	}
	if (c->cgroups->memory) {
		c->how[MEMORY] = HOW_GROUP;
		watch_file(c, &c->memory, "memory.events");
	}
	if (c->cgroups->cpu)
		c->how[CPU] = HOW_GROUP;
}

/*
 * By resource limits.
 */

static void set_rlimits(struct confine *c)
{
	if (c->how[PROCESSES] == NULL) {
		c->how[PROCESSES] = HOW_USER;
		c->quota.processes = c->asked.processes;
	}
	if (c->how[MEMORY] == NULL) {
		c->how[MEMORY] = HOW_PROCESS;
		c->quota.memory_bytes = c->asked.memory_bytes;
	}
	c->how[FILES] = HOW_PROCESS;
	c->quota.open_files = c->asked.open_files;
}

/* The threads of the session; its inits are not its own. */
static int64_t count_threads(const struct confine *c)
{
	const struct proctab_entry *agent;
	struct proctab t = {0};
	int64_t n = 0;

	(void)proctab_read(&t);
	agent = proctab_find(&t, c->agent);
	for (size_t i = 0; agent != NULL && i < t.n; i++)
		if (proctab_child_of(&t, &t.v[i], agent->parent) != NULL &&
		    strcmp(t.v[i].name, SESSION_INIT_NAME) != 0)
			n += t.v[i].threads;
	proctab_done(&t);
	return n;
}

/* Some end while others are counted: nearly the limit is the limit. */
static void confine_on_timer(uv_timer_t *timer)
{
	struct confine *c = container_of(timer, struct confine, timer);
	int64_t limit = c->asked.processes;

	if (count_threads(c) < limit - limit / LIMIT_NEAR)
		return;
	tell(c, PROCESSES);
	uv_timer_stop(timer);
}

/*
 * Life.
 */

static void confine_on_closed(uv_handle_t *h)
{
	struct confine *c = h->data;

	if (--c->open > 0)
		return;
	if (c->pids.fd >= 0)
		close(c->pids.fd);
	if (c->memory.fd >= 0)
		close(c->memory.fd);
	if (c->left)
		close_fd(&c->group.dir);
	else
		cgroup_remove(c->cgroups, &c->group);
	free(c);
}

static void close_events(struct confine *c, struct events *ev)
{
	if (ev->fd < 0)
		return;
	ev->poll.data = c;
	uv_close((uv_handle_t *)&ev->poll, confine_on_closed);
}

void confine_free(struct confine *c)
{
	if (c == NULL)
		return;
	close_events(c, &c->pids);
	close_events(c, &c->memory);
	c->timer.data = c;
	uv_close((uv_handle_t *)&c->timer, confine_on_closed);
}

void confine_leave(struct confine *c)
{
	if (c == NULL)
		return;
	c->left = true;
	confine_free(c);
}

struct confine *confine_new(const struct confine_spec *spec)
{
	struct confine *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->asked = spec->quota;
	c->cgroups = spec->cgroups;
	c->group.dir = -1;
	c->bites = spec->bites;
	c->arg = spec->arg;
	c->pids = (struct events){
		.all = c, .resource = PROCESSES, .key = "max", .fd = -1};
	c->memory = (struct events){
		.all = c, .resource = MEMORY, .key = "oom", .fd = -1};
	uv_timer_init(spec->loop, &c->timer);
	c->open = 1;
	if (spec->isolate) {
		enter_group(c, spec->session);
		set_rlimits(c);
	}
	return c;
}

void confine_adopt(struct confine *c,
		   void (*bites)(const char *resource, int64_t limit,
				 const char *how, void *arg),
		   void *arg)
{
	c->bites = bites;
	c->arg = arg;
	memset(c->told, 0, sizeof(c->told));
}

const struct quota *confine_quota(const struct confine *c)
{
	return &c->quota;
}

const char *confine_group(const struct confine *c)
{
	return c->procs[0] != '\0' ? c->procs : NULL;
}

void confine_write(const struct confine *c, struct jw *w)
{
	jw_obj(w);
	for (enum resource r = 0; r < RESOURCES; r++) {
		if (limit_of(c, r) == 0)
			continue;
		jw_key(w, names[r]);
		jw_obj(w);
		jw_kint(w, "limit", limit_of(c, r));
		jw_kstr(w, "how", c->how[r] != NULL ? c->how[r] : HOW_NONE);
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

void confine_turn(struct confine *c, bool on, pid_t agent)
{
	if (c == NULL)
		return;
	memset(c->told, 0, sizeof(c->told));
	c->agent = agent;
	if (!on)
		uv_timer_stop(&c->timer);
	else if (c->quota.processes > 0)
		uv_timer_start(&c->timer, confine_on_timer, LIMIT_WATCH_MS,
			       LIMIT_WATCH_MS);
}
