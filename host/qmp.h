/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp.h - Talk with QEMU's monitor (QMP)
 *
 * JSON objects, one on a line: QEMU greets, we ask for no capability, and then
 * it answers commands, one at a time here, and tells events in between.  QEMU
 * has a guest in it and is not trusted: its lines are bounded, each command has a
 * deadline, and whatever does not fit ends the connection.
 */
#ifndef HOST_QMP_H
#define HOST_QMP_H

#include <uv.h>

#include "core/err.h"
#include "core/json.h"

#define QMP_LINE_MAX	(64 << 10) /* Bytes of what QEMU says at once. */
#define QMP_TIMEOUT_MS	10000	   /* For the greeting, and each command. */
#define QMP_VERSION_MAX 64

struct qmp; /* One connection; opaque. */

struct qmp_events {
	/* It has greeted and takes commands.  @version: of QEMU, "7.2.22". */
	void (*ready)(struct qmp *q, const char *version, void *arg);
	/* An event; @data holds during the call. */
	void (*event)(struct qmp *q, const char *name, struct jv data,
		      void *arg);
	/* The connection is of no more use; a command that was under way is
	 * not answered.  The owner calls qmp_close(), in this call or later. */
	void (*broken)(struct qmp *q, const struct err *e, void *arg);
};

/* The answer to a command: @e->code is 0, or why it failed. */
typedef void (*qmp_cb)(struct qmp *q, const struct err *e, struct jv result,
		       void *arg);

struct qmp_command {
	const char *name;
	const char *arguments; /* A JSON object, trusted; NULL: none. */
	int fd; /* Goes with it, and stays the caller's; or -1. */
};

/**
 * qmp_open() - Begin to talk
 * @fd: Connected and non-blocking; owned by the callee in any case
 * @ev: Must outlive the connection
 *
 * Return: the connection, or NULL without memory.
 */
struct qmp *qmp_open(uv_loop_t *loop, int fd, const struct qmp_events *ev,
		     void *arg);
/* Ask; only when ready, and not before the command before was answered. */
void qmp_ask(struct qmp *q, const struct qmp_command *c, qmp_cb cb, void *arg);
/* No callback comes any more.  NULL is allowed.  Its memory goes with one of
 * the loop's next turns. */
void qmp_close(struct qmp *q);

/* --- what the above is made of ------------------------------------------- */

enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

#define QMP_NAME_MAX 64 /* Bytes of an event's name, with its NUL. */

struct qmp_message {
	enum qmp_kind kind;
	int64_t id;		 /* Of an answer; -1: none. */
	char name[QMP_NAME_MAX]; /* Of an event; of a greeting the version. */
	char words[ERR_MSG_MAX]; /* Of an error, printable. */
	struct jv value;	 /* What was returned, or an event's data. */
};

/* Read one line of QEMU into @out, whose value points into @j.
 * Return: 0, or a negative errno when it is none of those. */
int qmp_read(struct json *j, const char *line, size_t n,
	     struct qmp_message *out, struct err *e);

#endif
