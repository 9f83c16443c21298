/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reexec.h - The daemon becomes its newer self, and keeps its children
 *
 *	SERVING --reexec--> UPGRADING --execve(2)--> (new program) SERVING
 *	   ^                    |
 *	   '-- cannot be done --'
 *
 * The program that stands where ours was started from takes our place: the same
 * process, with the same children.  What is stored it reads; what is in memory
 * alone, and numbers of descriptors, is in a file that it inherits.  The host
 * finds its connection lost, connects again, and goes on at hello.
 *
 * Not in a machine, whose programs are those of its start; and not while the
 * files of the workspace are served by us, or something runs that would notice.
 */
#ifndef GUEST_REEXEC_H
#define GUEST_REEXEC_H

#include "guest/call.h"

#define REEXEC_FORMAT	 1 /* Of what is handed over. */
#define REEXEC_CHECK_ARG "takes-over"
#define REEXEC_OPTION	 "take-over"
#define REEXEC_MS	 10000 /* Until all is quiet. */
#define REEXEC_CHECK_MS	 2000  /* For the new program to say that it can. */
#define REEXEC_PROGRAM	 "/opt/hib/hib-guest"

struct guest;

/* reexec: answered {"build"} when all is ready; what follows is the end of the
 * connection.  Return: 0; -FAULT_CAPABILITY_UNSUPPORTED; -FAULT_TURN_ACTIVE;
 * -FAULT_NOT_READY. */
int guest_reexec(struct guest *g, struct call *c, struct err *e);
/* Take the next step, if it can be taken. */
void reexec_step(struct guest *g);
/* The guest ends, or goes to sleep: call it off.  Harmless without one. */
void reexec_end(struct guest *g);

/* The loop has been stopped for this: write down what is to be handed over, and
 * let go of it.  Return: the file; a negative errno. */
int reexec_write(struct guest *g, struct err *e);
/* Become the new program, or if the kernel does not start it our own again; only
 * returns if it starts neither. */
struct guest_options;
void reexec_go(const struct guest_options *opt, int file);
/* The new program: take up what is in @file, which is closed.  Sessions that it
 * cannot take up are suspended.  Return: 0, and it serves; a negative errno, and
 * it is one that has just booted, with nothing of before that still runs. */
int reexec_take(struct guest *g, int file, struct err *e);

#endif
