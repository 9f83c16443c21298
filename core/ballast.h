/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ballast.h - A file that only holds disk space, to be given up when there is
 * none left
 *
 * For one thread.  A disk without room for it is no error: then there is simply
 * none to give up.
 */
#ifndef CORE_BALLAST_H
#define CORE_BALLAST_H

#include "core/err.h"

struct ballast {
	/* Private. */
	char *db_path, *path;
	size_t size;
	enum { BALLAST_AWAY, BALLAST_HELD, BALLAST_NEVER } state;
};

/* Beside the database @db_path.  Nothing is done to the disk.  Return: 0 or
 * -ENOMEM. */
int ballast_init(struct ballast *b, const char *db_path, size_t size);
/* Forget it; the file stays for the next start. */
void ballast_done(struct ballast *b);

/* Take the space if the disk has plenty.  Cheap when it is held. */
void ballast_hold(struct ballast *b);
/* It is there: the disk is not full, as far as is known. */
bool ballast_is_held(const struct ballast *b);
/* Give it up. */
void ballast_drop(struct ballast *b);

#endif
