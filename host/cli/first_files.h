/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first_files.h - The option --file HOST[:GUEST]
 *
 * A file of this machine that is in /workspace before the first turn.
 */
#ifndef HOST_CLI_FIRST_FILES_H
#define HOST_CLI_FIRST_FILES_H

#include "core/json.h"
#include "host/cli/cli.h"

/* Of all together: as base64 they must fit into one request. */
#define FIRST_FILES_BYTES_MAX (16u << 20)

/**
 * first_files_read() - Read them, as JSON for libhib
 * @list: What was given.  What stands behind the last colon is the path in
 *        /workspace; without it, or when it ends in a slash, a file keeps its
 *        name.  Permissions are those that it has here
 * @out:  An array; left empty when there are none
 *
 * Return: -1 to go on, else the exit status.
 */
int first_files_read(const struct opt_list *list, struct jw *out);

#endif
