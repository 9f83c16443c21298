/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - The time of a loop that may be paused
 *
 * A deadline is told in the loop's own time, which stands still while a guest is
 * asleep with its memory: what had five seconds left has five seconds left when
 * it wakes.  uv_loop_t.data is ours for that, and holds for how long the loop
 * has been paused in its life.  It is zero before uv_loop_init(), which leaves it
 * as it is.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <stdint.h>
#include <uv.h>

/* As uv_now(), less the pauses. */
static inline uint64_t loop_now(const uv_loop_t *loop)
{
	return uv_now(loop) - (uintptr_t)loop->data;
}

/* It was paused for so many ms. */
static inline void loop_slept(uv_loop_t *loop, uint64_t ms)
{
	loop->data = (void *)((uintptr_t)loop->data + (uintptr_t)ms);
}

#endif
