// SPDX-License-Identifier: Apache-2.0
/*
 * elsewhere.c - The commands that hib-files carries out
 *
 * They need libgit2 or libarchive, which take longer to load than all else that
 * hib does.  So these commands are in a program of their own that this process
 * becomes, with the same arguments: hib-files is hib, with host/files/ in place of
 * this file.
 */
#include <string.h>

#include "host/cli/commands.h"

static int become_hib_files(const struct cli *c)
{
	struct err e = {0};

	execv(c->home.files_program, c->args);
	err_set(&e, -errno, "%s: %s", c->home.files_program, strerror(errno));
	return cli_fail(&e);
}

#define ELSEWHERE(command)                                \
	int command(struct cli *c, int argc, char **argv) \
	{                                                 \
		(void)argc, (void)argv;                   \
		return become_hib_files(c);               \
	}

ELSEWHERE(artifact_get_command)
ELSEWHERE(files_cat_command)
ELSEWHERE(files_changes_command)
ELSEWHERE(files_checkpoint_command)
ELSEWHERE(files_cp_command)
ELSEWHERE(files_diff_command)
ELSEWHERE(files_export_command)
ELSEWHERE(files_get_command)
ELSEWHERE(files_grep_command)
ELSEWHERE(files_log_command)
ELSEWHERE(files_ls_command)
ELSEWHERE(files_mkdir_command)
ELSEWHERE(files_mv_command)
ELSEWHERE(files_put_command)
ELSEWHERE(files_restore_command)
ELSEWHERE(files_rm_command)
ELSEWHERE(files_show_command)
ELSEWHERE(files_stat_command)
ELSEWHERE(files_watch_command)
ELSEWHERE(snapshot_export_command)
ELSEWHERE(snapshot_import_command)
