// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_words.c - What a machine's kernel is told on its command line
 */
#include "host/sandbox/kernel_words.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define TSC_MEASURE_US 2000
#define TSC_TRIES      4

#define WORDS "console=ttyS0 quiet reboot=t panic=-1"

/* A kernel that is booted for one program skips tests of itself and modules for
 * rules that nobody has written, and waits for no timer to go on. */
#define QUICK_WORDS " lsm=landlock cryptomgr.notests rcupdate.rcu_expedited=1"

/* What a microvm of QEMU 7.2 needs under TCG to get over the calibration of its
 * clock, which there is no second one to check.  An emulated processor does not
 * speculate, so nothing has to be done against that.  To take the locks out of the
 * kernel's code, where it finds one processor, costs more than it saves.  Our own
 * kernel knows of lapic_timer_khz (images/kernel/timer.patch), Debian's does not. */
#define TCG_WORDS                                                   \
	" no_timer_check lpj=5000000 mitigations=off tsc=reliable " \
	"noreplace-smp lapic_timer_khz=1000000 tsc_early_khz="

struct instant {
	uint64_t cycles, ns;
};

/* Both clocks at once, as nearly as one of a few tries is. */
static struct instant instant_now(void)
{
	struct instant best = {0};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TSC_TRIES; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec now;

		(void)clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		best.cycles = before + least / 2;
		best.ns = (uint64_t)now.tv_sec * 1000000000u +
			  (uint64_t)now.tv_nsec;
	}
	return best;
}

/* TCG's counter of cycles is the host's, but the guest has nothing to measure it
 * with: told another rate, its clock would run fast or slow. */
static unsigned tsc_khz(void)
{
	struct instant from = instant_now(), to;

	(void)usleep(TSC_MEASURE_US);
	to = instant_now();
	return (unsigned)((to.cycles - from.cycles) * 1000000u /
			  (to.ns - from.ns));
}

void kernel_words(const char *vm, bool kvm, char out[KERNEL_WORDS_MAX])
{
	if (kvm) {
		snprintf(out, KERNEL_WORDS_MAX, WORDS QUICK_WORDS " hib.vm=%s",
			 vm);
		return;
	}
	snprintf(out, KERNEL_WORDS_MAX,
		 WORDS QUICK_WORDS TCG_WORDS "%u hib.vm=%s", tsc_khz(), vm);
}
