/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount_files.h - Files that are given with a mount, to be read only
 *
 * They live in VMDIR/files/<number of the mount>, which the VM sees read-only,
 * and never change.
 */
#ifndef HOST_DAEMON_MOUNT_FILES_H
#define HOST_DAEMON_MOUNT_FILES_H

#include "core/json.h"

#define MOUNT_FILES_AT "files" /* Below VMDIR. */

/* Whether @files can be such a list, as initialFiles. */
int mount_files_check(struct jv files, struct err *e);

/* Write those of each mount of the list that has some.  @vm_dir: new. */
int mount_files_write(const char *vm_dir, struct jv mounts, struct err *e);

/* Give those of one VM to another as well. */
int mount_files_share(const char *from_dir, const char *to_dir, struct err *e);

#endif
