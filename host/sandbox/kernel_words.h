/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_words.h - What a machine's kernel is told on its command line
 */
#ifndef HOST_SANDBOX_KERNEL_WORDS_H
#define HOST_SANDBOX_KERNEL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define KERNEL_WORDS_MAX 512

/* For the VM @vm.  Without KVM it takes a few milliseconds, to measure a clock. */
void kernel_words(const char *vm, bool kvm, char out[KERNEL_WORDS_MAX]);

#endif
