/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thaw.h - What the host says to a guest that goes on
 */
#ifndef GUEST_THAW_H
#define GUEST_THAW_H

#include "core/err.h"
#include "core/id.h"
#include "core/json.h"
#include "core/vm_etc.h"
#include "guest/limits.h"
#include "guest/renew.h"

struct thaw {
	int64_t generation, now_ms;
	bool has_entropy;
	uint8_t entropy[RENEW_ENTROPY];
	char vm[ID_MAX];		/* "": as before. */
	char hostname[VM_HOSTNAME_MAX]; /* "": as its id says. */
	char reason[REASON_MAX + 1];
	struct jv sessions; /* Of the call; absent: all are as they were. */
	struct jv execs;    /* The same; those that the host comes back to. */
};

/* Read the params of a thaw, in full.  Return: 0; -FAULT_INVALID_ARGUMENT;
 * -FAULT_INVALID_ID. */
int thaw_read(struct jv params, struct thaw *out, struct err *e);

#endif
