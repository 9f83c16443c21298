/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekey.h - Sessions of a VM that was set back or cloned
 *
 * The part of store_rekey() that runs on the writer thread.
 */
#ifndef CORE_REKEY_H
#define CORE_REKEY_H

#include "core/append.h"

/* In the open transaction: what @o says of its session.  Return: 0 with the
 * tail's acked set, 1 when rows were purged, or an error of store_rekey(). */
int rekey_log(struct append *a, struct store_rekey_one *o, struct err *e);

#endif
