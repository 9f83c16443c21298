/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_watch.h - How far an import is, from its thread to the loop
 */
#ifndef HOST_DAEMON_IMPORT_WATCH_H
#define HOST_DAEMON_IMPORT_WATCH_H

#include <uv.h>

#include "vfs/import.h"

#define IMPORT_TELL_MS 200 /* Between two tellings. */

struct import_watch; /* Opaque. */

typedef void (*import_progress_cb)(const struct vfs_import_progress *p,
				   void *arg);

/* @cb: on the loop, at once at first and then every IMPORT_TELL_MS at most.
 * NULL: out of memory. */
struct import_watch *import_watch_new(uv_loop_t *loop, import_progress_cb cb,
				      void *arg);
/* On the thread of the import.  Its stage is static text. */
void import_watch_note(struct import_watch *w,
		       const struct vfs_import_progress *p);
/* On the loop, once the thread is done.  No callback runs any more.  NULL is
 * allowed. */
void import_watch_free(struct import_watch *w);

#endif
