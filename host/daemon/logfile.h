/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile.h - The log of a session in a file, read page by page
 *
 * The file is an export (host/transfer.h) from a stranger: each line is checked as
 * if a guest had sent it, and all must belong to the session that was named.  What
 * an event may say where is for who stores it.
 *
 * It blocks; a file is for one thread at a time.
 */
#ifndef HOST_DAEMON_LOGFILE_H
#define HOST_DAEMON_LOGFILE_H

#include "core/event.h"
#include "core/lines.h"

struct logfile {
	char session[ID_MAX];
	int64_t last_seq, epoch; /* Of the last event that was read. */
	/* Private. */
	int fd;
	struct lines lines;
	bool has_head;
};

/* Open @folder/<session>.jsonl.  Return: 0 or a negative errno. */
int logfile_open(struct logfile *l, const char *folder, const char *session);
/* The next events, into the empty @out; none at the end.
 * Return: 0; -FAULT_INVALID_ARGUMENT, -FAULT_BAD_FRAME, or
 * -FAULT_MESSAGE_TOO_LARGE when it is no log of that session; another code. */
int logfile_next(struct logfile *l, struct event_list *out, struct err *e);
/* One that is all zeros is closed. */
void logfile_close(struct logfile *l);

#endif
