/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renew.h - Give a machine back what it cannot know after its memory was stored
 *
 * A machine goes on at the instant at which it was stopped: its clock is behind,
 * and of two that go on from one snapshot each would draw the same random bits and
 * have the same name.  A sandbox shares the host's kernel, and needs none of it.
 *
 * What fails is logged; a machine that cannot be renewed goes on without.
 */
#ifndef GUEST_RENEW_H
#define GUEST_RENEW_H

#include "core/base.h"

#define RENEW_ENTROPY 64 /* Bytes. */

/* Unix time in milliseconds. */
void renew_clock(int64_t now_ms);
/* New random bits for all, from now on (random(4)). */
void renew_entropy(const uint8_t bytes[RENEW_ENTROPY]);
/* Be VM @vm: host name, /etc/hostname, hosts, machine-id.  @hostname: NULL for the
 * one that follows from @vm. */
void renew_names(const char *vm, const char *hostname);
/* About to be stopped: have nothing in memory that is on a disk. */
void renew_shrink(void);

#endif
