/* SPDX-License-Identifier: Apache-2.0 */
/*
 * full_disk.h - A machine waits while the host's disk is full
 */
#ifndef HOST_PRELOAD_FULL_DISK_H
#define HOST_PRELOAD_FULL_DISK_H

#include <stdbool.h>

/* To be asked when a call that may fill a file has failed.  Return: true after
 * some time, when errno says that there was no room; to be called again then. */
__attribute__((visibility("hidden"))) bool full_disk_waited(void);

#endif
