/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_proof.h - Is what was unpacked a snapshot, and as it was kept?
 *
 * The folder is what host/bundle.h has made of a stranger's file.  The manifest
 * is read as a stranger's; each file must have the hash that was said of it, and
 * the size that follows from the manifest; an image is one of this host, by name.
 *
 * That says that nothing was damaged, not that the contents mean well: they are
 * for the VM alone to see, or for its QEMU, in its sandbox.
 */
#ifndef HOST_DAEMON_SNAPSHOT_PROOF_H
#define HOST_DAEMON_SNAPSHOT_PROOF_H

#include "host/snapshot.h"

/* May take long.  @out is to be snapshot_done(), also after a failure.
 * Return: 0; -FAULT_INVALID_ARGUMENT, -FAULT_CAPABILITY_UNSUPPORTED,
 * -FAULT_STORE_CORRUPT; another negative code. */
int snapshot_prove(const char *folder, struct snapshot *out, struct err *e);
/* May a machine's memory be without that file? */
bool snapshot_may_lack(const char *name);

#endif
