// SPDX-License-Identifier: Apache-2.0
/*
 * reaper.c - Process 1 of the VM buries the orphans it is given
 *
 * Signals merge: one SIGCHLD may stand for any number of ends, so each wakes a
 * loop that waits until there is no one left.
 */
#include "guest/reaper.h"

#include <signal.h>
#include <sys/wait.h>

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
}

static void reaper_on_signal(uv_signal_t *h, int signal)
{
	(void)h;
	(void)signal;
	reap();
}

int reaper_start(struct reaper *r, uv_loop_t *loop, struct err *e)
{
	int n = uv_signal_init(loop, &r->signal);

	if (n < 0)
		return err_set(e, n, "reaper: %s", uv_strerror(n));
	n = uv_signal_start(&r->signal, reaper_on_signal, SIGCHLD);
	if (n < 0) {
		uv_close((uv_handle_t *)&r->signal, NULL);
		return err_set(e, n, "reaper: %s", uv_strerror(n));
	}
	uv_unref((uv_handle_t *)&r->signal);
	reap();
	return 0;
}

void reaper_stop(struct reaper *r)
{
	uv_close((uv_handle_t *)&r->signal, NULL);
}
