/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.h - The handlers behind the HTTP API, one file a subject
 *
 * Each takes an op whose path parameters are filled in, and answers it.
 */
#ifndef HOST_DAEMON_ROUTES_H
#define HOST_DAEMON_ROUTES_H

#include "host/daemon/catalog.h"
#include "host/daemon/op.h"

/* Longest time that a client may give an agent to start or a question to be
 * answered. */
#define TIMEOUT_MAX_MS (24 * 3600 * 1000)

struct route {
	const char *method;
	/* `:vm`, `:id`, `:snp`, `:req` and `:mcp` stand for one segment; `*` and
	 * `:name` are any last one, and `:key` is all that is left. */
	const char *pattern;
	enum scope scope;
	void (*run)(struct op *op); /* NULL: its body is streamed, see api.c. */
	const char *about;
	/* What may stand in the query string, and the members of the body: words,
	 * "NAME" of a string and "NAME:TYPE".  NULL: there is none; a body of ""
	 * has no members that are known, "*" are bytes. */
	const char *query, *body;
	const char *answer; /* Its type; NULL: JSON. */
};

/* routes.c: all of them, ended by one without a method. */
extern const struct route routes[];

/* api_openapi.c */
void openapi_route(struct op *op);

/* api.c */
void health_route(struct op *op);
void shutdown_route(struct op *op);
void agents_route(struct op *op);
void types_route(struct op *op);
void token_create_route(struct op *op);
extern const char *const scope_names[SCOPES]; /* By enum scope. */
/* Connect the routes to d->http. */
extern const struct http_handler api_handler;
/* Make a token and write {"token","expires_ms","scope"} as members into an open
 * object; it is valid once @c is stored.  @session: NULL for all. */
void op_issue_token(struct change *c, const char *session, enum scope scope,
		    int64_t ttl_ms, struct jw *w);

/* api_artifact.c */
void artifact_get_route(struct op *op);

/* api_attach.c */
void session_attach_route(struct op *op);

/* api_vm.c */
void vm_list_route(struct op *op);
void vm_create_route(struct op *op);
void vm_get_route(struct op *op);
void vm_events_route(struct op *op);
void vm_wake_route(struct op *op);
void vm_suspend_route(struct op *op);
void vm_resume_route(struct op *op);
void vm_sleep_route(struct op *op);
void vm_stop_route(struct op *op);
void vm_destroy_route(struct op *op);
/* The row of op->vm, once all that was decided of it is stored. */
void op_reply_vm(struct op *op);
/* Path parameter to VM; answers when there is none. */
struct vm *op_vm(struct op *op);

/* api_upgrade.c */
void vm_upgrade_route(struct op *op);

/* api_vm_fork.c */
void vm_fork_route(struct op *op);

/* api_prewarm.c */
void vm_prewarm_route(struct op *op);

/* api_metrics.c */
void metrics_route(struct op *op);

/* api_image.c */
void image_list_route(struct op *op);
void image_warm_route(struct op *op);
void image_cool_route(struct op *op);

/* api_snapshot.c */
void snapshot_list_route(struct op *op);
void snapshot_create_route(struct op *op);
void snapshot_get_route(struct op *op);
void snapshot_remove_route(struct op *op);
void snapshot_verify_route(struct op *op);
void snapshot_restore_route(struct op *op);
void vm_restore_snapshot_route(struct op *op);
void snapshot_fork_route(struct op *op);
void snapshot_import_route(struct op *op);
/* POST /v1/vms/:vm/fork of a snapshot, or of memory.  False: it is neither. */
bool op_fork_snapshot(struct op *op, struct vm *vm);

/* api_exec.c */
void vm_exec_route(struct op *op);

/* api_workspace.c */
/* Ask for the newest commit of the VM, NULL if there is none; failure answers
 * the op. */
typedef void (*op_head_cb)(struct op *op, const struct vfs_oid *head);
void op_find_head(struct op *op, struct vm *vm, op_head_cb next);
void vm_checkpoint_route(struct op *op);
void vm_restore_route(struct op *op);

/* api_create.c: birth. */
#define AGENT_MAX 64
void session_create_route(struct op *op);
/* The body, as that of a session that may come: what the guest would be told,
 * but for the session, into op->params.  Failure answers the op. */
bool op_put_creation(struct op *op);
/* Checks that answer the op and return false: that no session of that id was
 * destroyed. */
bool op_check_initial_files(struct op *op);
bool op_id_is_free(struct op *op, const char *id);

/* handover.c: what an agent is started with, beside its manifest.  Failure
 * answers the op. */
/* Read "env" of the body into op->env, and "mcpServers" with "mcpAggregate" into
 * op->mcp, which stays NULL when they are not there. */
bool op_read_env(struct op *op);
bool op_read_mcp(struct op *op);
/* Without "mcpServers": the servers of another session, op->session. */
bool op_copy_mcp(struct op *op);
/* Does op->env have what the manifest of @agent requires?  What is missing is
 * taken from secrets of that name. */
bool op_check_required(struct op *op, const char *agent);
/* The member "env_names". */
void op_put_env_names(struct op *op, struct jw *w);
/* Add to @c what starting the agent again takes: op->agent, op->env, op->mcp.
 * @vm: that @session is in. */
int op_seal(struct op *op, struct change *c, const char *session,
	    const char *vm, struct err *e);
/* Members of op->params, which is open as an object: env and MCP servers with
 * the values of secrets.  From op->env and op->mcp, or as they were sealed. */
bool op_put_new_start(struct op *op);
bool op_put_start(struct op *op);

/* api_fork.c */
void session_fork_route(struct op *op);

/* api_session.c: life. */
#define TITLE_MAX 1024
void session_list_route(struct op *op);
void session_get_route(struct op *op);
void session_update_route(struct op *op);
void session_config_route(struct op *op);
void session_suspend_route(struct op *op);
void session_close_route(struct op *op);
void session_archive_route(struct op *op);
void session_unarchive_route(struct op *op);
void session_destroy_route(struct op *op);
/* Is the guest the writer of the loaded session's log?  Else hibd is. */
bool op_guest_acts(struct op *op);

/* api_prompt.c: work. */
void session_prompt_route(struct op *op);
void session_resume_route(struct op *op);
void session_cancel_route(struct op *op);
void session_answer_route(struct op *op);
/* Neither archived nor expired; else the op was answered. */
bool op_check_writable(struct op *op);
/* Start the agent of op->session again, then @next; wakes the VM first.
 * Failure answers the op. */
void op_resume(struct op *op, void (*next)(struct op *op));
/* What the guest needs to start an agent, as members of op->params, which is
 * open as an object.  On failure the op has been answered.
 * A new session's agent comes from the manifest and is kept in op->agent; an
 * older session's is the one that it was created with, whatever the manifest
 * says by now (an imported session has only the manifest). */
bool op_put_new_agent(struct op *op, const char *name);
/* The agent of an older session alone, into op->agent. */
bool op_find_agent(struct op *op);
bool op_put_agent(struct op *op);

/* api_tools.c: functions of the user's program. */
void session_tools_route(struct op *op);
void tool_results_route(struct op *op);
void tool_progress_route(struct op *op);

/* api_events.c: reading. */
void session_events_route(struct op *op);
void session_stream_route(struct op *op);
void session_messages_route(struct op *op);
void session_rows_route(struct op *op); /* turns, requests, tools... */
void session_usage_route(struct op *op);
void session_export_route(struct op *op);

/* A number of the query string, if it is there; answers the op and returns false
 * when it is none. */
bool op_query_number(struct op *op, const char *name, int64_t *out);

/* api_notes.c */
void kv_list_route(struct op *op);
void kv_get_route(struct op *op);
void kv_set_route(struct op *op);
void kv_delete_route(struct op *op);
void memory_list_route(struct op *op);
void memory_get_route(struct op *op);
void memory_set_route(struct op *op);
void memory_delete_route(struct op *op);
void summary_add_route(struct op *op);

/* api_sql.c */
void sql_list_route(struct op *op);
void sql_schema_route(struct op *op);
void sql_run_route(struct op *op);
void sql_drop_route(struct op *op);

/* api_cursor.c */
void cursor_get_route(struct op *op);
void cursor_set_route(struct op *op);
void cursor_delete_route(struct op *op);

/* api_search.c */
void search_route(struct op *op);

/* api_mcp.c */
/* op_load_session() for a path that names an MCP server, too. */
bool op_load_mcp(struct op *op);
/* Does the agent of op->session live, as far as the host knows? */
bool op_check_live(struct op *op);
void mcp_tools_route(struct op *op);
void mcp_call_route(struct op *op);
void mcp_door_route(struct op *op);

/* api_secret.c */
void secret_list_route(struct op *op);
void secret_set_route(struct op *op);
void secret_delete_route(struct op *op);

/* api_files.c */
void files_list_route(struct op *op);
void files_stat_route(struct op *op);
void files_read_route(struct op *op);
void files_watch_route(struct op *op);
void files_ask_route(struct op *op);
void files_change_route(struct op *op);
void files_delete_route(struct op *op);
/* The member "etag" of what a header If-Match says; NULL adds none. */
void op_put_etag(struct jw *w, const char *header);
/* The head of a PUT: true to have its body streamed, else the op was answered;
 * it is no more.  And its end. */
bool files_put_begin(struct op *op);
void files_upload_end(struct http_req *r);

/* api_import.c: a streamed body. */
bool import_begin(struct hibd *d, struct http_req *r);
void import_end(struct http_req *r);

#endif
