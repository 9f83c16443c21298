// SPDX-License-Identifier: Apache-2.0
/*
 * qmp.c - Talk with QEMU's monitor (QMP)
 *
 *	GREETING --- {"QMP":..} ---> CAPABILITIES --- {"return":{}} ---> READY
 *	    '------------------------------+---------------------------> BROKEN
 *
 * What we say is short: it either fits into the socket at once, or QEMU has
 * stopped reading and is of no use.  A descriptor goes with the first byte of
 * its command (SCM_RIGHTS), as QEMU expects it (monitor/fds.c).
 */
#include "host/qmp.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/lines.h"

#define READ_MAX (16 << 10)

enum state { GREETING, CAPABILITIES, READY, BROKEN, CLOSED };

struct qmp {
	const struct qmp_events *ev;
	void *arg;
	enum state state;
	int fd;
	uv_poll_t poll;
	uv_timer_t deadline;
	unsigned handles; /* Not yet closed. */
	struct lines lines;
	struct json json;
	char version[QMP_VERSION_MAX];
	int64_t last_id;
	qmp_cb cb; /* Of the command under way; or NULL. */
	void *cb_arg;
};

/* --- reading -------------------------------------------------------------- */

/* People will read it, and QEMU has written it. */
static void copy_words(struct jv from, char *out, size_t cap)
{
	autofree char *words = jv_strdup(from, NULL);

	snprintf(out, cap, "%s", words != NULL ? words : "no reason given");
	for (; *out != '\0'; out++)
		if (*out < ' ' || *out > '~')
			*out = '?';
}

static int read_greeting(struct jv qmp, struct qmp_message *out, struct err *e)
{
	struct jv v = jv_path(qmp, "version.qemu");

	if (!jv_is(v, JV_OBJECT))
		return err_set(e, -EPROTO, "qmp: a greeting without a version");
	out->kind = QMP_GREETING;
	snprintf(out->name, sizeof(out->name), "%lld.%lld.%lld",
		 (long long)jv_int(jv_get(v, "major"), 0),
		 (long long)jv_int(jv_get(v, "minor"), 0),
		 (long long)jv_int(jv_get(v, "micro"), 0));
	return 0;
}

static int read_event(struct jv root, struct qmp_message *out, struct err *e)
{
	out->kind = QMP_EVENT;
	out->value = jv_get(root, "data");
	if (jv_strcpy(jv_get(root, "event"), out->name, sizeof(out->name)) < 0)
		return err_set(e, -EPROTO, "qmp: an event without a name");
	return 0;
}

int qmp_read(struct json *j, const char *line, size_t n,
	     struct qmp_message *out, struct err *e)
{
	struct jv root, error;
	int r = json_parse(j, line, n, e);

	if (r < 0)
		return err_wrap(e, "qmp");
	root = json_root(j);
	*out = (struct qmp_message){.id = jv_int(jv_get(root, "id"), -1)};
	if (jv_has(jv_get(root, "QMP")))
		return read_greeting(jv_get(root, "QMP"), out, e);
	if (jv_has(jv_get(root, "event")))
		return read_event(root, out, e);
	error = jv_get(root, "error");
	out->kind = jv_has(error) ? QMP_ERROR : QMP_RETURN;
	out->value = jv_get(root, "return");
	if (jv_has(error))
		copy_words(jv_get(error, "desc"), out->words,
			   sizeof(out->words));
	else if (!jv_has(out->value))
		return err_set(e, -EPROTO, "qmp: a message of no known kind");
	return 0;
}

/* --- life ----------------------------------------------------------------- */

static void qmp_on_closed(uv_handle_t *h)
{
	struct qmp *q = h->data;

	if (--q->handles > 0)
		return;
	close_fd(&q->fd);
	lines_done(&q->lines);
	json_done(&q->json);
	free(q);
}

void qmp_close(struct qmp *q)
{
	if (q == NULL)
		return;
	assert(q->state != CLOSED);
	q->state = CLOSED;
	uv_close((uv_handle_t *)&q->poll, qmp_on_closed);
	uv_close((uv_handle_t *)&q->deadline, qmp_on_closed);
}

static void qmp_break(struct qmp *q, const struct err *e)
{
	if (q->state >= BROKEN)
		return;
	q->state = BROKEN;
	uv_poll_stop(&q->poll);
	uv_timer_stop(&q->deadline);
	q->ev->broken(q, e, q->arg);
}

static void qmp_on_deadline(uv_timer_t *t)
{
	struct err e;

	err_set(&e, -ETIMEDOUT, "qmp: no answer within %d ms", QMP_TIMEOUT_MS);
	qmp_break(t->data, &e);
}

/* --- commands ------------------------------------------------------------- */

static int send_with_fd(int to, const char *text, size_t n, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)text, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.head =
			(struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	sent = sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return -errno;
	return (size_t)sent == n ? 0 : -EAGAIN;
}

static int qmp_send(struct qmp *q, const struct qmp_command *c)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "execute", c->name);
	if (c->arguments != NULL)
		jw_kraw(&w, "arguments", c->arguments);
	jw_kint(&w, "id", ++q->last_id);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	if (w.failed)
		return -ENOMEM;
	uv_timer_start(&q->deadline, qmp_on_deadline, QMP_TIMEOUT_MS, 0);
	return send_with_fd(q->fd, w.buf, w.len, c->fd);
}

/* A command that could not be sent breaks the connection from the loop, as all
 * else does. */
static void qmp_on_unsent(uv_timer_t *t)
{
	struct err e;

	err_set(&e, -EPIPE, "qmp: QEMU takes no commands");
	qmp_break(t->data, &e);
}

void qmp_ask(struct qmp *q, const struct qmp_command *c, qmp_cb cb, void *arg)
{
	assert(q->state == READY && q->cb == NULL);
	q->cb = cb;
	q->cb_arg = arg;
	if (qmp_send(q, c) < 0)
		uv_timer_start(&q->deadline, qmp_on_unsent, 0, 0);
}

/* --- what QEMU says ------------------------------------------------------- */

static int on_greeting(struct qmp *q, const struct qmp_message *m,
		       struct err *e)
{
	const struct qmp_command c = {.name = "qmp_capabilities", .fd = -1};
	int r;

	snprintf(q->version, sizeof(q->version), "%s", m->name);
	q->state = CAPABILITIES;
	r = qmp_send(q, &c);
	return r < 0 ? err_set(e, r, "qmp: QEMU takes no commands") : 0;
}

static int on_answer(struct qmp *q, const struct qmp_message *m, struct err *e)
{
	qmp_cb cb = take_ptr(q->cb);
	struct err why = {0};

	if (m->id != q->last_id)
		return err_set(e, -EPROTO, "qmp: an answer to nothing");
	uv_timer_stop(&q->deadline);
	if (m->kind == QMP_ERROR)
		err_set(&why, -EIO, "QEMU: %s", m->words);
	if (q->state == READY && cb != NULL) {
		cb(q, &why, m->value, q->cb_arg);
		return 0;
	}
	if (q->state != CAPABILITIES || why.code != 0)
		return err_set(e, -EPROTO, "qmp: an answer to nothing");
	q->state = READY;
	q->ev->ready(q, q->version, q->arg);
	return 0;
}

/* Return: non-zero when the connection is over, or broke. */
static int qmp_on_line(char *line, size_t n, void *arg)
{
	struct qmp *q = arg;
	struct qmp_message m;
	struct err e = {0};
	int r = qmp_read(&q->json, line, n, &m, &e);

	if (r == 0 && (m.kind == QMP_GREETING) != (q->state == GREETING))
		r = err_set(&e, -EPROTO, "qmp: a greeting out of place");
	else if (r == 0 && m.kind == QMP_GREETING)
		r = on_greeting(q, &m, &e);
	else if (r == 0 && m.kind != QMP_EVENT)
		r = on_answer(q, &m, &e);
	else if (r == 0 && q->state == READY)
		q->ev->event(q, m.name, m.value, q->arg);
	if (r < 0)
		qmp_break(q, &e);
	return q->state >= BROKEN;
}

static void qmp_on_readable(uv_poll_t *h, int status, int events)
{
	struct qmp *q = h->data;
	char buf[READ_MAX];
	struct err e;
	ssize_t n = recv(q->fd, buf, sizeof(buf), MSG_DONTWAIT);
	int r;

	(void)events;
	if (status == 0 && n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* libuv has stopped watching a socket that it reports an error of. */
	r = status < 0 || n <= 0
		    ? err_set(&e, -ECONNRESET, "qmp: QEMU has hung up")
		    : lines_feed(&q->lines, buf, (size_t)n, qmp_on_line, q);
	if (r == -EMSGSIZE)
		err_set(&e, r, "qmp: a line of more than %d bytes",
			QMP_LINE_MAX);
	if (r < 0)
		qmp_break(q, &e);
}

struct qmp *qmp_open(uv_loop_t *loop, int fd, const struct qmp_events *ev,
		     void *arg)
{
	struct qmp *q = calloc(1, sizeof(*q));

	if (q == NULL || uv_poll_init(loop, &q->poll, fd) < 0) {
		free(q);
		close(fd);
		return NULL;
	}
	uv_timer_init(loop, &q->deadline);
	q->handles = 2;
	q->poll.data = q->deadline.data = q;
	q->ev = ev;
	q->arg = arg;
	q->fd = fd;
	lines_init(&q->lines, QMP_LINE_MAX);
	uv_poll_start(&q->poll, UV_READABLE, qmp_on_readable);
	uv_timer_start(&q->deadline, qmp_on_deadline, QMP_TIMEOUT_MS, 0);
	return q;
}
