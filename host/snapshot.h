/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - A VM at one instant, as a folder says it
 *
 *	VMDIR/snapshots/<snp>/
 *	  snapshot.json		this, and nothing else says more
 *	  disk/			the VM's disk/; without its logs, which the host has
 *	  disk.img		with a quota, the sandbox's second disk
 *	  ram, state, disk.img, memory.json	of kind memory: the backend's
 *
 * It is made as <snp>.new and renamed when all of it is on the disk; what is to
 * be removed is renamed to <snp>.gone first.  So a folder with a plain name is
 * whole.
 *
 * snapshot.json may come from a stranger, with a file that is imported.
 */
#ifndef HOST_SNAPSHOT_H
#define HOST_SNAPSHOT_H

#include <limits.h>

#include "core/id.h"
#include "core/json.h"
#include "vfs/oid.h"

#define SNAPSHOT_VERSION      1
#define SNAPSHOT_JSON_MAX     (1u << 20) /* Bytes. */
#define SNAPSHOT_LABEL_MAX    256
#define SNAPSHOT_SESSIONS_MAX 10000
#define SNAPSHOT_EVENTS_MAX   1000000 /* Of all logs; in a file. */
#define SNAPSHOT_FOLDER	      "snapshots"
#define SNAPSHOT_JSON	      "snapshot.json"

struct snapshot {
	char id[ID_MAX], vm[ID_MAX];
	char parent[ID_MAX]; /* "": none. */
	bool memory;	     /* Else of the disk alone. */
	bool temporary;	     /* Made for what is done with it next. */
	char label[SNAPSHOT_LABEL_MAX + 1];
	int64_t created_ms;

	/* How the VM was made. */
	char backend[16], image[256], net[8];
	int64_t idle_ms, cold_ms, max_sessions, quota, ram_mib, cpus;
	char *mounts; /* JSON list, or NULL. */

	/* Its files: generation, what that began with, and the newest commit. */
	int64_t workspace_n;
	char base[VFS_OID_HEX], head[VFS_OID_HEX]; /* "": none. */
	bool complete; /* All of them are committed. */

	char *cursors; /* JSON: {"ses_..": last seq at that instant}. */
};

void snapshot_done(struct snapshot *s);

static inline void snapshot_donep(struct snapshot *s)
{
	snapshot_done(s);
}
#define autosnapshot cleanup(snapshot_donep)

void snapshot_write(const struct snapshot *s, struct jw *w);

/* Read what anybody may have written.  @out is to be snapshot_done().
 * Return: 0; -FAULT_INVALID_ARGUMENT when it is none, or of a later version;
 * -ENOMEM. */
int snapshot_read(struct snapshot *out, const char *text, size_t len,
		  struct err *e);

/* Are its logs short enough for a file?  They are stored as one transaction, and
 * nobody else stores anything meanwhile.  Return: 0 or -FAULT_QUOTA_EXCEEDED. */
int snapshot_check_events(const struct snapshot *s, struct err *e);

/* Of a folder: write it, synced, and read it.  Return: 0 or a negative code. */
int snapshot_save(const struct snapshot *s, int folder, struct err *e);
int snapshot_load(struct snapshot *out, int folder, struct err *e);

/* What a file is unpacked into, below HIB_HOME; locked (flock()) by who does. */
#define SNAPSHOT_IMPORT "import."
/* Remove those that nobody has locked, while no hibd runs: it may be taking in what
 * a client that was killed has unpacked.  Return: how many, or a negative code. */
int snapshot_sweep_imports(const char *root);
/* Remove what was not made whole, or not removed whole, of all VMs below @vms;
 * only while nobody makes any.  Return: how many there were, or -errno. */
int snapshot_sweep(const char *vms);

#endif
