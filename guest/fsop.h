/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsop.h - Read or write one file, as a program of its own
 *
 *	hib-guest fs-read PATH FIRST COUNT	lines to stdout; COUNT -1: all
 *	hib-guest fs-write PATH NAME		the file from stdin
 *
 * NAME is for the new file in passing (vfs/passing.h), written down by whoever
 * starts this; it is gone when this ends, unless by a signal.
 *
 * Started inside a session as its user (files.h), so that the kernel decides
 * what it may reach.  The exit code is 0 or the errno of what failed; EFBIG says
 * that there were more than FILE_BYTES_MAX bytes.
 */
#ifndef GUEST_FSOP_H
#define GUEST_FSOP_H

#define FSOP_READ  "fs-read" /* argv[1] */
#define FSOP_WRITE "fs-write"

/* Is this program started to be one of the two?  Then be it.
 * Return: the exit code for main(), or -1 when it is not. */
int fsop_main(int argc, char **argv);

#endif
