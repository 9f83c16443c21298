/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc_impl.h - Private to proc*.c: the proc object
 *
 *	proc.c		its init: started, signalled, at its end
 *	proc_pipes.c	what it writes and reads
 *	proc_handover.c	for the program that this process becomes
 */
#ifndef GUEST_PROC_IMPL_H
#define GUEST_PROC_IMPL_H

#include "core/lines.h"
#include "guest/proc.h"
#include "guest/spawn.h"

#define PROC_READ_MAX (64u << 10)

enum proc_state { PROC_RUNNING, PROC_DRAINING, PROC_CLOSING };

struct buffer {
	char *data;
	size_t len, cap;
};

struct proc {
	enum proc_state state;
	bool isolate;
	bool paused;
	bool bytes;	  /* stdout is not cut into lines. */
	bool told;	  /* The init has reported an end. */
	bool kill_due;	  /* All, as soon as there is an init. */
	int signal_due;	  /* The same for a signal; 0: none. */
	bool close_stdin; /* Once all is written. */
	bool in_open, out_open, err_open;

	struct spawn sp;
	char *name, *cwd; /* For messages. */
	pid_t pid;
	struct proc_end end;

	unsigned open; /* Handles not yet closed. */
	uv_poll_t end_poll, status_poll;
	uv_pipe_t in, out, err;
	uv_timer_t linger;

	struct buffer flight; /* Being written by write_req, or empty. */
	struct buffer next;   /* To be written after it. */
	uv_write_t write_req;

	struct lines lines;
	size_t err_len; /* Bytes in err_buf: of a line begun. */

	const struct proc_events *ev;
	void *arg;
	char err_buf[PROC_ERR_LINE_MAX + 1];
	char rbuf[PROC_READ_MAX]; /* During one read event. */
};

/* proc.c.  One that is nothing yet, with a handle: spec->argv[0] and cwd are for
 * messages.  NULL: out of memory. */
struct proc *proc_new(uv_loop_t *loop, const struct proc_spec *spec);
/* Watch all that p->sp has; the descriptors of pipes go to their handles. */
int proc_handles(struct proc *p);
/* It runs but cannot be watched: no more of it, and nobody is told. */
void proc_give_up(struct proc *p);
/* No event of it any more. */
void proc_mute(struct proc *p);
/* Close what is open; the exit follows, and it is freed. */
void proc_close(struct proc *p);
void proc_close_stream(uv_pipe_t *pipe, bool *is_open);
/* The same, when all of it has ended, and may be told. */
void proc_close_if_done(struct proc *p);

/* proc_pipes.c */
void proc_read_start(struct proc *p);
/* DRAINING: look now and then whether anything is left. */
void proc_linger(struct proc *p);
/* A line of stdout; as lines_cb. */
int proc_on_line(char *line, size_t len, void *arg);

#endif
