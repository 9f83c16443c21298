/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.h - One child process, its pipes, and its end
 *
 * A proc starts a program behind a session init of its own, so that one kill
 * ends all it ever started, and reports what it writes line by line.  At last
 * it reports exactly one exit, after the last line of both pipes, and is gone.
 * No event fires before proc_spawn() returned or from inside a call of ours.
 *
 * The program that uses this ignores SIGPIPE, and its main() hands over to
 * session_init_main() when argv[1] is "session-init".
 */
#ifndef GUEST_PROC_H
#define GUEST_PROC_H

#include <uv.h>

#include "core/quota.h"
#include "guest/place.h"

#define PROC_LINE_MAX	  (16u << 20) /* Line of stdout, unless spec says so. */
#define PROC_ERR_LINE_MAX (64u << 10) /* Longer stderr lines come in pieces. */
#define PROC_STDIN_MAX	  (96u << 20) /* Bytes waiting to be read by it. */

struct proc; /* Opaque. */
struct jv;
struct jw;

enum proc_user {
	PROC_USER_AGENT, /* Uid 1000 with no capability, whatever the map. */
	PROC_USER_SAME,	 /* As we are: uid 0 of the VM. */
};

enum proc_stdout {
	PROC_STDOUT_LINES,
	PROC_STDOUT_BYTES,
	PROC_STDOUT_NONE, /* /dev/null */
};

/* What to run.  Nothing is inherited: env and cwd are what the child gets. */
struct proc_spec {
	/* NULL-terminated.  argv[0] without a slash is looked up in the PATH
	 * of @env. */
	const char *const *argv;
	const char *const *env; /* NULL-terminated "NAME=value"s, or NULL. */
	const char *cwd;	/* Entered as the child's user. */
	bool isolate;		/* Own PID and mount namespaces, fresh /proc. */
	const char *const *hide; /* NULL-terminated paths the child must not see
				  * into, or NULL; isolate only. */
	enum proc_user user;	 /* isolate only; else as we are. */
	/* An isolated program that has started, or NULL; isolate only.  This
	 * one then sees the files that it sees, under the same user, in a PID
	 * namespace below that one's: it ends with it at the latest. */
	struct proc *join;
	const struct place *files; /* Put into its home first, or NULL; isolate
				    * only. */
	/* What each process (memory, files) or all of the session together
	 * (processes) may use, or NULL; isolate and PROC_USER_AGENT only.  A
	 * program that joins has the processes of its session in common. */
	const struct quota *quota;
	/* File of the control group that the session init enters, or NULL;
	 * isolate only, and not for one that joins, which is in it. */
	const char *group;
	/* Folder that the child sees as MCP_SHIM_DIR, or NULL; isolate only, and
	 * not for one that joins, which sees what that one sees. */
	const char *mcp;
	bool want_stdin; /* Else /dev/null. */
	enum proc_stdout out;
	bool merge_stderr; /* stderr goes where stdout goes. */
	size_t line_max;   /* Longest stdout line; 0: PROC_LINE_MAX. */
	const char *init;  /* Program with the session init in it; NULL:
			       * this one. */
};

/* Where starting the program failed. */
enum proc_step {
	PROC_STEP_NONE,
	PROC_STEP_INIT,	 /* Starting the session init. */
	PROC_STEP_MOUNT, /* Its mounts. */
	PROC_STEP_GROUP, /* Its control group. */
	PROC_STEP_FORK,
	PROC_STEP_USER,	 /* Its user namespace, giving up privileges. */
	PROC_STEP_FILES, /* Putting files into its home. */
	PROC_STEP_CWD,
	PROC_STEP_EXEC,
};

/* How it ended. */
struct proc_end {
	int code;   /* Exit code when signal == 0. */
	int signal; /* What killed it, or 0. */
	/* PROC_STEP_NONE when the program ran.  Else it never did, and err has
	 * the negative errno of that step and the reason in words. */
	enum proc_step failed;
	struct err err;
};

/* Events.  Each may be NULL when it is not wanted.  Lines come without their
 * newline, NUL-terminated, and may be changed by the callee; all text is valid
 * during the call only, and is any bytes. */
struct proc_events {
	/* The program runs; proc_pid() is known. */
	void (*started)(struct proc *p, void *arg);
	/* A whole line of stdout; what follows the last newline is dropped. */
	void (*line)(struct proc *p, char *line, size_t len, void *arg);
	void (*bytes)(struct proc *p, char *data, size_t n, void *arg);
	/* stdout is at its end, by the child's doing; it may go on without. */
	void (*out_ended)(struct proc *p, void *arg);
	/* A line of stderr, or a piece of one longer than PROC_ERR_LINE_MAX. */
	void (*err_line)(struct proc *p, char *line, size_t len, void *arg);
	/* stderr as it comes, instead of its lines. */
	void (*err_bytes)(struct proc *p, const char *data, size_t n,
			  void *arg);
	/* A stdout line outgrew the limit.  stdout was closed; the child still
	 * runs and should be killed. */
	void (*overlong)(struct proc *p, void *arg);
	/* proc_queued() has come back to 0. */
	void (*drained)(struct proc *p, void *arg);
	/* The end.  All it started is gone (isolate).  The proc is freed when
	 * this returns. */
	void (*exit)(struct proc *p, const struct proc_end *end, void *arg);
};

/**
 * proc_spawn() - Start a program
 * @loop: Loop on which the events fire
 * @spec: What to run; may be released after the call
 * @ev:   Events; must outlive the proc
 * @arg:  Passed to each event
 * @out:  Set on success; valid until the exit event has returned
 * @e:    Set on failure
 *
 * A program or a cwd that is missing is not found out here but by the exit
 * event, with end->failed set.
 *
 * Return: 0 or a negative errno when there is no memory, descriptor, process or
 * namespace to be had, -ESRCH when spec->join does not run, -EAGAIN when it has
 * too much to start; then @loop must run once more before it is closed.
 */
int proc_spawn(uv_loop_t *loop, const struct proc_spec *spec,
	       const struct proc_events *ev, void *arg, struct proc **out,
	       struct err *e);

/* Has the program ended, or its init?  Their end kills what has joined them, and
 * is told by the exit event later. */
bool proc_is_ending(const struct proc *p);

/* The program's pid as seen from here; 0 until started. */
pid_t proc_pid(const struct proc *p);

/**
 * proc_write() - Queue bytes for the child's stdin; they are copied
 *
 * Return: 0; -EPIPE when stdin is closed, by either side; -ENOBUFS when more
 * than PROC_STDIN_MAX would wait; -ENOMEM.  On failure nothing was queued.
 */
int proc_write(struct proc *p, const char *data, size_t n);

/* Bytes written to it which the pipe has not taken yet. */
size_t proc_queued(const struct proc *p);

/* Close stdin once all that was queued is written. */
void proc_close_stdin(struct proc *p);

/* Stop and start reading stdout and stderr.  Lines that were read together with
 * the one whose event calls proc_pause() still come: at most one read.  The exit
 * event waits for proc_resume(), also when nothing is left to be read. */
void proc_pause(struct proc *p);
void proc_resume(struct proc *p);

/* Signal the program alone, or its process group when @signal is negative.
 * Harmless after its end; before its start it waits for it. */
void proc_kill(struct proc *p, int signal);

/* Kill the program and all it ever started.  Without isolate: the program and
 * its process group.  The exit event follows. */
void proc_kill_all(struct proc *p);

/* proc_kill_all(), and no event of it any more: p is not valid after this. */
void proc_abandon(struct proc *p);

/*
 * The same process may become another program (execve(2)) that has its children
 * from then on.
 */

/* Does it run, with nothing on its way to it? */
bool proc_may_hand_over(const struct proc *p);
/* Write all of it that its next owner needs, one JSON object, with numbers of
 * descriptors that are not closed on exec.  It goes on without us: no event of it
 * comes any more, and @p is not valid after this.  Return: 0; a negative errno,
 * and nothing has changed. */
int proc_hand_over(struct proc *p, struct jw *w, struct err *e);
/* Take it up from what was written there; as proc_spawn() else. */
int proc_take_over(uv_loop_t *loop, struct jv from,
		   const struct proc_events *ev, void *arg, struct proc **out,
		   struct err *e);
/* Kill it instead. */
void proc_leave_behind(struct jv from);

#endif
