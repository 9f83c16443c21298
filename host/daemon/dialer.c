// SPDX-License-Identifier: Apache-2.0
/*
 * dialer.c - Connect to a stream of a machine, again each time it is lost
 */
#include "host/daemon/dialer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/greeter.h"

#define LOG_COMPONENT "dialer"

struct dialer {
	struct dialer_spec spec;
	const struct dialer_events *ev;
	void *arg;
	bool closed, connected;
	uv_timer_t retry;
	uv_fs_event_t watch;
	uint64_t retry_ms;
	struct greeter *greeter; /* While the guest is being met. */
	unsigned handles;	 /* Not yet closed. */
};

static void dialer_on_retry(uv_timer_t *t);

static void dialer_schedule(struct dialer *d)
{
	uv_timer_start(&d->retry, dialer_on_retry, d->retry_ms, 0);
	d->retry_ms *= 2;
	if (d->retry_ms > DIALER_RETRY_MAX_MS)
		d->retry_ms = DIALER_RETRY_MAX_MS;
}

/* Make a stream of a connected descriptor.  NULL: it is closed. */
static uv_stream_t *stream_of_fd(uv_loop_t *loop, int fd)
{
	uv_pipe_t *pipe = malloc(sizeof(*pipe));

	if (pipe == NULL) {
		close(fd);
		return NULL;
	}
	uv_pipe_init(loop, pipe, 0);
	if (uv_pipe_open(pipe, fd) == 0)
		return (uv_stream_t *)pipe;
	close(fd);
	uv_close((uv_handle_t *)pipe, (uv_close_cb)free);
	return NULL;
}

static void dialer_miss(struct dialer *d)
{
	if (d->ev->missed != NULL)
		d->ev->missed(d->arg);
	if (!d->closed)
		dialer_schedule(d);
}

static void take_stream(struct dialer *d, uv_stream_t *io)
{
	d->connected = true;
	uv_timer_stop(&d->retry);
	uv_fs_event_stop(&d->watch);
	d->ev->connected(io, d->arg);
}

static void dialer_on_greeted(int fd, void *arg)
{
	struct dialer *d = arg;
	uv_stream_t *io = fd < 0 ? NULL : stream_of_fd(d->spec.loop, fd);

	d->greeter = NULL;
	if (io == NULL)
		dialer_miss(d);
	else
		take_stream(d, io);
}

static void dialer_try(struct dialer *d)
{
	uv_stream_t *io = NULL;
	struct err e = {0};
	int fd;

	if (d->closed || d->connected || d->greeter != NULL)
		return;
	fd = d->spec.ops->channel(d->spec.machine, d->spec.name, &e);
	if (fd >= 0 && d->spec.ops->greets) {
		d->greeter =
			greeter_start(d->spec.loop, fd, dialer_on_greeted, d);
		if (d->greeter == NULL)
			dialer_miss(d);
		return;
	}
	if (fd >= 0)
		io = stream_of_fd(d->spec.loop, fd);
	else if (fd != -EAGAIN)
		log_debug("%s: %s", d->spec.name, e.msg);
	if (io == NULL) {
		dialer_miss(d);
		return;
	}
	take_stream(d, io);
}

static void dialer_on_retry(uv_timer_t *t)
{
	dialer_try(t->data);
}

/* It is there, and listens now or in a moment. */
static void dialer_on_run_changed(uv_fs_event_t *h, const char *name,
				  int events, int status)
{
	struct dialer *d = h->data;
	char want[64];

	(void)events;
	snprintf(want, sizeof(want), "%s.sock", d->spec.name);
	if (status != 0 || name == NULL || strcmp(name, want) != 0)
		return;
	d->retry_ms = DIALER_RETRY_MIN_MS;
	dialer_try(d);
}

void dialer_again(struct dialer *d)
{
	d->connected = false;
	dialer_schedule(d);
}

void dialer_good(struct dialer *d)
{
	d->retry_ms = DIALER_RETRY_MIN_MS;
}

void dialer_slow(struct dialer *d)
{
	d->retry_ms = DIALER_RETRY_MAX_MS;
}

static void dialer_on_handle_closed(uv_handle_t *h)
{
	struct dialer *d = h->data;

	if (--d->handles == 0)
		free(d);
}

struct dialer *dialer_open(const struct dialer_spec *spec,
			   const struct dialer_events *ev, void *arg)
{
	struct dialer *d = calloc(1, sizeof(*d));
	char run[PATH_MAX];

	if (d == NULL)
		return NULL;
	d->spec = *spec;
	d->ev = ev;
	d->arg = arg;
	d->retry_ms = DIALER_RETRY_MIN_MS;
	uv_timer_init(spec->loop, &d->retry);
	uv_fs_event_init(spec->loop, &d->watch);
	d->handles = 2;
	d->retry.data = d->watch.data = d;

	snprintf(run, sizeof(run), "%s/run", spec->dir);
	/* Without a watch the timer alone finds the socket, a little later. */
	(void)uv_fs_event_start(&d->watch, dialer_on_run_changed, run, 0);
	uv_timer_start(&d->retry, dialer_on_retry, 0, 0);
	return d;
}

void dialer_close(struct dialer *d)
{
	if (d == NULL)
		return;
	d->closed = true;
	greeter_cancel(take_ptr(d->greeter));
	uv_close((uv_handle_t *)&d->retry, dialer_on_handle_closed);
	uv_close((uv_handle_t *)&d->watch, dialer_on_handle_closed);
}
