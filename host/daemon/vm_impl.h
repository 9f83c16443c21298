/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_impl.h - Private to vm.c and vms.c: the VM object
 *
 *	vm.c    one VM: up, down, lost
 *	vms.c   all of them: made, found again at a start, let go
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
	int64_t idle_ms, max_sessions, created_ms, generation;
	struct workspace workspace;
	char slept[160]; /* What became of its files in the last barrier, as
			  * JSON; "": there was none. */
	int64_t quota;	 /* Bytes; 0: none. */
	char *mounts;	 /* JSON, see vm_mounts.h; NULL: none. */
	enum vm_state state;
	char last_error[ERR_MSG_MAX];

	struct machine *machine;
	struct link *channel;
	struct objects *objects; /* As long as there is a channel. */
	struct depot *depot;
	unsigned commits;	/* Since hibd was started. */
	struct vm_marks *marks; /* References to be made; NULL: none yet. */
	uint64_t boot_began;	/* uv_hrtime(). */

	struct waiter_list up;	 /* Want it running. */
	struct waiter_list down; /* Want it off. */
	enum vm_off off;	 /* How, while going down. */
	bool gone_clean;	 /* The barrier was passed. */
	bool adopted;		 /* It ran before this hibd: no boot to tell. */
	bool powering;		 /* The backend's boot has not answered yet. */
	bool locked;		 /* Off, and stays off; see vm_lock(). */
	bool released;		 /* hibd stops; freed when powering ends. */
	struct err fault;	 /* Why the machine was killed, if we did. */
	unsigned drains;	 /* Sessions whose tail is still on its way. */

	unsigned holds;	  /* vm_hold() without vm_unhold(). */
	uv_timer_t timer; /* Idle while RUNNING; deadline of the barrier. */
	unsigned crashes; /* Since crashed_at. */
	uint64_t crashed_at;
};

extern const char *const vm_state_names[];
extern const struct backend_events vm_machine_events;

/* What its backend must know. */
struct vm_spec vm_spec(const struct vm *vm);
/* Open the channel to vm->machine. */
void vm_connect(struct vm *vm);
/* Its machine ended while nobody asked for that: boot again, or give up. */
void vm_lost(struct vm *vm, const char *detail);
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
