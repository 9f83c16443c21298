// SPDX-License-Identifier: Apache-2.0
/*
 * vm_etc.c - The files of /etc that are made for each VM
 */
#include "core/vm_etc.h"

#include <stdio.h>
#include <string.h>

#define ID_HEX 3 /* Where the hex digits of "vm_..." begin. */

void vm_etc_hostname(const char *vm, char out[VM_HOSTNAME_MAX])
{
	size_t n = strlen(vm);

	snprintf(out, VM_HOSTNAME_MAX, "vm-%.8s", vm + (n > 8 ? n - 8 : 0));
}

void vm_etc_make(const char *vm, const char *shell, struct vm_etc *out)
{
	char name[VM_HOSTNAME_MAX];

	vm_etc_hostname(vm, name);
	vm_etc_make_named(vm, name, shell, out);
}

void vm_etc_make_named(const char *vm, const char *hostname, const char *shell,
		       struct vm_etc *out)
{
	out->file[0].name = "passwd";
	snprintf(out->file[0].text, VM_ETC_MAX,
		 "root:x:0:0:root:/root:/bin/%s\n"
		 "user:x:1000:1000:user:/home/user:/bin/%s\n"
		 "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		 shell, shell);
	out->file[1].name = "group";
	snprintf(out->file[1].text, VM_ETC_MAX,
		 "root:x:0:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n");
	out->file[2].name = "hosts";
	snprintf(out->file[2].text, VM_ETC_MAX,
		 "127.0.0.1 localhost %s\n"
		 "::1 localhost ip6-localhost ip6-loopback\n",
		 hostname);
	out->file[3].name = "hostname";
	snprintf(out->file[3].text, VM_ETC_MAX, "%s\n", hostname);
	out->file[4].name = "machine-id";
	snprintf(out->file[4].text, VM_ETC_MAX, "%s\n", vm + ID_HEX);
}
