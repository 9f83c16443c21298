/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm.h - Does KVM run a machine here?
 *
 * That /dev/kvm opens says little: within a virtual machine, or a sandbox, QEMU
 * may abort on it, or its guest never get anywhere.  So a guest is booted once,
 * with a deadline; the verdict holds for this boot of the host, this QEMU and
 * this kernel, and is kept in HIB_HOME/kvm.json beside those of other kernels.
 */
#ifndef HOST_KVM_H
#define HOST_KVM_H

#include "core/err.h"

#define KVM_WHY_MAX 160

struct kvm_verdict {
	bool works;
	int64_t ms;	       /* Until the guest's first program ran. */
	char why[KVM_WHY_MAX]; /* It does not. */
};

/* May this process try at all?  @e says why not. */
bool kvm_is_open(struct err *e);

/* The verdict that was found before.  @root: HIB_HOME.  @image: the folder of
 * files of the image that is to be booted.
 * Return: 0; -ENOENT when there is none, or none that still holds. */
int kvm_recall(const char *root, const char *image, struct kvm_verdict *out);

/* Try, for at most a few seconds, and keep the verdict; not for a loop.
 * @libexec: folder of the launcher. */
void kvm_probe(const char *root, const char *image, const char *libexec,
	       struct kvm_verdict *out);

#endif
