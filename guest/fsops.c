// SPDX-License-Identifier: Apache-2.0
/*
 * fsops.c - What can be asked of the files of the workspace, and done to them
 */
#include "guest/fsops.h"

#include <string.h>

static const struct fsop ops[] = {
	{"list", fs_list, false},
	{"stat", fs_stat, false},
	{"grep", fs_grep, false},
	{"read-files", fs_read_files, false},
	{"write-files", fs_write_files, true},
	{"mkdir", fs_mkdir, true},
	{"move", fs_move, true},
	{"copy", fs_copy, true},
	{"remove", fs_remove, true},
	{"chmod", fs_chmod, true},
	{"symlink", fs_symlink, true},
};

const struct fsop *fsops_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}
