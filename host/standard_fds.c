// SPDX-License-Identifier: Apache-2.0
/*
 * standard_fds.c - Standard input, output and error that are not open
 *
 * /dev/null takes the place of what is missing, opened the wrong way round.
 */
#include "host/standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/base.h"

void standard_fds_take(void)
{
	static const int modes[] = {
		[STDIN_FILENO] = O_WRONLY,
		[STDOUT_FILENO] = O_RDONLY,
		[STDERR_FILENO] = O_RDONLY,
	};

	/* open() takes the lowest number that is free.  Children inherit it. */
	for (size_t fd = 0; fd < ARRAY_LEN(modes); fd++)
		if (fcntl((int)fd, F_GETFD) < 0)
			(void)open("/dev/null", modes[fd]);
}
