/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_notes.h - The rows of notes: kv, memory, summary (note.h)
 *
 * Private to project.c.  Each follows one event; results are as those of
 * project_event().
 */
#ifndef CORE_PROJECT_NOTES_H
#define CORE_PROJECT_NOTES_H

#include "core/member.h"

int project_kv_set(struct projection *p);
int project_kv_deleted(struct projection *p);
int project_memory_set(struct projection *p);
int project_memory_deleted(struct projection *p);
int project_summary(struct projection *p);

#endif
