/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell.h - What users of shells are used to: who runs a line, how ends are told
 */
#ifndef GUEST_SHELL_H
#define GUEST_SHELL_H

#include "core/json.h"
#include "guest/proc.h"

/* Path of the shell that runs a line by "-c".  The same files are there for us
 * and for a session. */
const char *shell_path(void);

/* Exit code of a program that never ran: 127, or 126 when it must not be
 * executed. */
int shell_no_start(const struct proc_end *end);

/* The member "signal": "SIGKILL", or null for 0. */
void shell_put_signal(struct jw *w, int signal);

#endif
