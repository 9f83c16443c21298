// SPDX-License-Identifier: Apache-2.0
/*
 * lower.c - Committed files as a read-only file system
 *
 * The mount, and the session with the kernel: requests come by a poll of the
 * FUSE descriptor, as many at a time as there are, and lower_ops.c answers them.
 */
#include "vfs/lower.h"

#include <fcntl.h>
#include <fuse_log.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "core/log.h"
#include "vfs/lower_impl.h"

#define LOG_COMPONENT	"vfs"
#define REQUESTS_A_TURN 64 /* Of the loop. */

/* The kernel has unmounted, or aborts the connection. */
static void stop_serving(struct vfs_lower *l, int code)
{
	(void)uv_poll_stop(&l->poll);
	log_debug("%s: no more requests: %s", l->at, strerror(-code));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct vfs_lower *l = container_of(poll, struct vfs_lower, poll);

	(void)status;
	(void)events;
	for (int i = 0; i < REQUESTS_A_TURN; i++) {
		int n = fuse_session_receive_buf(l->session, &l->buf);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			stop_serving(l, n < 0 ? n : -ENODEV);
			return;
		}
		fuse_session_process_buf(l->session, &l->buf);
		if (!TAILQ_EMPTY(&l->interrupted))
			lower_end_killed(l);
		lower_tell_changes(l);
	}
}

static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[ERR_MSG_MAX];

	(void)level;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
}

int vfs_fuse_open(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int mount_fuse(int fuse, const char *at, struct err *e)
{
	char options[160];
	int r;

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,"
		 "default_permissions",
		 fuse);
	if (mount("hibernacle", at, "fuse.hib",
		  MS_RDONLY | MS_NOSUID | MS_NODEV, options) == 0)
		return 0;
	r = -errno;
	return err_set(e, r, "mount FUSE on %s: %s", at, strerror(-r));
}

/* From here on the session owns the descriptor. */
static int make_session(struct vfs_lower *l, int *fuse, struct err *e)
{
	char name[] = "hib", path[sizeof("/dev/fd/-2147483648")];
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	fuse_set_log_func(log_fuse);
	l->session = fuse_session_new(&args, &lower_ops, sizeof(lower_ops), l);
	fuse_opt_free_args(&args);
	if (l->session == NULL)
		return err_set(e, -ENOMEM, "FUSE: no session");
	snprintf(path, sizeof(path), "/dev/fd/%d", *fuse);
	if (fuse_session_mount(l->session, path) < 0)
		return err_set(e, -EIO, "FUSE: no session on a descriptor");
	(void)take_fd(fuse);
	return 0;
}

static int start_polling(struct vfs_lower *l, struct err *e)
{
	int fd = fuse_session_fd(l->session), r;

	r = uv_poll_init(l->loop, &l->poll, fd);
	if (r < 0)
		return err_set(e, r, "FUSE: %s", uv_strerror(r));
	l->open++;
	r = uv_poll_start(&l->poll, UV_READABLE, on_readable);
	return r < 0 ? err_set(e, r, "FUSE: %s", uv_strerror(r)) : 0;
}

/* What needs no handle. */
static int prepare(struct vfs_lower *l, const char *at, int *fuse,
		   struct err *e)
{
	int r = 0;

	l->at = strdup(at);
	if (l->at == NULL)
		return err_set(e, -ENOMEM, "FUSE: out of memory");
	if (l->spec.cache != NULL)
		r = objcache_open(l->spec.cache, l->spec.cache_bytes, &l->cache,
				  e);
	return r < 0 ? r : make_session(l, fuse, e);
}

static void free_lower(struct vfs_lower *l)
{
	if (l->session != NULL)
		fuse_session_destroy(l->session);
	dirs_done(&l->dirs);
	nodes_done(&l->nodes);
	objcache_close(l->cache);
	free(l->buf.mem);
	free(l->at);
	free(l);
}

static void part_closed(void *arg)
{
	struct vfs_lower *l = arg;
	void (*closed)(void *arg) = l->closed;
	void *closed_arg = l->arg;

	if (--l->open > 0)
		return;
	free_lower(l);
	if (closed != NULL)
		closed(closed_arg);
}

static void on_poll_closed(uv_handle_t *poll)
{
	part_closed(container_of((uv_poll_t *)poll, struct vfs_lower, poll));
}

static void on_look_closed(uv_handle_t *look)
{
	part_closed(container_of((uv_timer_t *)look, struct vfs_lower, look));
}

static void close_parts(struct vfs_lower *l)
{
	if (uv_is_active((const uv_handle_t *)&l->poll))
		(void)uv_poll_stop(&l->poll);
	if (l->poll.loop != NULL)
		uv_close((uv_handle_t *)&l->poll, on_poll_closed);
	uv_close((uv_handle_t *)&l->look, on_look_closed);
	fetch_close(&l->fetch, part_closed, l);
	blobs_close(&l->blobs, part_closed, l);
}

static int start(struct vfs_lower *l, struct err *e)
{
	int r = mount_fuse(fuse_session_fd(l->session), l->at, e);

	if (r < 0)
		return r;
	r = start_polling(l, e);
	if (r < 0)
		(void)umount2(l->at, MNT_DETACH);
	return r;
}

int vfs_lower_open(uv_loop_t *loop, int fuse, const char *at,
		   const struct vfs_lower_spec *spec, struct vfs_lower **out,
		   struct err *e)
{
	struct vfs_lower *l = calloc(1, sizeof(*l));
	autoclose int fd = fuse;
	int r;

	if (l == NULL)
		return err_set(e, -ENOMEM, "FUSE: out of memory");
	l->loop = loop;
	l->spec = *spec;
	TAILQ_INIT(&l->interrupted);
	nodes_init(&l->nodes);
	r = fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	r = r < 0 ? err_set(e, r, "FUSE: %s", strerror(-r))
		  : prepare(l, at, &fd, e);
	if (r < 0) {
		free_lower(l);
		return r;
	}
	(void)fetch_init(&l->fetch, loop, spec);
	dirs_init(&l->dirs, &l->fetch, l->cache);
	blobs_init(&l->blobs, loop, &l->fetch, l->cache);
	ahead_init(&l->ahead, &l->dirs, &l->blobs, &l->fetch);
	(void)uv_timer_init(loop, &l->look);
	l->open = 3;
	r = start(l, e);
	if (r < 0) {
		close_parts(l);
		return r;
	}
	*out = l;
	return 0;
}

void vfs_lower_close(struct vfs_lower *l, void (*closed)(void *arg), void *arg)
{
	l->closed = closed;
	l->arg = arg;
	(void)umount2(l->at, MNT_DETACH);
	close_parts(l);
}

void vfs_lower_stats(const struct vfs_lower *l, struct vfs_lower_stats *out)
{
	*out = (struct vfs_lower_stats){
		.trees = l->fetch.trees,
		.blobs = l->fetch.blobs,
		.cache_hits = l->blobs.hits + l->dirs.hits,
		.nodes = l->nodes.table.n,
		.dirs = l->dirs.n,
		.dirs_bytes = l->dirs.bytes,
	};
}
