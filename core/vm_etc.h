/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_etc.h - The files of /etc that are made for each VM
 *
 * Whoever builds its root writes them: the launcher of a sandbox, or the first
 * program of a machine.
 */
#ifndef CORE_VM_ETC_H
#define CORE_VM_ETC_H

#include "core/base.h"

#define VM_ETC_MAX	512 /* Bytes of one file. */
#define VM_ETC_FILES	5
#define VM_HOSTNAME_MAX 16

struct vm_etc {
	struct {
		const char *name; /* "passwd" */
		char text[VM_ETC_MAX];
	} file[VM_ETC_FILES];
};

/* A name to read in a prompt, from the random end of the VM's id. */
void vm_etc_hostname(const char *vm, char out[VM_HOSTNAME_MAX]);
/* passwd, group, hosts, hostname, machine-id.  @shell: "bash", "sh" */
void vm_etc_make(const char *vm, const char *shell, struct vm_etc *out);
/* The same with another host name. */
void vm_etc_make_named(const char *vm, const char *hostname, const char *shell,
		       struct vm_etc *out);

#endif
