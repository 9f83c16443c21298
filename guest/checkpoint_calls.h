/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint_calls.h - Checkpoints that belong to no turn
 *
 * Those that the host asks for, and the last one before the VM sleeps.
 */
#ifndef GUEST_CHECKPOINT_CALLS_H
#define GUEST_CHECKPOINT_CALLS_H

#include "guest/guest.h"

/* workspace.checkpoint: answered with {"head":..|null,"changed":bool} when it
 * is made.  Return: 0; -FAULT_CAPABILITY_UNSUPPORTED without a workspace. */
int guest_checkpoint(struct guest *g, struct call *c, struct err *e);

/* Every session is settled: make the last checkpoint, at the first call.
 * Return: whether it has been made or given up, for at most WORKSPACE_FREEZE_MS
 * later.  guest_on_slept() is called when that becomes true. */
bool guest_keep_last(struct guest *g);
/* The guest goes on: the next call makes another one. */
void guest_forget_last(struct guest *g);
/* What became of it, as member "workspace" of an open object. */
void guest_write_last(const struct guest *g, struct jw *w);

#endif
