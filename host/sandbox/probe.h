/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - Boot a guest under KVM, to see whether it comes up
 */
#ifndef HOST_SANDBOX_PROBE_H
#define HOST_SANDBOX_PROBE_H

#include "core/err.h"

#define PROBE_MS 2000 /* Until the guest's first program runs. */

/* With the kernel and the modules beside the files @image of an image, and
 * hib-guest of @libexec, which finds no VM to be and says so on the console.
 * Return: ms that it took, or a negative errno. */
int probe_kvm(const char *image, const char *libexec, struct err *e);

#endif
