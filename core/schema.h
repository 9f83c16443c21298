/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - The SQL of core/schema/, as text in the program
 */
#ifndef CORE_SCHEMA_H
#define CORE_SCHEMA_H

extern const char schema_core[];  /* What guest.db and hib.db share; first. */
extern const char schema_guest[]; /* Only in guest.db. */
extern const char schema_host[];  /* Only in hib.db. */

#endif
