// SPDX-License-Identifier: Apache-2.0
/*
 * logfile.c - The log of a session in a file, read page by page
 */
#include "host/daemon/logfile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "host/transfer.h"

#define PIECE (64u << 10) /* Bytes; the events in it are a page. */

struct page {
	struct logfile *l;
	struct event_list *out;
	struct err *e;
};

int logfile_open(struct logfile *l, const char *folder, const char *session)
{
	char path[PATH_MAX];
	int fd;

	*l = (struct logfile){0};
	if (snprintf(path, sizeof(path), "%s/%s.jsonl", folder, session) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	l->fd = fd;
	memcpy(l->session, session, ID_MAX);
	lines_init(&l->lines, EVENT_LINE_MAX);
	return 0;
}

static int take_head(struct page *p, const char *line, size_t len)
{
	char session[ID_MAX];
	int r = transfer_read_head(line, len, session, p->e);

	if (r < 0)
		return r;
	p->l->has_head = true;
	return strcmp(session, p->l->session) == 0
		       ? 0
		       : err_set(p->e, -FAULT_INVALID_ARGUMENT,
				 "the log of %s is one of %s", p->l->session,
				 session);
}

static int take_line(char *line, size_t len, void *arg)
{
	struct page *p = arg;
	struct event *ev;
	int r;

	if (!p->l->has_head)
		return take_head(p, line, len);
	if (len == 0)
		return 0;
	r = event_parse(line, len, &ev, p->e);
	if (r < 0)
		return r;
	TAILQ_INSERT_TAIL(p->out, ev, link);
	if (strcmp(ev->session, p->l->session) != 0 ||
	    ev->seq != p->l->last_seq + 1)
		return err_set(p->e, -FAULT_BAD_FRAME,
			       "%s: an event of another session, or not the "
			       "next one",
			       p->l->session);
	p->l->last_seq = ev->seq;
	p->l->epoch = ev->epoch;
	return 0;
}

/* Return: 1; 0 at the end; an error. */
static int take_piece(struct page *p, char *buf)
{
	struct logfile *l = p->l;
	ssize_t n = read(l->fd, buf, PIECE);
	int r;

	if (n < 0)
		return err_set(p->e, -errno, "read the log of %s: %s",
			       l->session, strerror(errno));
	if (n == 0)
		return l->lines.len == 0
			       ? 0
			       : err_set(p->e, -FAULT_INVALID_ARGUMENT,
					 "the log of %s is cut off",
					 l->session);
	r = lines_feed(&l->lines, buf, (size_t)n, take_line, p);
	if (r == -EMSGSIZE)
		return err_set(p->e, -FAULT_MESSAGE_TOO_LARGE,
			       "%s: a line is longer than %u bytes", l->session,
			       EVENT_LINE_MAX);
	return r < 0 ? r : 1;
}

int logfile_next(struct logfile *l, struct event_list *out, struct err *e)
{
	struct page p = {.l = l, .out = out, .e = e};
	autofree char *buf = malloc(PIECE);
	int r = 1;

	if (buf == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", l->session);
	while (r > 0 && TAILQ_EMPTY(out))
		r = take_piece(&p, buf);
	if (r < 0)
		event_list_free(out);
	return r < 0 ? r : 0;
}

void logfile_close(struct logfile *l)
{
	if (l->session[0] == '\0')
		return;
	close_fd(&l->fd);
	lines_done(&l->lines);
	*l = (struct logfile){0};
}
