// SPDX-License-Identifier: Apache-2.0
/*
 * tree.c - Folders with all that is in them
 */
#include "host/tree.h"

#include <ftw.h>
#include <sys/stat.h>

#define OPEN_FOLDERS 32
#define CLOSED_MAX   64 /* Closed folders, one in the other. */

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

/* A folder that is closed to its owner. */
static int open_entry(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)ftw;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
		(void)chmod(path, 0700);
	return 0;
}

/* Each round opens what the one before has come to. */
int tree_remove(const char *path)
{
	for (int n = 0; n < CLOSED_MAX; n++) {
		if (nftw(path, remove_entry, OPEN_FOLDERS,
			 FTW_DEPTH | FTW_PHYS) == 0 ||
		    errno == ENOENT)
			return 0;
		if (errno != EACCES && errno != ENOTEMPTY)
			return -errno;
		(void)nftw(path, open_entry, OPEN_FOLDERS, FTW_PHYS);
	}
	return -EACCES;
}

static int publish_entry(const char *path, const struct stat *st, int type,
			 struct FTW *ftw)
{
	mode_t mode = (st->st_mode & 07777) | 0444;

	(void)ftw;
	if (type == FTW_SL)
		return 0;
	if (type == FTW_D || (mode & 0100) != 0)
		mode |= 0111;
	return mode == (st->st_mode & 07777) ? 0 : chmod(path, mode);
}

int tree_publish(const char *path)
{
	return nftw(path, publish_entry, OPEN_FOLDERS, FTW_PHYS) == 0 ? 0
								      : -errno;
}
