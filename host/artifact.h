/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifact.h - Where the bytes of an artifact are
 *
 * The log says what an artifact is; its bytes are a file of a commit of the
 * session's VM (vfs/artifacts.h).  Both are read with the VM off, and with hibd
 * off.
 */
#ifndef HOST_ARTIFACT_H
#define HOST_ARTIFACT_H

#include "core/id.h"
#include "core/reader.h"
#include "vfs/oid.h"

struct artifact {
	char vm[ID_MAX];
	struct vfs_oid oid; /* Of a blob, says the guest. */
};

/**
 * artifact_find() - Look one up
 * @what: Its id or its path, which means the newest of that path
 *
 * Return: 0; -FAULT_INVALID_ID (@session); -FAULT_FILE_NOT_FOUND.
 */
int artifact_find(struct reader *r, const char *session, const char *what,
		  struct artifact *out, struct err *e);

#endif
