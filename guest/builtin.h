/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.h - How a server of tools inside the daemon is written
 *
 * A builtin is a table of tools, and a tool is a function that gets one call and
 * answers it exactly once, at once or later.  Framing, eras, ids, cancelling,
 * lists, filters and the audit are not its business.  It stands in one line of
 * builtins.c, and a session that wants it names it.
 *
 *	static void kv_get(struct builtin_call *q)
 *	{
 *		autofree char *key = NULL;
 *		struct err e = {0};
 *
 *		if (builtin_need_text(q, "key", KEY_MAX, &key, &e) < 0)
 *			builtin_fault(q, &e);
 *		else
 *			builtin_text(q, "%s", look_up(q->session, key));
 *	}
 *
 * The caller is an agent, or a client outside: what it says is hostile.  Checked
 * before the tool is called: the arguments are an object, the members that the
 * schema requires are there, those that it describes have its type, and where it
 * says "additionalProperties":false there are no others.
 */
#ifndef GUEST_BUILTIN_H
#define GUEST_BUILTIN_H

#include "core/json.h"
#include "guest/journal.h"

struct session;
struct mcp_builtin;

/* One call of a tool, until it is answered. */
struct builtin_call {
	struct session *session; /* NULL once it is gone. */
	const char *tool;	 /* Its name, as called. */
	struct jv args;		 /* An object; valid until answered. */
	/* For a tool that answers later; may be NULL.  The caller wants no
	 * answer any more, or the session has ended.  It is answered all the
	 * same, here or later, and nobody hears it. */
	void (*cancelled)(struct builtin_call *q);
	void *data; /* The tool's own. */

	/* Private to mcp_builtin.c. */
	TAILQ_ENTRY(builtin_call) link;
	struct mcp_builtin *owner; /* NULL: cancelled. */
	void (*done)(const char *result, size_t len, void *arg);
	void (*progress)(const char *params, void *arg);
	void *arg;
	struct json doc;
	char *text;	  /* What doc was parsed from. */
	char *name;	  /* What tool points at. */
	struct jw result; /* Once it is answered. */
	bool answered;
	struct journal_effect stored;
};

struct builtin_tool {
	const char *name, *title, *description;
	/* JSON texts; input_schema is an object schema, the others may be
	 * NULL. */
	const char *input_schema, *output_schema, *annotations;
	void (*call)(struct builtin_call *q);
};

struct builtin {
	const char *name, *title;
	const char *instructions; /* Or NULL. */
	const struct builtin_tool *tools;
	size_t n_tools;
	/* Only for a builtin whose tools differ from session to session: write
	 * them as elements of an open array, as tools/list has them; and serve a
	 * call of one that is not in the table.  Both NULL: the table is all. */
	void (*list)(struct session *s, struct jw *w);
	/* Return: whether there is such a tool; only then the call is taken. */
	bool (*call)(struct builtin_call *q);
};

/*
 * Arguments.  Absent and null are the same.  Failures are
 * -FAULT_INVALID_ARGUMENT, whose words name the argument.
 */

/* A string of at most @max bytes and no NUL; *out is NULL when there is none,
 * else owned by the caller. */
int builtin_get_text(struct builtin_call *q, const char *key, size_t max,
		     char **out, struct err *e);
/* The same, required. */
int builtin_need_text(struct builtin_call *q, const char *key, size_t max,
		      char **out, struct err *e);
/* A whole number from @min to @max; *io is left alone when there is none. */
int builtin_get_int(struct builtin_call *q, const char *key, int64_t min,
		    int64_t max, int64_t *io, struct err *e);
/* What is checked before a tool of the table is called, for others. */
int builtin_check(struct builtin_call *q, const char *input_schema,
		  struct err *e);
bool builtin_get_bool(struct builtin_call *q, const char *key, bool otherwise);

/*
 * Answers: one of them, once.  The call is gone when it returns, but for
 * builtin_reply_after().
 */

/* A CallToolResult as JSON; it is copied.  NULL: memory is out. */
void builtin_reply(struct builtin_call *q, const char *result);
/* A JSON value as structured content, and the same as text. */
void builtin_reply_value(struct builtin_call *q, const char *json);
void builtin_text(struct builtin_call *q, const char *fmt, ...)
	printf_like(2, 3);
/* The tool has failed, in words that the model reads: isError. */
void builtin_error(struct builtin_call *q, const char *fmt, ...)
	printf_like(2, 3);
/* The same of an error, with its public name. */
void builtin_fault(struct builtin_call *q, const struct err *e);

/* Answer with structured content, or with a text when @json is NULL, once
 * everything added to @j so far is stored; else with the reason why it is not.
 * Both are copied. */
void builtin_reply_after(struct builtin_call *q, struct journal *j,
			 const char *json, const char *text);

/* Tell how far it is; @total 0: unknown; @message may be NULL.  Goes nowhere when
 * the caller did not ask. */
void builtin_progress(struct builtin_call *q, int64_t progress, int64_t total,
		      const char *message);

#endif
