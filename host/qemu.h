/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu.h - One machine of the qemu backend
 *
 *	backend_qemu.c	boot, adopt, let go
 *	qemu.c		what all of them need
 *	qemu_save.c	suspend, snapshot
 *	qemu_resume.c	go on from a memory
 *
 * One thing is done with a machine at a time; its owner sees to that.
 */
#ifndef HOST_QEMU_H
#define HOST_QEMU_H

#include <limits.h>

#include "host/launched.h"
#include "host/qmp_run.h"
#include "host/saved.h"

#define QEMU_MEMORY_MIB 512
#define QEMU_SPARE_MIB	64 /* Of the host's disk, that no machine is given. */
#define QEMU_STATE_NEW	SAVED_STATE ".new"

struct copying;

/* From its launch to its end. */
struct qemu {
	uv_loop_t *loop;
	struct machine *m;   /* NULL until the launcher is done. */
	struct vm_spec spec; /* Its strings are the machine's own. */
	struct saved about;  /* What its memory fits; layout 0: unknown. */
	bool is_private;     /* Its memory is no file of its own. */
	struct backend_events ev;
	void *arg;

	/* What is being done. */
	struct qmp_run *run;
	struct copying *copying;
	int folder, state;	/* That it is done with; or -1. */
	char *snapshot;		/* The same; or NULL. */
	backend_boot_cb booted; /* Of a boot or a resume; NULL once called. */
	backend_done_cb done;	/* Of the others; NULL once called. */
	void *done_arg;
	struct err err;
};

struct qemu *qemu_new(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg);
/* Also of what is being done. */
void qemu_free(struct qemu *v);
/* What was done is over: nothing of it is open any more. */
void qemu_let_go(struct qemu *v);
/* The same, and v->done is told. */
void qemu_finish(struct qemu *v, const struct err *e);
/* To be given to launched_*() with the machine as argument. */
extern const struct backend_events qemu_events;

/* Start QEMU: --incoming, which waits for its state, with the memory in the file
 * @ram; or NULL for its own. */
void qemu_launch(struct qemu *v, bool incoming, const char *ram,
		 backend_boot_cb cb);
/* For the launcher: the machine runs, or will not; v->booted is told. */
void qemu_on_booted(struct machine *m, const struct err *e, void *arg);
/* It stands still, or may: let it run, and end what was done with v->err. */
void qemu_go_on(struct qemu *v);

/* VMDIR/memory, made if it is missing.  Return: a descriptor. */
int qemu_open_memory(const struct qemu *v, struct err *e);
/* Make its memory: a file that is all holes, and QEMU's. */
int qemu_make_ram(const struct qemu *v, int memory, struct err *e);
/* Would the host's disk hold all of its memory?  Return: 0 or -FAULT_DISK_FULL. */
int qemu_check_room(const struct qemu *v, int memory, struct err *e);
/* What a machine made of its spec would fit, but for QEMU's version. */
struct saved qemu_about(const struct qemu *v);
/* Arguments of migrate-set-capabilities, the same at both ends. */
const char *qemu_capabilities(const struct saved *s);

/* Tells from the loop why nothing was begun: one of both callbacks. */
struct qemu_refusal {
	uv_timer_t timer;
	struct err err;
	backend_boot_cb booted;
	backend_done_cb done;
	void *arg;
};
void qemu_refuse(uv_loop_t *loop, const struct qemu_refusal *what);

/* A copy of files to or from a snapshot, or what else takes its time, in the
 * thread pool. */
struct copying {
	bool with_ram;	    /* Of the snapshot, too. */
	struct saved about; /* Of the snapshot. */
	/* Off the loop; touches nothing of the machine. */
	int (*copy)(const struct copying *c, struct err *e);
	/* On the loop, unless the machine is gone or let go by then. */
	void (*done)(struct qemu *v, const struct err *e);

	/* Filled by qemu_copy(). */
	char dir[PATH_MAX], snapshot[PATH_MAX];	 /* Of the VM; v->snapshot. */
	char image[PATH_MAX], libexec[PATH_MAX]; /* As its spec has it. */
	uint32_t owner;				 /* Of its files. */
	struct qemu *v;
	uv_work_t work;
	struct err err;
};
void qemu_copy(struct qemu *v, const struct copying *what);

/* As in struct backend_ops. */
void qemu_suspend(struct machine *m, const char *dir, backend_done_cb cb,
		  void *arg);
void qemu_snapshot(struct machine *m, const char *dir, backend_done_cb cb,
		   void *arg);
void qemu_resume(uv_loop_t *loop, const struct vm_spec *spec, const char *dir,
		 bool shared, const struct backend_events *ev, void *arg,
		 backend_boot_cb cb);
int qemu_fits(const struct vm_spec *spec, const char *dir, struct err *e);

#endif
