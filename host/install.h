/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install.h - Which packages of an agent are there
 *
 * The packages of an agent are in HIB_HOME/agents/NAME/VERSION, so that a new
 * version comes beside the one that sessions use.  The folder gets its name when
 * it is complete, and has a stamp in it: the list of what was asked for.  Until
 * then it is NAME/.new, and one that is being removed NAME/.gone.  Whoever
 * changes any of that has a flock(2) on HIB_HOME/agents.
 */
#ifndef HOST_INSTALL_H
#define HOST_INSTALL_H

#include "core/json.h"
#include "host/home.h"

#define INSTALL_STAMP	 "hib-agent.json"
#define INSTALL_NEW	 ".new"
#define INSTALL_GONE	 ".gone"
#define INSTALL_PATH_MAX (HOME_PATH_MAX + 256)

/* Where the packages of a checked manifest are, or would be.  @out: unchanged
 * when it names none.  Return: 0; -FAULT_INVALID_ARGUMENT when it names none. */
int install_dir(const struct home *h, struct jv manifest,
		char out[INSTALL_PATH_MAX], struct err *e);
/* Are they there, in these versions?  True when it names none. */
bool install_is_done(const struct home *h, struct jv manifest);
/* Write the stamp into @dir, which is complete now. */
int install_stamp(const char *dir, struct jv manifest, struct err *e);

/* Remove what those have left who were killed over it; nothing while somebody is
 * at work.  Return: how many there were. */
int install_sweep(const struct home *h);

#endif
