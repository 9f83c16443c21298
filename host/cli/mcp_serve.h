/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_serve.h - Private to mcp_serve*.c: one call of a tool
 *
 *	mcp_serve.c	    the server on stdio, and its end
 *	mcp_serve_call.c    calls, each on a thread of its own
 *	mcp_serve_tools.c   VMs, files and programs
 *	mcp_serve_session.c sessions
 *	mcp_serve_table.c   the tools, as they are told
 *
 * A tool is a function that makes blocking calls of libhib with a handle of its
 * own, on a thread of its own; so one that takes an hour holds up no other.
 */
#ifndef HOST_CLI_MCP_SERVE_H
#define HOST_CLI_MCP_SERVE_H

#include <uv.h>

#include "core/json.h"
#include "host/hib.h"

#define SERVE_TEXTS_MAX	 16	    /* Arguments of one call. */
#define SERVE_LIST_MAX	 256	    /* Elements of one of them. */
#define SERVE_FILE_MAX	 (3u << 20) /* Bytes of a file that is read. */
#define SERVE_RESULT_MAX (9u << 20) /* Of a result, as JSON. */

struct serve_call;

struct serve_tool {
	const char *name, *title, *description;
	const char *input_schema, *annotations; /* JSON */
	/* On the call's thread.  Return: 0, and c->out is the result, a JSON
	 * object, and c->text its text, or nothing to have the same JSON; -1,
	 * and c->err says why. */
	int (*run)(struct serve_call *c);
};

struct serve_call {
	struct hib *h;
	struct jv args; /* An object. */
	struct jw out, text;
	struct hib_error err;

	/* Private. */
	char *texts[SERVE_TEXTS_MAX];
	size_t n_texts;
	const char **lists[SERVE_TEXTS_MAX];
	size_t n_lists;
	struct serve_job *job;
};

/* NULL: there is none of that name. */
const struct serve_tool *serve_find(const char *name);
/* {"tools":[..]} */
void serve_write_tools(struct jw *w);

/* Return: -1, for a tool that fails before it asks libhib. */
int serve_refuse(struct serve_call *c, const char *fmt, ...) printf_like(2, 3);
/* Arguments, owned by the call.  A NULL in *out: it was not given.  Return: 0,
 * or -1 when it is of another type. */
int serve_text(struct serve_call *c, const char *key, const char **out);
int serve_need(struct serve_call *c, const char *key, const char **out);
int serve_texts(struct serve_call *c, const char *key, const char *const **out);
/* An object of strings as "NAME=value"s. */
int serve_env(struct serve_call *c, const char *key, const char *const **out);
int serve_number(struct serve_call *c, const char *key, int64_t *io);
bool serve_flag(const struct serve_call *c, const char *key);

/* Put the JSON that libhib gave as member @key, or when that is NULL as the
 * result; @r is what it returned.  Takes @json over.  Return: 0 or -1. */
int serve_take(struct serve_call *c, int r, const char *key, char *json);
/* Has the client cancelled the call?  Else, when it is interrupted, we end. */
bool serve_is_unwanted(struct serve_call *c);
/* Tell the client how far it is; from the call's thread. */
void serve_progress(struct serve_call *c, const char *message, size_t len);

/* The tools. */
int serve_vm_create(struct serve_call *c);
int serve_vm_list(struct serve_call *c);
int serve_vm_destroy(struct serve_call *c);
int serve_vm_fork(struct serve_call *c);
int serve_exec(struct serve_call *c);
int serve_read_file(struct serve_call *c);
int serve_write_file(struct serve_call *c);
int serve_list_files(struct serve_call *c);
int serve_checkpoint(struct serve_call *c);
int serve_restore_files(struct serve_call *c);
int serve_session_create(struct serve_call *c);
int serve_session_prompt(struct serve_call *c);
int serve_session_list(struct serve_call *c);
int serve_session_messages(struct serve_call *c);
int serve_session_close(struct serve_call *c);

/* --- mcp_serve_call.c ---------------------------------------------------- */

struct mcp_request;

struct serve_jobs; /* Opaque. */

struct serve_jobs_spec {
	uv_loop_t *loop;
	const char *home; /* Borrowed, as the token. */
	const char *token;
};

/* The loop lives as long as any is open.  NULL: out of memory. */
struct serve_jobs *serve_jobs_new(const struct serve_jobs_spec *spec);
/* Serve a tools/call; @q is answered. */
void serve_jobs_call(struct serve_jobs *s, struct mcp_request *q);
/* Its client has cancelled it. */
void serve_jobs_cancel(struct mcp_request *q);
/* Interrupt what runs, wait for it, free.  Answers go nowhere. */
void serve_jobs_free(struct serve_jobs *s);

#endif
