/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_again.h - The rows of a session after a rewind
 *
 * A rewind takes back what the log says after an earlier event, and with it any
 * earlier rewind in that part: what that one had abandoned counts again.  So the
 * abandoned ranges are those of the session.rewound events that are not abandoned
 * themselves, and they never overlap.
 *
 * Private to project*.c.
 */
#ifndef CORE_PROJECT_AGAIN_H
#define CORE_PROJECT_AGAIN_H

#include "core/member.h"

/**
 * project_again() - Follow session.rewound
 * @p: The event, which is stored
 *
 * Writes the rows of `abandoned`.  If the range is in this store at all (in that
 * of a guest that was set back it is not, and its rows are right already), all
 * rows of the session are removed and made again from the events that are left.
 * A log whose beginning retention has removed keeps its rows.
 *
 * Return: 0, also for an event that abandons nothing that can be; or an error.
 */
int project_again(struct projection *p);

/* In project.c: make the rows of @ev again, an earlier event of the session of
 * @of. */
int project_event_again(const struct projection *of, const struct event *ev);

#endif
