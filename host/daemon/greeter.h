/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greeter.h - Meet the guest at a port (core/greet.h)
 */
#ifndef HOST_DAEMON_GREETER_H
#define HOST_DAEMON_GREETER_H

#include <uv.h>

#define GREETER_ASK_MIN_MS 10	/* Until the question is asked again,... */
#define GREETER_ASK_OFTEN  50	/* ...so many times, and then... */
#define GREETER_ASK_MAX_MS 2000 /* ...doubling up to that. */
#define GREETER_LOOK_MS	   20	/* While nobody has taken it. */

struct greeter; /* Opaque. */

/* @fd: where both have met, the callee's from here on; or a negative errno, and it is
 * closed.  The greeter is no more. */
typedef void (*greeter_cb)(int fd, void *arg);

/* Ask at the connected @fd until the guest answers; the fd is taken over.
 * NULL: out of memory, and it is closed. */
struct greeter *greeter_start(uv_loop_t *loop, int fd, greeter_cb cb,
			      void *arg);
/* Stop and close; no callback.  NULL is allowed. */
void greeter_cancel(struct greeter *g);

#endif
