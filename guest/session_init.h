/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_init.h - Process 1 of a session: fences, starts, reaps, ends
 *
 * spawn.c executes our own program again as `hib-guest session-init`; main()
 * must call session_init_main() before it does anything else.  The two sides
 * are one build, so what they exchange is plain structs.
 *
 * To run another program in the session, spawn.c sends its init the descriptors
 * that another init would be started with, as one message over the status
 * socket.  It makes that init in a PID namespace below its own.
 */
#ifndef GUEST_SESSION_INIT_H
#define GUEST_SESSION_INIT_H

#include "core/quota.h"

#define SESSION_INIT_ARG  "session-init" /* argv[1] */
#define SESSION_INIT_NAME "hib-session"	 /* Of the process. */
#define SESSION_INIT_UID  1000		 /* And gid, of agents. */

/* Descriptors that the init is started with, beyond the three of stdio, which
 * it passes on. */
#define SESSION_INIT_STATUS_FD 3 /* Seqpacket socket, init_report out. */
#define SESSION_INIT_SPEC_FD   4 /* Memory file: init_spec and its strings. */
#define SESSION_INIT_FDS       5 /* Those two and stdio. */

/* Carries the signal in si_value to be sent to the program; real-time, so that
 * none is lost or merged. */
#define SESSION_INIT_SIGNAL SIGRTMIN

/* Followed by the group's file and the folder for MCP_SHIM_DIR if there are any,
 * cwd, argv, env and hide, strings with their NULs, and by the files (place.h). */
struct init_spec {
	uint32_t n_argv, n_env, n_hide, n_files;
	bool has_group, has_mcp;
	bool isolate;	/* Already in namespaces of its own. */
	bool drop_user; /* To SESSION_INIT_UID. */
	struct quota quota;
};

enum init_report_type {
	INIT_BORN,    /* From the init that made it; its pidfd comes with it. */
	INIT_HERE,    /* From the program's process; its pid comes with it. */
	INIT_FAILED,  /* a: enum proc_step, b: errno; nothing else follows. */
	INIT_STARTED, /* The program was executed. */
	INIT_ENDED,   /* a: exit code, b: signal. */
};

struct init_report {
	int32_t type; /* enum init_report_type */
	int32_t a, b;
};

/* Be the session init.  Return: the exit code for main(). */
int session_init_main(void);

#endif
