/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - The small vocabulary every file shares
 *
 * Only macros and inlines that need no .c file.  Nothing here knows about
 * sessions, agents or protocols.
 */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define BIT(n)	     (1u << (n))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define cleanup(fn)	       __attribute__((cleanup(fn)))

/*
 * Scope-owned resources.  A variable declared with one of these is released
 * when it leaves scope; give it away with take_ptr() or take_fd().
 */
static inline void free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define autofree  cleanup(free_ptr)
#define autoclose cleanup(close_fd)

#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
