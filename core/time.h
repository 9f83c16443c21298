/* SPDX-License-Identifier: Apache-2.0 */
/*
 * time.h - The clock of events
 */
#ifndef CORE_TIME_H
#define CORE_TIME_H

#include <stdint.h>
#include <time.h>

/* Unix time in milliseconds. */
static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
