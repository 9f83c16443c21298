// SPDX-License-Identifier: Apache-2.0
/*
 * test_still.c - A loop that does nothing for a while, and goes on where it was
 *
 * What still.c reads of libuv's handles is not promised by libuv: this is where
 * a change of it shows.
 */
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include "core/loop.h"
#include "guest/still.h"
#include "tests/tap.h"

struct all {
	uv_loop_t *loop;
	uv_timer_t timer, again, exempt;
	uv_poll_t poll;
	uv_pipe_t pipe;
	int poll_fds[2], pipe_fds[2];
	unsigned n_timer, n_again, n_exempt, n_poll, n_read;
	int events;
	char buf[16];
};

static struct all all;

static void on_timer(uv_timer_t *t)
{
	if (t == &all.timer)
		all.n_timer++;
	else if (t == &all.again)
		all.n_again++;
	else
		all.n_exempt++;
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	char c;

	(void)p;
	EQ(status, 0);
	all.events |= events;
	all.n_poll += read(all.poll_fds[0], &c, 1) == 1;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	(void)h;
	(void)hint;
	*buf = uv_buf_init(all.buf, sizeof(all.buf));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	(void)s;
	(void)buf;
	if (n > 0)
		all.n_read += (unsigned)n;
}

static bool is_exempt(const uv_handle_t *h, void *arg)
{
	(void)arg;
	return h == (const uv_handle_t *)&all.exempt;
}

static void put(int fd)
{
	EQ(write(fd, "x", 1), 1);
}

static void begin(void)
{
	all.loop = uv_default_loop();
	OK(pipe2(all.poll_fds, O_CLOEXEC | O_NONBLOCK) == 0);
	OK(pipe2(all.pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0);
	uv_timer_init(all.loop, &all.timer);
	uv_timer_init(all.loop, &all.again);
	uv_timer_init(all.loop, &all.exempt);
	uv_poll_init(all.loop, &all.poll, all.poll_fds[0]);
	uv_poll_start(&all.poll, UV_READABLE, on_poll);
	uv_pipe_init(all.loop, &all.pipe, 0);
	uv_pipe_open(&all.pipe, all.pipe_fds[0]);
	uv_read_start((uv_stream_t *)&all.pipe, on_alloc, on_read);
	uv_run(all.loop, UV_RUN_NOWAIT);
}

static void on_walk(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void end(void)
{
	uv_walk(all.loop, on_walk, NULL);
	uv_run(all.loop, UV_RUN_DEFAULT);
	close(all.poll_fds[0]);
	close(all.poll_fds[1]);
	close(all.pipe_fds[1]);
	uv_loop_close(all.loop);
}

/* Let the loop work for some time. */
static void work(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		uv_run(all.loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

TEST(nothing_comes_and_all_of_it_comes_later)
{
	struct still s = {0};
	uint64_t before;

	begin();
	uv_timer_start(&all.timer, on_timer, 60, 0);
	uv_timer_start(&all.again, on_timer, 10, 10);
	uv_timer_start(&all.exempt, on_timer, 20, 0);
	before = loop_now(all.loop);
	EQ(still_begin(&s, all.loop, is_exempt, NULL), 0);
	put(all.poll_fds[1]);
	put(all.pipe_fds[1]);
	work(150);
	EQ(all.n_timer + all.n_again + all.n_poll + all.n_read, 0);
	EQ(all.n_exempt, 1);
	still_end(&s);
	OK(loop_now(all.loop) - before < 20);
	OK(uv_timer_get_due_in(&all.timer) >= 40);
	EQ(uv_timer_get_repeat(&all.again), 10);
	while (all.n_timer == 0 || all.n_poll == 0 || all.n_read == 0)
		uv_run(all.loop, UV_RUN_ONCE);
	OK(all.n_again >= 2);
	EQ(all.events, UV_READABLE);
	EQ(all.n_timer, 1);
	end();
}

TEST(what_was_not_at_work_stays_so)
{
	struct still s = {0};

	begin();
	uv_poll_stop(&all.poll);
	uv_read_stop((uv_stream_t *)&all.pipe);
	EQ(still_begin(&s, all.loop, is_exempt, NULL), 0);
	still_end(&s);
	put(all.poll_fds[1]);
	put(all.pipe_fds[1]);
	work(5);
	EQ(all.n_poll + all.n_read, 0);
	end();
}

TEST(what_is_closed_or_started_meanwhile_is_left_alone)
{
	struct still s = {0};

	begin();
	uv_timer_start(&all.timer, on_timer, 5, 0);
	uv_timer_start(&all.again, on_timer, 5, 0);
	EQ(still_begin(&s, all.loop, is_exempt, NULL), 0);
	uv_close((uv_handle_t *)&all.poll, NULL);
	uv_close((uv_handle_t *)&all.again, NULL);
	uv_timer_start(&all.timer, on_timer, 10000, 0);
	work(5);
	still_end(&s);
	OK(uv_timer_get_due_in(&all.timer) > 5000);
	work(20);
	EQ(all.n_timer + all.n_again, 0);
	end();
}

TESTS(CASE(nothing_comes_and_all_of_it_comes_later),
      CASE(what_was_not_at_work_stays_so),
      CASE(what_is_closed_or_started_meanwhile_is_left_alone))
