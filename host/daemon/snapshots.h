/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots.h - VMs as they were: made, looked at, given back, multiplied
 *
 * A snapshot is a folder of its VM (host/snapshot.h) and a row.  The folder is
 * made whole before the row and outlives it by nothing: whatever step a kill
 * falls into, the next start of hibd has both or neither.
 *
 *	snapshots.c		rows, removal, what a start finds
 *	snapshot_make.c		a new one
 *	snapshot_check.c	hashes, in the background and when asked
 *	snapshot_restore.c	its VM is as it was
 *	snapshot_fork.c		more VMs that are as it was
 *	snapshot_import.c	one that comes from elsewhere
 */
#ifndef HOST_DAEMON_SNAPSHOTS_H
#define HOST_DAEMON_SNAPSHOTS_H

#include "host/daemon/daemon.h"
#include "host/snapshot.h"

struct snapshots; /* What hibd has of them in memory; opaque. */

struct snapshots *snapshots_new(struct hibd *d);
/* Work that runs gives up.  NULL is allowed. */
void snapshots_close(struct snapshots *s);
/* After the VMs: remove what was left half-made, take in what is whole and has no
 * row, go on with what was begun. */
void snapshots_load(struct hibd *d);

/* The one that is named, from its row.  @out is to be snapshot_done().
 * Return: 0; -FAULT_SNAPSHOT_NOT_FOUND; -FAULT_INVALID_ID. */
int snapshots_find(struct hibd *d, const char *id, struct snapshot *out,
		   struct err *e);
/* Its folder.  Return: 0 or -ENAMETOOLONG. */
int snapshots_dir(const struct hibd *d, const struct snapshot *s,
		  const char *tail, char out[PATH_MAX]);
/* Does this VM have any? */
bool snapshots_any(struct hibd *d, const char *vm);

/* Has hib.db all that was ever written of each session of that VM?
 * Return: 0 or -FAULT_TAIL_INCOMPLETE. */
int snapshots_check_tails(struct hibd *d, const char *vm, struct err *e);

/* Somebody needs its files: until the same number of releases it is not removed.
 * Who needs it beyond the life of hibd has it as its origin (vm.h), in the catalog,
 * and was holding it before.  Return: 0; -FAULT_NOT_READY when it, or its VM, is
 * being removed; what snapshots_find() returns. */
int snapshots_hold(struct hibd *d, const char *id, struct err *e);
void snapshots_release(struct hibd *d, const char *id);
/* Does anybody but @vm itself use one of its snapshots? */
bool snapshots_in_use(struct hibd *d, const struct vm *vm);

enum snapshot_kind { SNAPSHOT_ANY, SNAPSHOT_DISK, SNAPSHOT_MEMORY };

struct snapshot_spec {
	struct vm *vm;
	enum snapshot_kind kind; /* SNAPSHOT_ANY: as much as there is. */
	const char *label;	 /* NULL: none. */
	bool temporary;		 /* It goes when nobody uses it any more. */
};

/* @id: of the snapshot that was made; NULL after a failure. */
typedef void (*snapshot_made_cb)(const char *id, const struct err *e,
				 void *arg);
/* A VM that runs goes on with what it did.  @spec is not needed afterwards; @cb
 * comes once, maybe before this returned. */
void snapshot_make(struct hibd *d, const struct snapshot_spec *spec,
		   snapshot_made_cb cb, void *arg);
/* In a change: a row, as @s says, of that many bytes. */
void snapshot_add_row(struct change *c, const struct snapshot *s, int64_t size);

/* A VM and a snapshot of it, with its sessions, of what was unpacked into a folder
 * of HIB_HOME (host/bundle.h): all, or nothing.  @vm is the id of a sandbox; a
 * machine has its own.  The folder is used up; its owner removes the rest.
 * -FAULT_ALREADY_EXISTS; -FAULT_STORE_CORRUPT when it is not what it says;
 * -FAULT_CAPABILITY_UNSUPPORTED when it could not go on here. */
void snapshot_import(struct hibd *d, const char *folder, const char *vm,
		     snapshot_made_cb cb, void *arg);

typedef void (*snapshot_done_cb)(const struct err *e, void *arg);
/* Row and folder.  -FAULT_SNAPSHOT_NOT_FOUND, -FAULT_NOT_READY while somebody
 * uses it. */
void snapshot_remove(struct hibd *d, const char *id, snapshot_done_cb cb,
		     void *arg);

/* Set its VM back to it, stopping it for that; of kind memory, or if it ran, it
 * runs when @cb is told.  If this fails its files and its logs are as they were,
 * but it may have been stopped: it is booted again if it was not off, without what
 * ran in it or its memory.
 * -FAULT_STORE_CORRUPT when it is known to be damaged; unless @force,
 * -FAULT_TURN_ACTIVE, and -FAULT_NOT_READY or -FAULT_TAIL_INCOMPLETE when files or
 * the end of a log are on its disk alone. */
void snapshot_restore(struct hibd *d, const char *id, bool force,
		      snapshot_done_cb cb, void *arg);

#define SNAPSHOT_FORKS_MAX 64 /* At once. */

struct snapshot_fork_spec {
	unsigned n;	  /* How many VMs. */
	const char *name; /* Of one; or NULL.  Borrowed for the call. */
};
/* @out: {"snapshot","from","kind","vms":[{"vm","ms","sessions":[{"from","id"}]}],
 * "ms"}; ms is when each was ready.  After a failure there are none. */
typedef void (*snapshot_forked_cb)(const struct jw *out, const struct err *e,
				   void *arg);
void snapshot_fork(struct hibd *d, const char *id,
		   const struct snapshot_fork_spec *spec, snapshot_forked_cb cb,
		   void *arg);

/* Was it found to be another than it was?  Return: 0 or -FAULT_STORE_CORRUPT. */
int snapshot_check_damage(struct hibd *d, const char *id, struct err *e);
/* Take the hashes of one that has none yet, when nobody waits for that. */
void snapshot_check_later(struct hibd *d, const char *id);
/* Compare what is there with its hashes; one that has none gets them.  @out:
 * {"snapshot","ok","damage":[..],"files":[..],"ms"}. */
typedef void (*snapshot_checked_cb)(const struct jw *out, const struct err *e,
				    void *arg);
void snapshot_check(struct hibd *d, const char *id, snapshot_checked_cb cb,
		    void *arg);

#endif
