/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standard_fds.h - Standard input, output and error that are not open
 */
#ifndef HOST_STANDARD_FDS_H
#define HOST_STANDARD_FDS_H

/**
 * standard_fds_take() - Have nothing else get the numbers 0, 1 and 2
 *
 * Whoever started us may have closed them.  The next file or socket would be
 * read, or written to, as if it were one of them.  They stay of no use: reading
 * or writing them fails with EBADF.  First of all in main().
 */
void standard_fds_take(void);

#endif
