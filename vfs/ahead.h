/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - Ask for what a reader will want next
 *
 * A program that works through a folder wants one file after the other, and has
 * one request at a time.  Who has waited for entries of a folder that stand close
 * together, in the order of its listing, is taken to go on; the next ones are then
 * asked for before he comes to them, more of them the longer he does.  Whoever
 * picks files here and there is asked for nothing.
 *
 * Files and subfolders of a folder are followed apart.  Several readers of one
 * folder are, too, as long as they are not at the same place.
 */
#ifndef VFS_AHEAD_H
#define VFS_AHEAD_H

#include "vfs/blobs.h"
#include "vfs/dirs.h"

#define AHEAD_WALKS	 8	      /* Followed at a time. */
#define AHEAD_STEP	 2	      /* Entries that one in order may skip. */
#define AHEAD_STEPS	 2	      /* In order, before anything is asked. */
#define AHEAD_MIN	 4	      /* Objects asked for at first.. */
#define AHEAD_MAX	 32	      /* ..and at most, of a folder; */
#define AHEAD_ASKS_MAX	 32	      /* of all folders. */
#define AHEAD_BYTES	 (512u << 10) /* Of files, asked for at once. */
#define AHEAD_FILE_BYTES (128u << 10) /* Larger ones are not asked for. */

enum ahead_kind { AHEAD_FILES, AHEAD_FOLDERS };

/* One entry of a folder that somebody wants. */
struct ahead_place {
	struct vfs_oid folder;
	uint32_t at; /* In its listing. */
	enum ahead_kind kind;
};

struct ahead {
	/* Private. */
	struct dirs *dirs;
	struct blobs *blobs;
	struct fetch *fetch;
	bool at_end; /* Somebody has come through a folder. */
	uint64_t clock;
	struct ahead_walk {
		uint64_t used; /* By clock; 0: free. */
		struct vfs_oid folder;
		enum ahead_kind kind;
		unsigned steps;	 /* In order. */
		unsigned window; /* How many were asked for the last time. */
		uint32_t last;	 /* Where the reader is. */
		uint32_t upto;	 /* All before it has been asked for. */
	} walks[AHEAD_WALKS];
};

void ahead_init(struct ahead *a, struct dirs *d, struct blobs *b,
		struct fetch *f);

/* Somebody wants it; @waits when it was not here. */
void ahead_note(struct ahead *a, const struct ahead_place *p, bool waits);

#endif
