// SPDX-License-Identifier: Apache-2.0
/*
 * leftovers.c - End what a cancelled turn has left running
 *
 *	leftovers_end   look, SIGTERM             LEFTOVER_KILL_MS
 *	round 1         look again, SIGKILL       LEFTOVER_AGAIN_MS
 *	round 2 ...     the same until a look finds nothing
 *
 * A look takes what was started since the turn began.  The last such look is
 * taken when the next turn begins, before the agent hears of it: what is started
 * from there on is that turn's.  Then only what belongs to the process session of
 * something found before counts.  A number that some process uses as its session
 * is not given to another one.
 *
 * The kernel tells when a process was started in ticks of some milliseconds.  Of
 * two turns in one tick the later one is said to begin with the next: rather is
 * something spared than the other's ended.
 */
#include "guest/leftovers.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/log.h"
#include "guest/limits.h"
#include "guest/session_init.h"

#define LOG_COMPONENT "leftovers"

/* A process session that is being ended. */
struct leftover {
	TAILQ_ENTRY(leftover) link;
	pid_t sid;
};

static bool is_known(const struct leftovers *l, pid_t sid)
{
	const struct leftover *x;

	TAILQ_FOREACH (x, &l->list, link)
		if (x->sid == sid)
			return true;
	return false;
}

static void remember(struct leftovers *l, pid_t sid)
{
	struct leftover *x = is_known(l, sid) ? NULL : malloc(sizeof(*x));

	if (x == NULL)
		return;
	x->sid = sid;
	TAILQ_INSERT_TAIL(&l->list, x, link);
}

static bool is_left(const struct leftovers *l, const struct proctab *t,
		    const struct proctab_entry *agent,
		    const struct proctab_entry *e)
{
	const struct proctab_entry *top;

	if (e->zombie || e->sid == agent->sid)
		return false;
	if ((l->next_began || e->start < l->since) && !is_known(l, e->sid))
		return false;
	top = proctab_child_of(t, e, agent->parent);
	return top != NULL && strcmp(top->name, SESSION_INIT_NAME) != 0;
}

static bool signal_entry(const struct proctab_entry *e, int signal)
{
	autoclose int fd = proctab_open(e);

	return fd >= 0 &&
	       syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
}

/* Signal all that is left.  Return: how many. */
static unsigned signal_all(struct leftovers *l, int signal)
{
	const struct proctab_entry *agent;
	struct proctab t = {0};
	unsigned n = 0;

	if (proctab_read(&t) < 0)
		log_error("%s: /proc cannot be read, processes of a cancelled "
			  "turn may be left",
			  l->session);
	agent = proctab_find(&t, l->agent);
	for (size_t i = 0; agent != NULL && i < t.n; i++) {
		if (!is_left(l, &t, agent, &t.v[i]))
			continue;
		remember(l, t.v[i].sid);
		if (!signal_entry(&t.v[i], signal))
			continue;
		n++;
		log_debug("%s: the cancelled turn has left %s (%d), signal %d",
			  l->session, t.v[i].name, (int)t.v[i].pid, signal);
	}
	proctab_done(&t);
	return n;
}

static void leftovers_on_timer(uv_timer_t *timer)
{
	struct leftovers *l = container_of(timer, struct leftovers, timer);

	if (signal_all(l, SIGKILL) == 0 || ++l->rounds == LEFTOVER_ROUNDS)
		leftovers_forget(l);
	else
		uv_timer_start(timer, leftovers_on_timer, LEFTOVER_AGAIN_MS, 0);
}

void leftovers_turn_begins(struct leftovers *l)
{
	uint64_t now = proctab_now();

	if (uv_is_active((uv_handle_t *)&l->timer))
		(void)signal_all(l, SIGTERM);
	l->next_began = true;
	l->since = now > l->turn_ended ? now : now + 1;
}

void leftovers_turn_ends(struct leftovers *l)
{
	l->turn_ended = proctab_now();
}

void leftovers_end(struct leftovers *l, pid_t agent)
{
	l->next_began = false;
	l->agent = agent;
	l->rounds = 0;
	if (signal_all(l, SIGTERM) > 0 &&
	    !uv_is_active((uv_handle_t *)&l->timer))
		uv_timer_start(&l->timer, leftovers_on_timer, LEFTOVER_KILL_MS,
			       0);
}

void leftovers_forget(struct leftovers *l)
{
	struct leftover *x;

	uv_timer_stop(&l->timer);
	while ((x = TAILQ_FIRST(&l->list)) != NULL) {
		TAILQ_REMOVE(&l->list, x, link);
		free(x);
	}
}

void leftovers_init(struct leftovers *l, uv_loop_t *loop, const char *session)
{
	*l = (struct leftovers){.session = session};
	uv_timer_init(loop, &l->timer);
	TAILQ_INIT(&l->list);
}
