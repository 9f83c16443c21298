/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.h - A VM: its folder, its machine when it runs, its sleep
 *
 *	STOPPED --boot--> BOOTING --up--> RUNNING --sleep--> SUSPENDING
 *	   ^  ^              |              |  ^                 |
 *	   |  '--stop--------+--------------'  '-- RESUMING <- SUSPENDED
 *	   |                 v
 *	   '-- (lost)     FAILED
 *
 * A VM that is SUSPENDED sleeps warm or cold.  Cold: its agents have ended, it is
 * off.  Warm: it has its memory, all in it goes on where it was when it resumes;
 * what says so is vm_memory().
 *
 * Who needs a VM asks vm_need(): a VM that is off is booted, one that sleeps warm
 * resumed, once for all who wait.  A VM whose machine is lost while it ran is booted again by itself, so
 * that its guest can supply what it had stored and end what was interrupted;
 * one that is lost again and again is FAILED until somebody asks for it.  Memory
 * that is lost, or cannot be used, makes a warm sleep a cold one.
 */
#ifndef HOST_DAEMON_VM_H
#define HOST_DAEMON_VM_H

#include <sys/queue.h>

#include "host/backend.h"
#include "host/daemon/import_watch.h"
#include "host/daemon/link.h"

#define VM_NAME_MAX	   64
#define VM_IDLE_MS	   (15 * 60 * 1000)   /* Default. */
#define VM_COLD_MS	   (24 * 3600 * 1000) /* Default. */
#define VM_SESSIONS	   32		      /* Live at a time: default, */
#define VM_SESSIONS_MAX	   256		      /* and most. */
#define VM_BARRIER_MS	   5000		      /* Freeze, drain, ack. */
#define VM_CRASHES_MAX	   3		      /* In VM_CRASH_WINDOW_MS. */
#define VM_CRASH_WINDOW_MS 60000
#define VM_RUNNING_MAX	   256
#define VM_QUOTA_MIN	   (16 << 20) /* Bytes. */
#define VM_MIB_MIN	   64	      /* MiB of a virtual machine. */
#define VM_MIB_MAX	   16384
#define VM_CPUS_MAX	   16

enum vm_state {
	VM_STOPPED,
	VM_BOOTING,
	VM_RUNNING,
	VM_SUSPENDING,
	VM_SUSPENDED,
	VM_RESUMING,
	VM_FAILED,
	VM_STATES, /* Their number. */
};

extern const char *const vm_state_names[];

/* What a VM has of its memory while it sleeps. */
enum vm_memory {
	VM_MEMORY_NONE,
	VM_MEMORY_RAM,	/* Its machine is there, paused. */
	VM_MEMORY_DISK, /* VMDIR/memory. */
};

struct change;
struct jv;
struct event;
struct hibd;
struct vfs_oid;
struct vm; /* Opaque. */

struct vm_config {
	const char *id;	  /* NULL: a new one. */
	const char *name; /* NULL: none. */
	const char *backend, *image;
	enum vm_net net;
	int64_t idle_ms;      /* 0: never sleeps by itself. */
	int64_t cold_ms;      /* From warm in RAM to cold; 0: never. */
	int64_t max_sessions; /* Live at a time. */
	int64_t quota;	      /* Bytes of its disk; 0: no limit. */
	int64_t memory, cpus; /* Of a virtual machine, MiB; 0: the default. */
	/* As vm_mounts_read() has made them, or NULL; and from what, when files
	 * came with it. */
	const char *mounts;
	const struct jv *mounts_asked;

	/* The files that it begins with: of a directory, a repository or a
	 * commit (vfs/import.h); or those of another VM, whose objects it
	 * borrows; or, with neither, none. */
	const char *workspace;
	const struct vm *fork_of;
	const struct vfs_oid *base; /* Of fork_of. */

	const char *template; /* See warm.h, JSON; NULL: it is none. */

	/* Told how far the import of @workspace is, before the end; or NULL. */
	import_progress_cb progress;
	void *progress_arg;
};

typedef void (*vm_done_cb)(struct vm *vm, const struct err *e, void *arg);

/* Read the catalog, take over the machines that still run, boot those that
 * were lost. */
int vms_load(struct hibd *d, struct err *e);
/* Remove what destroyed VMs have left and nobody needs. */
void vms_sweep(struct hibd *d);
/* hibd stops: let go of all machines without killing them. */
void vms_release(struct hibd *d);

/* Make a VM: folder, disk, row.  @cb when the row is stored. */
void vm_create(struct hibd *d, const struct vm_config *cfg, vm_done_cb cb,
	       void *arg);
/*
 * The same in steps, for a row that is stored together with others.  vm_prepare()
 * makes the folder and the files, off the loop, and lists the VM, locked; then
 * vm_add_row(), and when that is stored vm_keep(), which unlocks it, or else
 * vm_discard(), which removes it.
 */
void vm_prepare(struct hibd *d, const struct vm_config *cfg, vm_done_cb cb,
		void *arg);
void vm_add_row(const struct vm *vm, struct change *c);
void vm_keep(struct vm *vm);
void vm_discard(struct vm *vm, const struct err *why);

/* By id or name; NULL: none. */
struct vm *vm_find(struct hibd *d, const char *id_or_name);

struct vm *vms_first(struct hibd *d);
struct vm *vms_next(struct vm *vm);

const char *vm_id(const struct vm *vm);
const char *vm_dir(const struct vm *vm); /* Its folder. */
enum vm_state vm_state(const struct vm *vm);
/* No machine, no memory of one, and none coming. */
bool vm_is_off(const struct vm *vm);
/* It sleeps, and will go on where it was. */
bool vm_is_warm(const struct vm *vm);
/* Off or asleep: nothing in it takes a call now. */
bool vm_is_asleep(const struct vm *vm);
enum vm_memory vm_memory(const struct vm *vm);
/* "ram", "disk"; NULL: none. */
const char *vm_memory_name(enum vm_memory memory);
/* How long it took to come into the state that it is in. */
double vm_took_ms(const struct vm *vm);
struct link *vm_link(struct vm *vm); /* NULL or not up when not usable. */
pid_t vm_pid(const struct vm *vm);
unsigned vms_running(const struct hibd *d);

/* Run @cb once the guest serves calls; one that is off is booted, one that sleeps
 * warm resumed. */
void vm_need(struct vm *vm, vm_done_cb cb, void *arg);

enum vm_off {
	VM_OFF_WARM,	     /* Or it is refused. */
	VM_OFF_WARM_OR_COLD, /* As far as it can. */
	VM_OFF_SLEEP,	     /* Cold. */
	VM_OFF_STOP,
	VM_OFF_DESTROY,
};
/*
 * Barrier, power off; @cb when the machine is gone, or for a warm sleep when its
 * memory is kept.  A VM that is off already just changes its state; one that
 * sleeps warm is woken as far as it takes to end what is in it properly.
 * VM_OFF_DESTROY removes folder and row as well: the VM is gone when @cb runs, and
 * it is given NULL.  Refused with not_ready while somebody uses one of its
 * snapshots.
 *
 * A warm sleep that fails leaves the VM running: capability_unsupported when
 * backend or guest cannot do it, not_ready when something in it cannot be paused
 * now.  @cb may run before this returned.
 */
void vm_off(struct vm *vm, enum vm_off how, vm_done_cb cb, void *arg);

/*
 * Barrier around a snapshot: when @cb is told no error the guest stands still and
 * the host has stored all that it wrote, until vm_unpause().  To all others the VM
 * runs; who needs it waits, and so does who wants it off.  @cb may run before this
 * returned: not_ready when it does not run or is paused already.  A machine that is
 * lost is no longer paused; vm_unpause() does nothing then.
 */
void vm_pause(struct vm *vm, vm_done_cb cb, void *arg);
void vm_unpause(struct vm *vm);
/* Can its memory be a file?  While it is paused: fill the folder @dir with that
 * and the disk, as the backend does; @cb may run before this returned. */
bool vm_keeps_memory(const struct vm *vm);
void vm_copy_memory(struct vm *vm, const char *dir, backend_done_cb cb,
		    void *arg);

/*
 * Have a VM that is off go on from the memory of a snapshot, of its own or of
 * another VM, when it is needed next; or, where the snapshot has none, know that
 * it has the disk of that other VM.  In a change, and once that is stored, or
 * before, in memory.
 */
void vm_change_origin(struct change *c, const char *vm, const char *snapshot);
int vm_set_origin(struct vm *vm, const char *snapshot, struct err *e);
bool vm_has_origin(const struct vm *vm);
bool vm_goes_on_from(const struct vm *vm, const char *snapshot);
/* Could it go on from the memory in the snapshot @dir, as far as can be told
 * without doing so?  Return: 0 or -FAULT_CAPABILITY_UNSUPPORTED. */
int vm_fits(const struct vm *vm, const char *dir, struct err *e);
/* It boots as it is, after all. */
void vm_forget_origin(struct vm *vm);

/* It is off, and on its way out of the catalog. */
bool vm_is_leaving(const struct vm *vm);

/* Keep a VM that is off from booting; who needs it waits.  A locked one is not
 * destroyed. */
void vm_lock(struct vm *vm);
bool vm_is_locked(const struct vm *vm);
void vm_unlock(struct vm *vm);

/* The repository with its committed files, which need not exist yet. */
struct depot *vm_depot(const struct vm *vm);
/* An event that ends a turn is stored: let refs/hib/<session>/<turn> name the
 * commit that it tells, soon. */
void vm_mark_turn(struct vm *vm, const struct event *ev);
/* Its generation of files, their base, and whether all that it has is committed,
 * {"n","base","complete"}. */
void vm_put_workspace(const struct vm *vm, struct jw *w);
/* What became of its files when it went off, {"head","complete"}; "" when it did
 * not run.  Not complete: the rest stays on its disk, and is committed when it
 * runs again. */
const char *vm_slept(const struct vm *vm);
/* Is all that is on its disk committed?  Never while it is on. */
bool vm_is_complete(const struct vm *vm);
/* Have all that it has committed: one that is off and not complete is booted for
 * that, and stays up.  @cb is given NULL when the VM is gone by then. */
void vm_commit(struct vm *vm, vm_done_cb cb, void *arg);
/* Its generation of files, and a new one: in a change, and once that is stored
 * in memory, while the VM is off. */
int64_t vm_workspace_n(const struct vm *vm);
void vm_change_workspace(struct change *c, const char *vm, int64_t n,
			 const struct vfs_oid *base);
void vm_set_workspace(struct vm *vm, int64_t n, const struct vfs_oid *base);
/* The same for files that are what they were: @base "": none. */
void vm_set_files(struct vm *vm, int64_t n, const char *base, bool complete);
/* How it was made, for another like it.  Strings live as long as @vm. */
void vm_describe(const struct vm *vm, struct vm_config *out);

/* Something happened in it: the idle time starts again. */
void vm_touch(struct vm *vm);
/* Does something go on in it that keeps it awake? */
bool vm_is_busy(const struct vm *vm);
/* uv_now() when something happened last. */
uint64_t vm_used_at(const struct vm *vm);
/* Does it take memory for nothing?  And have it sleep so that it takes none: warm
 * on disk, or cold. */
bool vm_may_give_memory(const struct vm *vm);
void vm_give_memory(struct vm *vm, vm_done_cb cb, void *arg);
/* More has come of a program in it that is run from outside; see execs.h. */
void vm_execs_came(struct vm *vm);
/* Something goes on in it, and until it is over the VM is not idle. */
void vm_hold(struct vm *vm);
void vm_unhold(struct vm *vm);

#endif
