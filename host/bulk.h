/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulk.h - Long work on libuv's threads, a few pieces at a time
 *
 * Copies of whole disks take minutes, and the pool has a handful of threads that
 * everything else needs, too: commits of turns, reads of files, searches.  What is
 * long comes here and takes its turn, so that there is always a thread for what
 * is short.
 */
#ifndef HOST_BULK_H
#define HOST_BULK_H

#include <uv.h>

#define BULK_MAX 2 /* At a time; the pool has at least four threads. */

/* As uv_queue_work(), which fails without a function only.  What waits keeps the
 * loop alive, and is begun in the order of the calls. */
void bulk_queue(uv_loop_t *loop, uv_work_t *w, uv_work_cb work,
		uv_after_work_cb done);

#endif
