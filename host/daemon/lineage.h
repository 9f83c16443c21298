/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lineage.h - The logs of a VM that is set back to a snapshot, or cloned from one
 *
 * Set back: for each session the snapshot knows an event s, and the host has
 * events up to h.  Nothing is deleted: what came after s is abandoned, by the
 * session.rewound that the log goes on with at h+1.  From there the session is
 * what it was at s; also one that was closed, archived or expired since then is
 * what it was.  A session that the snapshot does not know stays, without an
 * agent.
 *
 * Where the VM gets its memory back its guest writes that event, and is told h by
 * its thaw; of a disk alone the host does, and the guest is fed the rest when it
 * boots.
 *
 * Cloned: each session of the snapshot becomes a fork at s, in the new VM.  The
 * host copies events 1..s under a new id; the guest, told the ids by its thaw,
 * renames its own and adds session.forked.  What is sealed for a session is
 * sealed for its fork; sessions that were destroyed since the snapshot are in no
 * clone.
 *
 * What a thaw is to say (guest/rekey.h) follows from hib.db at any time, so it
 * outlives hibd; it is asked for anew for each thaw.
 */
#ifndef HOST_DAEMON_LINEAGE_H
#define HOST_DAEMON_LINEAGE_H

#include "host/daemon/catalog.h"
#include "host/daemon/daemon.h"

struct lineage_spec {
	struct hibd *d;
	const char *vm;	      /* Which is set back; or the new one. */
	const char *snapshot; /* Its id. */
	const char *cursors;  /* {"ses_..":s,..}, as in its row. */
};

typedef void (*lineage_done_cb)(const struct err *e, void *arg);

/**
 * lineage_clone() - Make the logs of a new VM
 * @spec: Borrowed for the call
 * @more: For the same transaction, as the row of the VM; taken over
 * @cold: Of a disk alone: no guest will say that these are forks, so the host does
 * @cb:	  Once, never during this call: all is stored, or nothing
 */
void lineage_clone(const struct lineage_spec *spec, struct change *more,
		   bool cold, lineage_done_cb cb, void *arg);

/**
 * lineage_rewind() - Have the logs of a VM follow a snapshot
 * @spec: Borrowed for the call
 * @warm: Its memory is given back, too: then sessions that the snapshot knows
 *	  are left to the guest
 * @cb:	  Once, never during this call
 *
 * The VM is off, and stays so until @cb.  What it has not handed over is lost
 * with its disk.  After a failure it may be asked for again.
 */
void lineage_rewind(const struct lineage_spec *spec, bool warm,
		    lineage_done_cb cb, void *arg);

/* Write what a thaw says of the sessions, an object.  Return: 0 or an error. */
int lineage_write_clone(const struct lineage_spec *spec, struct jw *w,
			struct err *e);
int lineage_write_rewind(const struct lineage_spec *spec, struct jw *w,
			 struct err *e);

#endif
