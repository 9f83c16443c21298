/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home.h - Where everything is: the state folder and our own programs
 *
 * State: $HIB_HOME, else $XDG_STATE_HOME/hibernacle, else
 * ~/.local/state/hibernacle.  Programs are found from the running one: in a
 * build tree o/MODE/{bin,libexec}, installed PREFIX/bin and
 * PREFIX/libexec/hibernacle; $HIB_LIBEXEC overrides.  That folder is for what VMs
 * have, too; PREFIX/lib/hibernacle/hib-files, of the host alone, is not in it.
 */
#ifndef HOST_HOME_H
#define HOST_HOME_H

#include "core/err.h"

#define HOME_PATH_MAX 3072 /* Room is left in PATH_MAX for names below. */

struct home {
	char root[HOME_PATH_MAX];
	char db[HOME_PATH_MAX], sock[HOME_PATH_MAX], pid[HOME_PATH_MAX];
	char key[HOME_PATH_MAX], log[HOME_PATH_MAX];
	char agents[HOME_PATH_MAX], vms[HOME_PATH_MAX];
	char bin[HOME_PATH_MAX];	   /* Folder of hib and hibd. */
	char files_program[HOME_PATH_MAX]; /* hib-files. */
	char libexec[HOME_PATH_MAX];	   /* Folder of hib-guest. */
	char manifests[HOME_PATH_MAX];	   /* Agent manifests that we ship. */
	char images[HOME_PATH_MAX];	   /* Of the user. */
	char shared_images[HOME_PATH_MAX]; /* Made for all. */
	char recipes[HOME_PATH_MAX];	   /* By which images are made. */
};

/* Find the paths; touches nothing.  @root: NULL for the environment's.
 * Return: 0; -EINVAL when there is no absolute path to be had; -ENAMETOOLONG. */
int home_find(const char *root, struct home *out, struct err *e);

/* Make the state folder (mode 0700) and what belongs in it. */
int home_make(const struct home *h, struct err *e);

#endif
