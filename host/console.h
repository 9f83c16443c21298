/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - Keep the console log of a VM that runs short
 *
 * What a guest prints goes straight into a file, so that no process of ours has
 * to live for it.  A guest may print without end: a log that has become longer
 * than CONSOLE_MAX_BYTES is emptied, soon after that.
 */
#ifndef HOST_CONSOLE_H
#define HOST_CONSOLE_H

#include <uv.h>

#define CONSOLE_MAX_BYTES (1 << 20)
#define CONSOLE_LOOK_MS	  100 /* Between two looks at it. */

struct console; /* Opaque. */

/* Watch @vm_dir/console.log.  NULL: it cannot be watched, and is emptied at the
 * next boot. */
struct console *console_watch(uv_loop_t *loop, const char *vm_dir);
/* NULL is allowed. */
void console_close(struct console *c);

#endif
