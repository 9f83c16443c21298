/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prewarm.h - Agents that run already when a session wants them
 *
 *	STARTING --initialize answered--> READY --prewarm_take()--> a session's
 *	    '---- fails, too late ------>  '---- dies, goes to sleep ---> gone
 *
 * A prewarmed agent is started as a session would start it, up to ACP's
 * initialize, and is told nothing more.  It keeps still; one that wants anything
 * before it has a session is ended.  A session takes one only when it would have
 * started the very same process.  Nothing of it is written down before; then the
 * log of the session has all that was said, and since when it has waited.
 */
#ifndef GUEST_PREWARM_H
#define GUEST_PREWARM_H

#include "core/id.h"
#include "core/quota.h"
#include "guest/call.h"
#include "guest/launch.h"

struct agent;
struct confine;
struct guest;
TAILQ_HEAD(prewarm_list, prewarm);

/* What is to be started, or would be. */
struct prewarm_want {
	const char *name; /* Of the agent. */
	const struct launch *launch;
	const struct quota *quota;
};

/* As session.create reads it. */
struct prewarm_spec {
	const char *name;
	const char *instructions; /* NULL: none. */
	struct quota quota;
	int64_t timeout_ms;    /* 0: that of all starts. */
	struct launch *launch; /* Taken over on success, else left. */
};

/* Start one, or wait with those who have it started; the call is answered once it
 * is ready, or has failed.  Return: 0; -FAULT_LIMIT_SESSIONS;
 * -FAULT_AGENT_SPAWN_FAILED... */
int prewarm_begin(struct guest *g, struct prewarm_spec *spec, struct call *c,
		  struct err *e);

/* One that a session has taken: its agent has the events of nobody yet, see
 * agent_adopt(), and the folder of its MCP socket is named by @id. */
struct prewarmed_agent {
	struct agent *agent;
	struct confine *confine;
	char id[ID_MAX];
	int64_t started_ms;
	char *initialized; /* The result, JSON; to be freed. */
};
/* Return: whether there was one. */
bool prewarm_take(struct guest *g, const struct prewarm_want *want,
		  struct prewarmed_agent *out);

static inline void prewarmed_done(struct prewarmed_agent *p)
{
	free(p->initialized);
}
#define autoprewarmed cleanup(prewarmed_done)

/* Does one start? */
bool prewarm_is_busy(const struct guest *g);
/* End them all: the VM goes to sleep. */
void prewarm_end(struct guest *g);
/* The same at once, and forget them: the guest ends. */
void prewarm_abandon(struct guest *g);

#endif
