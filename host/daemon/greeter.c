// SPDX-License-Identifier: Apache-2.0
/*
 * greeter.c - Meet the guest at a port
 *
 * A guest that goes on from its memory takes the first questions for what is said
 * on its last connection, and notices that way that this is over.  So they are
 * asked often.  But one that still waits in front of the port will be read when
 * the guest opens that, seconds away in a boot: then no other is added.
 *
 * What the guest says here is read a byte at a time, since what follows its
 * answer is not ours; it is rubbish of the last connection at most, and hostile
 * at worst, when it costs a system call for each byte, a bounded number in each turn of
 * the loop.
 */
#include "host/daemon/greeter.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/base.h"
#include "core/greet.h"
#include "core/hex.h"

#define BYTES_AT_ONCE 16384

struct greeter {
	greeter_cb cb;
	void *arg;
	int fd;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned asked; /* Times. */
	uint64_t pause_ms;
	char token[GREET_TOKEN_MAX];
	struct greet greet;
	unsigned handles;
};

static void greeter_on_closed(uv_handle_t *h)
{
	struct greeter *g = h->data;

	if (--g->handles == 0)
		free(g);
}

static void greeter_end(struct greeter *g)
{
	(void)uv_poll_stop(&g->poll);
	uv_close((uv_handle_t *)&g->poll, greeter_on_closed);
	uv_close((uv_handle_t *)&g->timer, greeter_on_closed);
}

void greeter_cancel(struct greeter *g)
{
	if (g == NULL)
		return;
	greeter_end(g);
	close_fd(&g->fd);
}

static void finish(struct greeter *g, int r)
{
	int fd = take_fd(&g->fd);
	greeter_cb cb = g->cb;
	void *arg = g->arg;

	greeter_end(g);
	if (r < 0)
		close(fd);
	cb(r < 0 ? r : fd, arg);
}

static void greeter_on_ask(uv_timer_t *t);

static void ask(struct greeter *g)
{
	uint8_t random[(GREET_TOKEN_MAX - 1) / 2];
	char line[GREET_LINE_MAX];
	size_t n;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		memset(random, 0, sizeof(random));
	(void)hex_encode(random, sizeof(random), g->token);
	n = greet_question(line, g->token);
	/* What does not fit is asked again. */
	(void)!write(g->fd, line, n);
	uv_timer_start(&g->timer, greeter_on_ask, g->pause_ms, 0);
	if (++g->asked >= GREETER_ASK_OFTEN && g->pause_ms < GREETER_ASK_MAX_MS)
		g->pause_ms *= 2;
}

/* Is there something that QEMU has not read yet? */
static bool is_untaken(const struct greeter *g)
{
	int n;

	return ioctl(g->fd, SIOCOUTQ, &n) == 0 && n > 0;
}

static void greeter_on_ask(uv_timer_t *t)
{
	struct greeter *g = t->data;

	if (is_untaken(g))
		uv_timer_start(t, greeter_on_ask, GREETER_LOOK_MS, 0);
	else
		ask(g);
}

/* The newest question was answered. */
static void begin(struct greeter *g, const char *nonce)
{
	char line[GREET_LINE_MAX];
	size_t n = greet_begin(line, nonce);

	finish(g, write(g->fd, line, n) == (ssize_t)n ? 0 : -EPIPE);
}

static void greeter_on_readable(uv_poll_t *h, int status, int events)
{
	struct greeter *g = h->data;
	char c, nonce[GREET_NONCE_MAX];

	(void)status, (void)events;
	for (int i = 0; i < BYTES_AT_ONCE; i++) {
		ssize_t n = read(g->fd, &c, 1);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			finish(g, n < 0 ? -errno : -ECONNRESET);
			return;
		}
		if (greet_byte(&g->greet, c) &&
		    greet_is_answer(&g->greet, g->token, nonce)) {
			begin(g, nonce);
			return;
		}
	}
}

struct greeter *greeter_start(uv_loop_t *loop, int fd, greeter_cb cb, void *arg)
{
	struct greeter *g = calloc(1, sizeof(*g));

	if (g == NULL || uv_poll_init(loop, &g->poll, fd) < 0) {
		free(g);
		close(fd);
		return NULL;
	}
	uv_timer_init(loop, &g->timer);
	g->handles = 2;
	g->poll.data = g->timer.data = g;
	g->cb = cb;
	g->arg = arg;
	g->fd = fd;
	g->pause_ms = GREETER_ASK_MIN_MS;
	uv_poll_start(&g->poll, UV_READABLE, greeter_on_readable);
	ask(g);
	return g;
}
