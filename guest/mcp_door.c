// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_door.c - Where the shims of one session knock
 *
 *	<folder>/<session>/self/mcp.sock
 *
 * The session sees <folder>/<session> as MCP_SHIM_DIR.  A visitor that says
 * nothing, too much, or something else is sent away; he cannot hold us up.
 */
#include "guest/mcp_door.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/json.h"
#include "core/unixsock.h"
#include "guest/limits.h"
#include "guest/mcp_shim.h"

/* One that has knocked, until he has said whom he wants. */
struct visit {
	TAILQ_ENTRY(visit) link;
	struct mcp_door *door; /* NULL: it was closed. */
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned open; /* Handles. */
	int fd;
	int pipes[2]; /* That came with the line, or -1. */
	size_t len;
	char line[MCP_KNOCK_MAX];
};

struct mcp_door {
	uv_poll_t poll;
	int fd; /* -1: does not listen. */
	const struct mcp_door_events *ev;
	void *arg;
	TAILQ_HEAD(visit_list, visit) visits;
	unsigned n_visits;
	char *folder, *self, *socket;
	char session[];
};

/*
 * The end of a visit.
 */

static void visit_on_closed(uv_handle_t *h)
{
	struct visit *v = h->data;

	if (--v->open > 0)
		return;
	close_fd(&v->fd);
	close_fd(&v->pipes[0]);
	close_fd(&v->pipes[1]);
	free(v);
}

/* Descriptors that nobody has taken go with it. */
static void visit_end(struct visit *v)
{
	TAILQ_REMOVE(&v->door->visits, v, link);
	v->door->n_visits--;
	v->door = NULL;
	uv_close((uv_handle_t *)&v->poll, visit_on_closed);
	uv_close((uv_handle_t *)&v->timer, visit_on_closed);
}

static void visit_on_timeout(uv_timer_t *t)
{
	visit_end(container_of(t, struct visit, timer));
}

/*
 * What he says.
 */

/* Whoever sent a pipe has its open file still, and could make it one that blocks
 * us: we use an open file of our own.  A socket is asked not to wait each time. */
static bool make_own(int *fd, int access)
{
	char path[sizeof("/proc/self/fd/") + 11];
	int flags = fcntl(*fd, F_GETFL), own;

	if (flags < 0 || !mcp_shim_passes(*fd))
		return false;
	if (fcntl(*fd, F_GETPIPE_SZ) < 0)
		return true;
	if ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != access)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	own = open(path, access | O_NONBLOCK | O_CLOEXEC);
	if (own < 0)
		return false;
	close_fd(fd);
	*fd = own;
	return true;
}

static void take_descriptors(struct visit *v, const struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd[2];
	size_t n;

	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS)
		return;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	for (size_t i = 0; i < n; i++) {
		close_fd(&v->pipes[i]);
		v->pipes[i] = fd[i];
	}
}

/* Return: whether to read on; the line may be complete. */
static bool visit_read(struct visit *v)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec iov = {v->line + v->len, sizeof(v->line) - v->len};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(v->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	take_descriptors(v, &m);
	v->len += (size_t)n;
	return n > 0 && (m.msg_flags & MSG_CTRUNC) == 0;
}

/* Whom does he want?  Return: 0 or a refusal. */
static int read_line(const struct visit *v, char server[MCP_NAME_MAX + 1],
		     struct err *e)
{
	autojson struct json j = {0};
	struct jv root;

	if (json_parse(&j, v->line, v->len - 1, NULL) < 0)
		return err_set(e, -EPROTO, "this is no line of a shim");
	root = json_root(&j);
	if (!jv_eq(jv_get(root, "session"), v->door->session))
		return err_set(e, -EPERM, "this is not the session's socket");
	if (jv_strcpy(jv_get(root, "server"), server, MCP_NAME_MAX + 1) < 0)
		return err_set(e, -ENOENT, "this is no name of a server");
	return 0;
}

static int check_pipes(struct visit *v, struct err *e)
{
	if (v->pipes[0] < 0 && v->pipes[1] < 0)
		return 0;
	if (make_own(&v->pipes[0], O_RDONLY) &&
	    make_own(&v->pipes[1], O_WRONLY))
		return 0;
	return err_set(e, -EPROTO, "stdin and stdout are no streams");
}

static void say(const struct visit *v, const char *words)
{
	char line[MCP_KNOCK_MAX];
	int n = snprintf(line, sizeof(line), "%s\n", words);

	(void)send(v->fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The line is complete. */
static void visit_decide(struct visit *v)
{
	struct mcp_door *d = v->door;
	char server[MCP_NAME_MAX + 1];
	struct mcp_visitor in = {.server = server, .shim = -1};
	struct err e = {0};

	if (read_line(v, server, &e) < 0 || check_pipes(v, &e) < 0 ||
	    d->ev->may(server, d->arg, &e) < 0) {
		say(v, e.msg);
		visit_end(v);
		return;
	}
	say(v, "");
	(void)uv_poll_stop(&v->poll);
	if (v->pipes[0] >= 0) {
		in.in = take_fd(&v->pipes[0]);
		in.out = take_fd(&v->pipes[1]);
		in.shim = fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
	} else {
		in.in = fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
		in.out = fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
	}
	visit_end(v);
	d->ev->enter(&in, d->arg);
}

static void visit_on_readable(uv_poll_t *p, int status, int events)
{
	struct visit *v = container_of(p, struct visit, poll);

	(void)events;
	if (status < 0 || !visit_read(v)) {
		visit_end(v);
		return;
	}
	if (v->len > 0 && v->line[v->len - 1] == '\n')
		visit_decide(v);
	else if (v->len == sizeof(v->line))
		visit_end(v);
}

static void door_on_knock(uv_poll_t *p, int status, int events)
{
	struct mcp_door *d = container_of(p, struct mcp_door, poll);
	autoclose int fd = -1;
	struct visit *v;

	(void)events;
	if (status < 0)
		return;
	fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || d->n_visits == MCP_KNOCKS_MAX)
		return;
	v = calloc(1, sizeof(*v));
	if (v == NULL || uv_poll_init(p->loop, &v->poll, fd) < 0) {
		free(v);
		return;
	}
	v->door = d;
	v->fd = take_fd(&fd);
	v->pipes[0] = v->pipes[1] = -1;
	v->poll.data = v;
	v->timer.data = v;
	v->open = 2;
	(void)uv_timer_init(p->loop, &v->timer);
	(void)uv_timer_start(&v->timer, visit_on_timeout, MCP_KNOCK_MS, 0);
	(void)uv_poll_start(&v->poll, UV_READABLE, visit_on_readable);
	TAILQ_INSERT_TAIL(&d->visits, v, link);
	d->n_visits++;
}

/*
 * The door.
 */

static void door_free(struct mcp_door *d)
{
	close_fd(&d->fd);
	free(d->folder);
	free(d->self);
	free(d->socket);
	free(d);
}

static void door_on_closed(uv_handle_t *h)
{
	door_free(container_of(h, struct mcp_door, poll));
}

static int make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "make %s: %s", path, strerror(errno));
	return 0;
}

static int listen_there(struct mcp_door *d, const char *folder, struct err *e)
{
	if (asprintf(&d->folder, "%s/%s", folder, d->session) < 0 ||
	    asprintf(&d->self, "%s/" MCP_SHIM_SELF, d->folder) < 0 ||
	    asprintf(&d->socket, "%s/" MCP_SHIM_SOCKET, d->self) < 0)
		return err_set(e, -ENOMEM, "mcp socket: out of memory");
	if (make_folder(folder, e) < 0 || make_folder(d->folder, e) < 0 ||
	    make_folder(d->self, e) < 0)
		return e->code;
	d->fd = unixsock_listen(d->socket, e);
	if (d->fd < 0)
		return d->fd;
	/* The agent's user is another, and nobody else sees the folder. */
	if (chmod(d->socket, 0666) < 0)
		return err_set(e, -errno, "chmod %s: %s", d->socket,
			       strerror(errno));
	return 0;
}

int mcp_door_open(uv_loop_t *loop, const char *folder, const char *session,
		  const struct mcp_door_events *ev, void *arg,
		  struct mcp_door **out, struct err *e)
{
	size_t n = strlen(session) + 1;
	struct mcp_door *d = calloc(1, sizeof(*d) + n);
	struct err why = {0};
	int r;

	if (d == NULL)
		return err_set(e, -ENOMEM, "mcp socket: out of memory");
	memcpy(d->session, session, n);
	d->fd = -1;
	d->ev = ev;
	d->arg = arg;
	TAILQ_INIT(&d->visits);
	r = listen_there(d, folder, &why);
	if (r == 0)
		r = uv_poll_init(loop, &d->poll, d->fd);
	if (r < 0) {
		door_free(d);
		return err_set(e, r, "%s", why.msg);
	}
	(void)uv_poll_start(&d->poll, UV_READABLE, door_on_knock);
	*out = d;
	return 0;
}

void mcp_door_close(struct mcp_door *d)
{
	if (d == NULL)
		return;
	while (!TAILQ_EMPTY(&d->visits))
		visit_end(TAILQ_FIRST(&d->visits));
	(void)unlink(d->socket);
	(void)rmdir(d->self);
	(void)rmdir(d->folder);
	uv_close((uv_handle_t *)&d->poll, door_on_closed);
}

const char *mcp_door_folder(const struct mcp_door *d)
{
	return d->folder;
}

const char *mcp_door_socket(const struct mcp_door *d)
{
	return d->socket;
}
