/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - What this machine offers, and what follows when it does not
 *
 * Each probe tries the thing itself, in a child where it would leave traces,
 * rather than guess from versions and settings.  That changes nothing.
 */
#ifndef HOST_DOCTOR_H
#define HOST_DOCTOR_H

#include "host/home.h"

#define DOCTOR_ROWS	  14
#define DOCTOR_DETAIL_MAX 160

struct doctor_row {
	const char *name; /* "user namespaces" */
	bool ok;
	bool needed;			/* No sandbox starts without it. */
	char detail[DOCTOR_DETAIL_MAX]; /* What was found. */
	const char *consequence; /* What does not work when it is not ok. */
};

/* Probe all; needs a process with a single thread.
 * Return: whether all that is needed is there. */
bool doctor_run(const struct home *h, struct doctor_row rows[DOCTOR_ROWS]);

/* Remove what work that was cut off has left of snapshots, and of the packages of
 * agents; hibd does so when it starts.  Return: how many there were; 0 while hibd
 * runs, who knows what is under way; a negative code. */
int doctor_repair(const struct home *h, struct err *e);

#endif
