/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - The SQL of core/schema/, as text in the program
 */
#ifndef CORE_SCHEMA_H
#define CORE_SCHEMA_H

/* Version 1. */
extern const char schema_core[];  /* What guest.db and hib.db share; first. */
extern const char schema_guest[]; /* Only in guest.db. */
extern const char schema_host[];  /* Only in hib.db. */
extern const char schema_vfs[];	  /* All of vfs.db. */
/* Steps to later versions, then the views of the newest. */
extern const char schema_host_2[];
extern const char schema_core_3[]; /* Of guest.db and hib.db. */
extern const char schema_core_4[]; /* Of guest.db and hib.db. */
extern const char schema_host_5[];
extern const char schema_views[];

#endif
