/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.h - The commands of `hib`, one function each
 *
 * argv[0] is the last word of the command's name.
 */
#ifndef HOST_CLI_COMMANDS_H
#define HOST_CLI_COMMANDS_H

#include "host/cli/cli.h"

/* prompt.c */
int run_command(struct cli *c, int argc, char **argv);
int prompt_command(struct cli *c, int argc, char **argv);
int cancel_command(struct cli *c, int argc, char **argv);

/* answer.c */
int answer_command(struct cli *c, int argc, char **argv);
int approve_command(struct cli *c, int argc, char **argv);
int deny_command(struct cli *c, int argc, char **argv);
/* Say yes or no by c->hib; c->argv: the session and, when more than one waits,
 * the request.  Return: exit status. */
int cli_decide(struct cli *c, bool approve);

/* attach.c */
int attach_command(struct cli *c, int argc, char **argv);
/* Which command fits a session in that state, in words. */
const char *attach_advice(const char *state);

/* log.c */
int log_command(struct cli *c, int argc, char **argv);
int messages_command(struct cli *c, int argc, char **argv);

/* cursor.c */
int cursor_list_command(struct cli *c, int argc, char **argv);
int cursor_get_command(struct cli *c, int argc, char **argv);
int cursor_set_command(struct cli *c, int argc, char **argv);
int cursor_delete_command(struct cli *c, int argc, char **argv);
/* Where a cursor stands; a new one at 0.  Return: 1; 0: it is new; an exit
 * status above 1. */
int cli_cursor(struct cli *c, const char *session, const char *name,
	       int64_t *seq);

/* notes.c */
int kv_get_command(struct cli *c, int argc, char **argv);
int kv_set_command(struct cli *c, int argc, char **argv);
int kv_delete_command(struct cli *c, int argc, char **argv);
int kv_list_command(struct cli *c, int argc, char **argv);
int memory_get_command(struct cli *c, int argc, char **argv);
int memory_set_command(struct cli *c, int argc, char **argv);
int memory_delete_command(struct cli *c, int argc, char **argv);
int memory_list_command(struct cli *c, int argc, char **argv);
int summary_add_command(struct cli *c, int argc, char **argv);
int summary_list_command(struct cli *c, int argc, char **argv);

/* sql.c */
int sql_command(struct cli *c, int argc, char **argv);

/* search.c */
int search_command(struct cli *c, int argc, char **argv);

/* session.c */
int session_create_command(struct cli *c, int argc, char **argv);
int fork_command(struct cli *c, int argc, char **argv);
int session_list_command(struct cli *c, int argc, char **argv);
int session_get_command(struct cli *c, int argc, char **argv);
int session_turns_command(struct cli *c, int argc, char **argv);
int session_artifacts_command(struct cli *c, int argc, char **argv);
int session_requests_command(struct cli *c, int argc, char **argv);
int session_diffs_command(struct cli *c, int argc, char **argv);
int session_stats_command(struct cli *c, int argc, char **argv);
int session_usage_command(struct cli *c, int argc, char **argv);
int session_update_command(struct cli *c, int argc, char **argv);
int session_resume_command(struct cli *c, int argc, char **argv);
int session_suspend_command(struct cli *c, int argc, char **argv);
int session_close_command(struct cli *c, int argc, char **argv);
int session_kill_command(struct cli *c, int argc, char **argv);
int session_destroy_command(struct cli *c, int argc, char **argv);
int session_archive_command(struct cli *c, int argc, char **argv);
int session_unarchive_command(struct cli *c, int argc, char **argv);

/* config.c */
int session_set_command(struct cli *c, int argc, char **argv);
int session_config_command(struct cli *c, int argc, char **argv);

/* vm.c */
int vm_create_command(struct cli *c, int argc, char **argv);
int vm_list_command(struct cli *c, int argc, char **argv);
int vm_get_command(struct cli *c, int argc, char **argv);
int vm_events_command(struct cli *c, int argc, char **argv);
int vm_wake_command(struct cli *c, int argc, char **argv);
int vm_prewarm_command(struct cli *c, int argc, char **argv);
int vm_fork_command(struct cli *c, int argc, char **argv);
int vm_suspend_command(struct cli *c, int argc, char **argv);
int vm_resume_command(struct cli *c, int argc, char **argv);
int vm_upgrade_command(struct cli *c, int argc, char **argv);
int vm_sleep_command(struct cli *c, int argc, char **argv);
int vm_stop_command(struct cli *c, int argc, char **argv);
int vm_destroy_command(struct cli *c, int argc, char **argv);
/* Of a VM's row: is it off, with files on its disk that no commit has?  And the
 * words for that. */
bool vm_is_newer(struct jv vm);
void vm_tell_newer(void);

/* snapshot.c */
int snapshot_create_command(struct cli *c, int argc, char **argv);
int snapshot_list_command(struct cli *c, int argc, char **argv);
int snapshot_show_command(struct cli *c, int argc, char **argv);
int snapshot_verify_command(struct cli *c, int argc, char **argv);
int vm_restore_command(struct cli *c, int argc, char **argv);
/* Fork a snapshot, or the memory of a VM.  Return: exit status. */
int cli_fork_snapshot(struct cli *c, const char *what, int64_t n,
		      const char *name, bool json);
int snapshot_remove_command(struct cli *c, int argc, char **argv);

/* exec.c */
int exec_command(struct cli *c, int argc, char **argv);

/* mcp_serve.c */
int mcp_serve_command(struct cli *c, int argc, char **argv);

/* files.c */
int export_command(struct cli *c, int argc, char **argv);
int import_command(struct cli *c, int argc, char **argv);

/* mcp.c */
int mcp_list_command(struct cli *c, int argc, char **argv);
int mcp_tools_command(struct cli *c, int argc, char **argv);
int mcp_call_command(struct cli *c, int argc, char **argv);

/* secret.c */
int secret_set_command(struct cli *c, int argc, char **argv);
int secret_list_command(struct cli *c, int argc, char **argv);
int secret_remove_command(struct cli *c, int argc, char **argv);

/* image.c */
int image_list_command(struct cli *c, int argc, char **argv);
int image_build_command(struct cli *c, int argc, char **argv);
int image_warm_command(struct cli *c, int argc, char **argv);
int image_cool_command(struct cli *c, int argc, char **argv);
int image_inspect_command(struct cli *c, int argc, char **argv);
int image_remove_command(struct cli *c, int argc, char **argv);

/* admin.c */
int store_check_command(struct cli *c, int argc, char **argv);
int types_command(struct cli *c, int argc, char **argv);
int token_create_command(struct cli *c, int argc, char **argv);
int daemon_start_command(struct cli *c, int argc, char **argv);
int daemon_stop_command(struct cli *c, int argc, char **argv);
int daemon_status_command(struct cli *c, int argc, char **argv);
int doctor_command(struct cli *c, int argc, char **argv);
int version_command(struct cli *c, int argc, char **argv);

/* agent.c */
int agent_list_command(struct cli *c, int argc, char **argv);
int agent_add_command(struct cli *c, int argc, char **argv);
int agent_remove_command(struct cli *c, int argc, char **argv);

/* agent_check.c */
int agent_check_command(struct cli *c, int argc, char **argv);

/* completion.c */
int completion_command(struct cli *c, int argc, char **argv);

/* --- host/files: in hib-files; elsewhere.c stands for them in hib ---------- */

/* snapshot_file.c */
int snapshot_export_command(struct cli *c, int argc, char **argv);
int snapshot_import_command(struct cli *c, int argc, char **argv);

/* artifact.c */
int artifact_get_command(struct cli *c, int argc, char **argv);

/* workspace.c */
int files_ls_command(struct cli *c, int argc, char **argv);
int files_cat_command(struct cli *c, int argc, char **argv);
int files_stat_command(struct cli *c, int argc, char **argv);

/* workspace_put.c, workspace_get.c, workspace_change.c */
int files_put_command(struct cli *c, int argc, char **argv);
int files_get_command(struct cli *c, int argc, char **argv);
int files_rm_command(struct cli *c, int argc, char **argv);
int files_mv_command(struct cli *c, int argc, char **argv);
int files_cp_command(struct cli *c, int argc, char **argv);
int files_mkdir_command(struct cli *c, int argc, char **argv);
int files_grep_command(struct cli *c, int argc, char **argv);
int files_watch_command(struct cli *c, int argc, char **argv);

/* workspace_history.c */
int files_log_command(struct cli *c, int argc, char **argv);
int files_diff_command(struct cli *c, int argc, char **argv);
int files_show_command(struct cli *c, int argc, char **argv);
int files_changes_command(struct cli *c, int argc, char **argv);

/* workspace_export.c */
int files_export_command(struct cli *c, int argc, char **argv);

/* workspace_restore.c */
int files_checkpoint_command(struct cli *c, int argc, char **argv);
int files_restore_command(struct cli *c, int argc, char **argv);

#endif
