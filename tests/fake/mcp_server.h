/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_server.h - What the two halves of the scriptable MCP server share
 *
 * mcp_server.c is the protocol, the loop and the options, mcp_tools.c the tools.
 * One process, one thread, one client on stdin and stdout.
 */
#ifndef TESTS_FAKE_MCP_SERVER_H
#define TESTS_FAKE_MCP_SERVER_H

#include "core/json.h"

/* A tools/call that is being answered.  Its values are valid in the call of the
 * tool only. */
struct tool_call {
	const char *id;	     /* Of the request, as JSON. */
	struct jv args;	     /* May be absent. */
	struct jv token;     /* To tell progress with; may be absent. */
	struct jv responses; /* To what a modern server asked; may be absent. */
	bool modern;	     /* Era of the request. */
	const char *log_level; /* NULL: a modern client wants no log. */
	const char *caps;      /* Of the client, as JSON; may be NULL. */
};

struct tool {
	const char *name, *description;
	const char *schema; /* Properties of the input, as JSON. */
	void (*run)(const struct tool_call *c);
};

extern const struct tool tools[]; /* Ends with one without a name. */

/* Something to do later. */
struct later {
	char *id, *token; /* Of the call; token may be NULL. */
	bool modern;
	int64_t step, steps, ms;
	/* Return: whether it is to be called again in @ms. */
	bool (*run)(struct later *l);
};

/* --- what tools are made of; each sends whole lines --- */

void answer_text(const char *id, bool modern, const char *fmt, ...)
	printf_like(3, 4);
void answer_textn(const char *id, bool modern, const char *text, size_t n);
/* A result with isError. */
void answer_failed(const struct tool_call *c, const char *fmt, ...)
	printf_like(2, 3);
void answer_fault(const char *id, int code, const char *message,
		  const char *data);
/* Begin an answer: members of the result follow; then answer_end(). */
struct jw *answer_begin(const char *id, bool modern);
void answer_end(struct jw *w);

/* Begin a notification with its params open; then note_end(). */
struct jw *note_begin(const char *method);
void note_end(struct jw *w);

/* The list of that kind has changed. */
void list_changed(const char *kind);

/* Ask the client by @method; the call is answered with what it says. */
void ask_client(const struct tool_call *c, const char *method,
		const char *params);

void later_add(const struct tool_call *c, int64_t ms, int64_t steps,
	       bool (*run)(struct later *l));

/* Add a tool that echoes, or remove it.  False: there is none, or no room. */
bool extra_tool_add(const char *name);
bool extra_tool_remove(const char *name);

int64_t calls_seen(void);
char **server_argv(void);
/* Bytes as they are, whatever they are. */
void put(const char *bytes, size_t n);
void flush(void);
void *must(void *p);

/* Start a process that sleeps: a child, or one that has left its family. */
pid_t start_sleeper(bool leaves);

#endif
