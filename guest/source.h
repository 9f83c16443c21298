/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - Committed files as the host has them, by the uplink
 */
#ifndef GUEST_SOURCE_H
#define GUEST_SOURCE_H

#include "guest/uplink.h"
#include "vfs/lower.h"

/* The source is a struct uplink.  uplink_close() ends what is under way. */
extern const struct vfs_source_ops source_ops;

#endif
