// SPDX-License-Identifier: Apache-2.0
/*
 * console.c - Keep the console log of a VM that runs short
 *
 * News of the file come by inotify; after one, nothing is listened to until the
 * next look, so a guest that never stops printing costs a few looks a second.
 */
#include "host/console.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base.h"

struct console {
	char path[PATH_MAX];
	uv_fs_event_t news;
	uv_timer_t look;
	unsigned open; /* Handles not yet closed. */
};

static void console_on_news(uv_fs_event_t *h, const char *name, int events,
			    int status);

static void console_on_look(uv_timer_t *t)
{
	struct console *c = t->data;
	autoclose int fd =
		open(c->path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size > CONSOLE_MAX_BYTES)
		(void)!ftruncate(fd, 0);
	(void)uv_fs_event_start(&c->news, console_on_news, c->path, 0);
}

static void console_on_news(uv_fs_event_t *h, const char *name, int events,
			    int status)
{
	struct console *c = h->data;

	(void)name, (void)events, (void)status;
	uv_fs_event_stop(h);
	uv_timer_start(&c->look, console_on_look, CONSOLE_LOOK_MS, 0);
}

static void console_on_closed(uv_handle_t *h)
{
	struct console *c = h->data;

	if (--c->open == 0)
		free(c);
}

struct console *console_watch(uv_loop_t *loop, const char *vm_dir)
{
	struct console *c = calloc(1, sizeof(*c));
	int n;

	if (c == NULL)
		return NULL;
	n = snprintf(c->path, sizeof(c->path), "%s/console.log", vm_dir);
	if (n < 0 || (size_t)n >= sizeof(c->path)) {
		free(c);
		return NULL;
	}
	uv_fs_event_init(loop, &c->news);
	uv_timer_init(loop, &c->look);
	uv_unref((uv_handle_t *)&c->news);
	uv_unref((uv_handle_t *)&c->look);
	c->news.data = c->look.data = c;
	c->open = 2;
	uv_timer_start(&c->look, console_on_look, 0, 0);
	return c;
}

void console_close(struct console *c)
{
	if (c == NULL)
		return;
	uv_close((uv_handle_t *)&c->news, console_on_closed);
	uv_close((uv_handle_t *)&c->look, console_on_closed);
}
