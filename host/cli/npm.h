/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npm.h - Running npm
 */
#ifndef HOST_CLI_NPM_H
#define HOST_CLI_NPM_H

#include "core/json.h"

/**
 * npm_install() - Install packages into a folder, by the npm in PATH
 * @dir:  Empty folder
 * @pins: JSON list of NAME@VERSION, checked
 *
 * Scripts of packages are not run.  What npm says goes to standard error.  An
 * interrupt or SIGTERM is passed on to npm and all it started, and ends this.
 *
 * Return: 0; -FAULT_AGENT_UNKNOWN when npm or node is not here;
 * -FAULT_AGENT_SPAWN_FAILED when npm fails; -ECANCELED; a negative errno.
 */
int npm_install(const char *dir, struct jv pins, struct err *e);

#endif
