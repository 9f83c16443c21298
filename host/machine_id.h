/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_id.h - Which process a VM's machine is, across lives of hibd
 */
#ifndef HOST_MACHINE_ID_H
#define HOST_MACHINE_ID_H

#include <sys/types.h>

#include "core/err.h"

/* Return: a pidfd (close-on-exec), or a negative errno. */
int machine_id_open_pid(pid_t pid);

/* Write VMDIR/machine.json for that process, whole or not at all. */
int machine_id_write(const char *vm_dir, pid_t pid, struct err *e);

/* Find the process that machine.json names.
 * Return: its pidfd, owned by the caller; -ESRCH when there is no such file or
 * the process has ended. */
int machine_id_open(const char *vm_dir, pid_t *out_pid, struct err *e);

/* Remove machine.json. */
void machine_id_forget(const char *vm_dir);

#endif
