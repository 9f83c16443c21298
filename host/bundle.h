/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.h - A snapshot as one file
 *
 * A tar file (pax, zstd), whose members are, in this order,
 *
 *	snapshot.json		host/snapshot.h
 *	hashes.json		of what follows, as its row has them
 *	workspace.pack		its commits (vfs/bundle.h), if there are any
 *	sessions/<ses>.jsonl	each log up to its cursor (host/transfer.h)
 *	disk/...		files, folders and links, a folder before what is
 *				in it and that before what is beside it, with the
 *				owners that they have in the VM; so ACLs
 *	memory.json, ram, state, disk.img, agents.erofs
 *				of kind memory, instead of that (host/saved.h)
 *
 * Holes of a file are kept; file capabilities are not.
 *
 * Whoever reads one has it from a stranger: there is no member but these, none
 * twice, none larger or more than the limits below, and none is written outside
 * of the folder that is given.
 */
#ifndef HOST_BUNDLE_H
#define HOST_BUNDLE_H

#include "core/reader.h"
#include "host/snapshot.h"

#define BUNDLE_BYTES_MAX   (64ull << 30) /* Of all contents. */
#define BUNDLE_TEXT_MAX	   (1u << 20)	 /* Of each of the first two. */
#define BUNDLE_ENTRIES_MAX 4000000
#define BUNDLE_HASHES	   "hashes.json"
#define BUNDLE_PACK	   "workspace.pack"
#define BUNDLE_SESSIONS	   "sessions"

/* The files of kind memory, NULL at the end; not each of them has to be. */
extern const char *const bundle_machine[];

struct bundle_source {
	struct reader *reader;
	const struct snapshot *s;
	const char *hashes;	/* JSON, of its row. */
	const char *folder;	/* Of the snapshot. */
	const char *repository; /* Of its VM. */
};

/* Write it to @fd.  It blocks.  Return: 0 or a negative code. */
int bundle_write(const struct bundle_source *b, int fd, struct err *e);

/* Unpack what is read from @fd into @folder, empty and ours alone: a folder for
 * each name above.  @vm: whose the files of disk/ become.  It blocks.
 * Return: 0; -FAULT_INVALID_ARGUMENT when it is no such file;
 * -FAULT_QUOTA_EXCEEDED past a limit; another negative code. */
int bundle_read(int fd, const char *folder, const char *vm, struct err *e);

#endif
