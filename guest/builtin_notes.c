// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_notes.c - The servers "kv" and "memory": what a session keeps
 *
 * What is set is told as done once it is stored.
 */
#include <string.h>

#include "core/note.h"
#include "guest/builtins.h"
#include "guest/guest.h"
#include "guest/session.h"

#define ARRAY_OF(list) .tools = (list), .n_tools = ARRAY_LEN(list)

/*
 * Writing.
 */

static void on_noted(struct session *s, const struct note *n,
		     const struct err *e, void *arg)
{
	struct builtin_call *q = arg;
	autojw struct jw w = {0};

	(void)s;
	jw_obj(&w);
	note_put_result(n, &w);
	jw_obj_end(&w);
	if (e != NULL)
		builtin_fault(q, e);
	else
		builtin_reply_value(q, w.failed ? NULL : w.buf);
}

static void write_note(struct builtin_call *q, enum note_kind kind)
{
	autonote struct note n = {0};
	struct err e = {0};

	if (note_read(kind, q->args, &n, &e) < 0 ||
	    session_note(q->session, &n, on_noted, q, &e) < 0)
		builtin_fault(q, &e);
}

static void kv_set(struct builtin_call *q)
{
	write_note(q, NOTE_KV_SET);
}

static void kv_delete(struct builtin_call *q)
{
	write_note(q, NOTE_KV_DELETE);
}

static void memory_set(struct builtin_call *q)
{
	write_note(q, NOTE_MEMORY_SET);
}

static void memory_delete(struct builtin_call *q)
{
	write_note(q, NOTE_MEMORY_DELETE);
}

/*
 * Reading.
 */

/* Answer with what was written, or with the error. */
static void reply(struct builtin_call *q, const struct jw *w,
		  const struct err *e)
{
	if (e->code < 0)
		builtin_fault(q, e);
	else
		builtin_reply_value(q, w->failed ? NULL : w->buf);
}

/* What the queries have in common. */
struct asked {
	char *key, *prefix, *after, *scope;
	struct note_query q;
};

static void asked_done(struct asked *a)
{
	free(a->key);
	free(a->prefix);
	free(a->after);
	free(a->scope);
}

static int read_asked(struct builtin_call *q, struct asked *a, struct err *e)
{
	int64_t limit = 0;

	if (builtin_get_text(q, "key", NOTE_KEY_MAX, &a->key, e) < 0 ||
	    builtin_get_text(q, "prefix", NOTE_KEY_MAX, &a->prefix, e) < 0 ||
	    builtin_get_text(q, "after", NOTE_KEY_MAX, &a->after, e) < 0 ||
	    builtin_get_text(q, "scope", 16, &a->scope, e) < 0 ||
	    builtin_get_int(q, "limit", 1, NOTE_LIST, &limit, e) < 0)
		return e->code;
	a->q = (struct note_query){
		.prefix = a->prefix,
		.after = a->after,
		.limit = (unsigned)limit,
		.preview = NOTE_PREVIEW,
	};
	if (note_scope_read(a->scope, &a->q.scope, e) < 0)
		return e->code;
	return a->key != NULL ? note_check_key(a->key, strlen(a->key), e) : 0;
}

typedef int (*read_fn)(struct reader *r, const char *session,
		       const struct asked *a, struct jw *w, struct err *e);

static void read_notes(struct builtin_call *q, read_fn read)
{
	struct reader *r = session_guest(q->session)->reader;
	const char *session = session_journal(q->session)->session;
	struct asked a = {0};
	autojw struct jw w = {0};
	struct err e = {0};

	if (read_asked(q, &a, &e) == 0)
		(void)read(r, session, &a, &w, &e);
	asked_done(&a);
	reply(q, &w, &e);
}

static int get_kv(struct reader *r, const char *session, const struct asked *a,
		  struct jw *w, struct err *e)
{
	return note_get_kv(r, session, a->key, w, e);
}

static int get_memory(struct reader *r, const char *session,
		      const struct asked *a, struct jw *w, struct err *e)
{
	return note_get_memory(r, session, a->q.scope, a->key, w, e);
}

/* {"keys":[..]}: structured content is an object. */
static int list_with(int (*list)(struct reader *r, const char *session,
				 const struct note_query *q, struct jw *out,
				 struct err *e),
		     struct reader *r, const char *session,
		     const struct asked *a, struct jw *w, struct err *e)
{
	int n;

	jw_obj(w);
	jw_key(w, "keys");
	jw_arr(w);
	n = list(r, session, &a->q, w, e);
	jw_arr_end(w);
	jw_obj_end(w);
	return n;
}

static int list_kv(struct reader *r, const char *session, const struct asked *a,
		   struct jw *w, struct err *e)
{
	return list_with(note_list_kv, r, session, a, w, e);
}

static int list_memory(struct reader *r, const char *session,
		       const struct asked *a, struct jw *w, struct err *e)
{
	return list_with(note_list_memory, r, session, a, w, e);
}

static void kv_get(struct builtin_call *q)
{
	read_notes(q, get_kv);
}

static void kv_list(struct builtin_call *q)
{
	read_notes(q, list_kv);
}

static void memory_get(struct builtin_call *q)
{
	read_notes(q, get_memory);
}

static void memory_list(struct builtin_call *q)
{
	read_notes(q, list_memory);
}

/*
 * The tables.
 */

#define OBJECT(required, properties)                                \
	"{\"type\":\"object\",\"required\":[" required "],"         \
	"\"properties\":{" properties "},\"additionalProperties\":" \
	"false}"
#define KEY                                             \
	"\"key\":{\"type\":\"string\",\"minLength\":1," \
	"\"description\":\"1 to 255 bytes\"}"
#define VALUE "\"value\":{\"type\":\"string\",\"description\":\"up to 1 MiB\"}"
#define CONDITIONS                                                           \
	"\"etag\":{\"type\":\"string\",\"description\":\"only if the value " \
	"still has this etag\"},\"must_not_exist\":{\"type\":\"boolean\"}"
#define ETAG                                                                 \
	"\"etag\":{\"type\":\"string\",\"description\":\"only if the value " \
	"still has this etag\"}"
#define PAGE                                                       \
	"\"prefix\":{\"type\":\"string\"},\"after\":{\"type\":"    \
	"\"string\",\"description\":\"the last key of the page "   \
	"before\"},\"limit\":{\"type\":\"integer\",\"minimum\":1," \
	"\"maximum\":200}"
#define SCOPE                                                           \
	"\"scope\":{\"type\":\"string\",\"enum\":[\"session\",\"vm\"]," \
	"\"description\":\"vm: shared by the sessions of this machine\"}"
#define READS "{\"readOnlyHint\":true,\"openWorldHint\":false}"
#define SETS                                                 \
	"{\"readOnlyHint\":false,\"destructiveHint\":false," \
	"\"idempotentHint\":true,\"openWorldHint\":false}"
#define DELETES                                             \
	"{\"readOnlyHint\":false,\"destructiveHint\":true," \
	"\"openWorldHint\":false}"

static const struct builtin_tool kv_tools[] = {
	{.name = "kv_get",
	 .title = "Get a value",
	 .description = "Read the text that this session keeps under a key.",
	 .input_schema = OBJECT("\"key\"", KEY),
	 .annotations = READS,
	 .call = kv_get},
	{.name = "kv_set",
	 .title = "Set a value",
	 .description = "Keep a text under a key, for the whole life of this "
			"session.",
	 .input_schema =
		 OBJECT("\"key\",\"value\"", KEY "," VALUE "," CONDITIONS),
	 .annotations = SETS,
	 .call = kv_set},
	{.name = "kv_delete",
	 .title = "Delete a key",
	 .description = "Remove a key and its value.",
	 .input_schema = OBJECT("\"key\"", KEY "," ETAG),
	 .annotations = DELETES,
	 .call = kv_delete},
	{.name = "kv_list",
	 .title = "List keys",
	 .description = "List keys in order, with the beginnings of their "
			"values.",
	 .input_schema = OBJECT("", PAGE),
	 .annotations = READS,
	 .call = kv_list},
};

const struct builtin builtin_kv = {
	.name = "kv",
	.title = "Keys and values",
	.instructions = "Texts by key that stay with this session, also when "
			"it sleeps or its agent starts again.",
	ARRAY_OF(kv_tools),
};

static const struct builtin_tool memory_tools[] = {
	{.name = "memory_get",
	 .title = "Recall",
	 .description = "Read a memory; without a scope this session's own "
			"comes first.",
	 .input_schema = OBJECT("\"key\"", KEY "," SCOPE),
	 .annotations = READS,
	 .call = memory_get},
	{.name = "memory_set",
	 .title = "Remember",
	 .description = "Keep something worth knowing later under a key, with "
			"metadata of your choice.",
	 .input_schema =
		 OBJECT("\"key\",\"value\"",
			KEY "," VALUE ",\"meta\":{\"type\":\"object\"}," SCOPE
			    "," CONDITIONS),
	 .annotations = SETS,
	 .call = memory_set},
	{.name = "memory_delete",
	 .title = "Forget",
	 .description = "Remove a memory.",
	 .input_schema = OBJECT("\"key\"", KEY "," SCOPE "," ETAG),
	 .annotations = DELETES,
	 .call = memory_delete},
	{.name = "memory_list",
	 .title = "List memories",
	 .description = "List what is remembered, with the beginnings of the "
			"texts.",
	 .input_schema = OBJECT("", PAGE "," SCOPE),
	 .annotations = READS,
	 .call = memory_list},
};

const struct builtin builtin_memory = {
	.name = "memory",
	.title = "Memory",
	.instructions = "What should be known in later turns and after the "
			"agent has started again. Look here first when "
			"something seems to be missing.",
	ARRAY_OF(memory_tools),
};
