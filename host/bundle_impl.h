/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle_impl.h - Private to bundle.c and bundle_read.c
 */
#ifndef HOST_BUNDLE_IMPL_H
#define HOST_BUNDLE_IMPL_H

#include "core/err.h"

struct archive;

/* Record what libarchive says of a failure.  Return: @code. */
int bundle_fail(struct archive *a, struct err *e, int code, const char *what);

#endif
