/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_impl.h - Private to vm.c and vms.c: the VM object
 *
 *	vm.c		one VM: up, lost
 *	vm_down.c	off, in each way
 *	vm_barrier.c	what comes before each sleep
 *	vm_warm.c	sleep that keeps the memory, and waking from it
 *	vm_memory.c	the memory that is kept
 *	vm_pause.c	standing still for a snapshot
 *	vm_origin.c	going on from one
 *	vm_idle.c	sleeping by itself
 *	vms.c		all of them: made, found again at a start, let go
 *	vm_workspace.c	its files
 *	vm_marks.c	and the references to them
 */
#ifndef HOST_DAEMON_VM_IMPL_H
#define HOST_DAEMON_VM_IMPL_H

#include <limits.h>

#include "host/daemon/catalog.h"
#include "host/daemon/daemon.h"
#include "host/daemon/objects.h"
#include "host/image.h"
#include "vfs/oid.h"

struct waiter {
	STAILQ_ENTRY(waiter) link;
	vm_done_cb cb;
	void *arg;
};
STAILQ_HEAD(waiter_list, waiter);

/* What the guest is told of /workspace when it boots. */
struct workspace {
	/* Its generation, from 1 on.  A guest that knows another one begins
	 * anew with the files of @base. */
	int64_t n;
	char base[VFS_OID_HEX]; /* A commit of the VM; "": no files. */
	/* All that is on its disk is committed.  Never while it is on. */
	bool complete;
	/* And the guest has written that down; else it goes over them again. */
	bool noted;
	bool was_complete, was_noted; /* When it was last booted. */
};

/* Ends of logs that the host waits for; @done once. */
struct vm_tails {
	struct vm *vm;
	unsigned open;
	struct err err; /* The last one's. */
	void (*done)(struct vm *vm, const struct err *e);
};

/* Told once how it ended: no error when the guest stands still, or has ended all
 * that ran, and the host has stored all that it wrote. */
typedef void (*vm_barrier_cb)(struct vm *vm, const struct err *e);

enum vm_pause { VM_GOES_ON, VM_PAUSING, VM_PAUSED };

struct vm {
	TAILQ_ENTRY(vm) link;
	struct hibd *d;
	char id[ID_MAX];
	char name[VM_NAME_MAX + 1]; /* "" for none. */
	char image[PATH_MAX];
	char files[IMAGE_PATH_MAX]; /* Its files, as of the last boot. */
	char dir[PATH_MAX];
	const struct backend_ops *ops;
	enum vm_net net;
	int64_t idle_ms, cold_ms, max_sessions, created_ms, generation;
	struct workspace workspace;
	char slept[160];   /* What became of its files in the last barrier, as
			  * JSON; "": there was none. */
	int64_t quota;	   /* Bytes; 0: none. */
	int64_t mib, cpus; /* Of a virtual machine; 0: the default. */
	char *mounts;	   /* JSON, see vm_mounts.h; NULL: none. */
	char *template;	   /* JSON, of one that is made; or NULL. */
	enum vm_state state;
	char last_error[ERR_MSG_MAX];

	struct machine *machine;
	struct link *channel;
	struct objects *objects; /* As long as there is a channel. */
	struct depot *depot;
	unsigned commits;	/* Since hibd was started. */
	struct vm_marks *marks; /* References to be made; NULL: none yet. */
	uint64_t began;		/* A change of power: uv_hrtime(). */

	struct waiter_list up;	 /* Want it running. */
	struct waiter_list down; /* Want it off. */
	enum vm_off off;	 /* How, while going down. */
	bool gone_clean;	 /* The barrier was passed. */
	bool adopted;		 /* It ran before this hibd: no boot to tell. */
	bool powering;		 /* An operation of the backend goes on. */
	bool locked;		 /* Off, and stays off; see vm_lock(). */
	bool leaving;		 /* Its row is being removed. */
	bool released;		 /* hibd stops; freed when powering ends. */
	struct err fault;	 /* Why the machine was killed, if we did. */
	vm_barrier_cb barrier;	 /* NULL: none is under way. */
	bool barrier_is_warm;
	bool execs_due;	       /* It waits for them; see execs.h. */
	struct vm_tails last;  /* Before it stands still. */
	struct vm_tails woken; /* After it has thawed. */

	enum vm_memory memory; /* Until it runs again. */
	int64_t slept_at_ms;   /* Warm, since. */
	double took_ms;

	/* Memory of a snapshot, that it goes on from next; NULL: none. */
	struct vm_origin *origin;

	enum vm_pause pause;
	struct waiter pauser; /* cb NULL: none. */
	bool off_later;	      /* As vm->off says, once it goes on. */

	unsigned holds; /* vm_hold() without vm_unhold(). */
	uint64_t used_at;
	/* Idle while RUNNING; cold while SUSPENDED; what the barrier, a thaw or
	 * the machine's end may take. */
	uv_timer_t timer;
	unsigned crashes; /* Since crashed_at. */
	uint64_t crashed_at;
};

extern const struct backend_events vm_machine_events;

/* What its backend must know. */
struct vm_spec vm_spec(const struct vm *vm);
/* Open the channel to vm->machine. */
void vm_connect(struct vm *vm);
/* Its machine ended while nobody asked for that: boot again, or give up. */
void vm_lost(struct vm *vm, const char *detail);

/* The pieces of a change of power. */
void vm_move(struct vm *vm, enum vm_state next);
/* The row as it is now; more statements may follow before the submit. */
struct change *vm_change(const struct vm *vm);
void vm_change_tails(struct change *c, const char *vm, bool complete);
/* A boot or a resume begins: a new generation, written down. */
void vm_begin(struct vm *vm, enum vm_state next);
void vm_boot(struct vm *vm);
void vm_boot_if_wanted(struct vm *vm);
void vm_kill(struct vm *vm);
/* A deadline of vm->timer, whose end vm_on_timer() sees to. */
void vm_deadline(struct vm *vm, uint64_t ms);
void vm_on_timer(uv_timer_t *t);
/* vm->off says how, and nothing is in the way. */
void vm_off_now(struct vm *vm);
/* SUSPENDING: barrier of a cold sleep, power off. */
void vm_freeze(struct vm *vm);
void vm_power_off(struct vm *vm);
/* The machine is off, or its memory kept, as wanted. */
void vm_settle(struct vm *vm);
/* Something has changed on which vm_on_up() waited. */
void vm_look_up(struct vm *vm);
/* It did not come up: FAILED until somebody asks for it. */
void vm_fail_boot(struct vm *vm, const struct err *e);

/* vm_barrier.c.  @reason: for the guest. */
void vm_barrier(struct vm *vm, const char *reason, bool warm,
		vm_barrier_cb done);
/* It ended with @e, or is no longer wanted: have the guest go on. */
void vm_barrier_undo(struct vm *vm, const struct err *e);
/* It takes too long. */
void vm_barrier_late(struct vm *vm);
/* Nobody wants to know any more.  The channel, too, ends now. */
void vm_barrier_stop(struct vm *vm);
/* Wait for all of @seqs, {ses:seq}; t->done may run before this returned. */
void vm_tails_await(struct vm_tails *t, struct vm *vm, struct jv seqs);

/* vm_warm.c */
bool vm_can_sleep_warm(const struct vm *vm);
void vm_suspend(struct vm *vm);
void vm_settle_warm(struct vm *vm);
/* SUSPENDED, with memory; later cold. */
void vm_sleep_warm(struct vm *vm);
/* Warm to cold, as vm->off says. */
void vm_drop_memory(struct vm *vm);
void vm_resume(struct vm *vm);
/* As in struct link_events. */
bool vm_on_paused(struct link *l, struct jw *params, void *arg);
void vm_on_thawed(struct link *l, struct jv tails, void *arg);

/* vm_memory.c.  The member "memory" of the row's config; NULL: none. */
char *vm_memory_write(const struct vm *vm);
/* The same read. */
void vm_memory_read(struct vm *vm, struct jv memory);
/* Is it on disk, of a VM without a machine?  @e: why not. */
bool vm_memory_is_there(const struct vm *vm, struct err *e);
/* VMDIR/memory. */
void vm_memory_path(const struct vm *vm, char dir[PATH_MAX]);
/* It is gone, or of no use: the sleep is a cold one from now on. */
void vm_memory_lost(struct vm *vm, const char *why);
/* Nobody needs the files. */
void vm_memory_forget(const struct vm *vm);

/* vm_origin.c.  The member "origin" of the row's config; absent: nothing. */
void vm_origin_read(struct vm *vm, struct jv origin);
/* The folder to go on from, and what its guest called the VM; NULL: as we do. */
bool vm_origin_has_memory(const struct vm *vm);
/* Of a template: it may boot as well. */
bool vm_origin_is_template(const struct vm *vm);
const char *vm_origin_dir(const struct vm *vm);
const char *vm_origin_clone_of(const struct vm *vm);
/* Members of a thaw. */
int vm_origin_write_thaw(const struct vm *vm, struct jw *params, struct err *e);
/* It runs: the next time it boots. */
void vm_origin_done(struct vm *vm, struct change *c);
void vm_origin_free(struct vm *vm);

/* vm_pause.c: the guest goes on; the machine is gone. */
void vm_pause_ended(struct vm *vm, const struct err *e);

/* vm_idle.c: the idle time is over, or that of a warm sleep. */
void vm_on_idle(struct vm *vm);
/* Does an agent of it work, so that events are to come?  As in link_events. */
bool vm_is_at_work(struct link *l, void *arg);

/* Have @cb told with the others of the list. */
void vm_wait(struct waiter_list *l, struct vm *vm, vm_done_cb cb, void *arg);
/* Tell all who wait; @vm NULL: it is gone. */
void vm_tell(struct waiter_list *l, struct vm *vm, const struct err *e);
/* What vm_put_workspace() has written; what is missing is as new. */
void vm_workspace_read(struct vm *vm, struct jv workspace);
/* The same with the VM's mounts, for the guest's start. */
void vm_workspace_write_start(const struct vm *vm, struct jw *w);
/* Write down whether all of its files are committed. */
void vm_change_complete(struct change *c, const struct vm *vm);
/* What the guest says of its files when it is frozen. */
void vm_note_files(struct vm *vm, struct jv workspace);
/* Nobody uses its files any more: bury its folder, sweep the graves. */
void vm_remove_folder(struct vm *vm);
/* The repository serves the machine, or no longer. */
int vm_serve_objects(struct vm *vm);
void vm_close_objects(struct vm *vm);
/* vm_marks.c: forget what waits. */
void vm_marks_free(struct vm *vm);
/* Free the object, once its handle has closed. */
void vm_free(struct vm *vm);

#endif
