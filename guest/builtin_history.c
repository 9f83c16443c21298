// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_history.c - The server "history": the log of the session itself
 */
#include <string.h>

#include "core/search.h"
#include "guest/builtins.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "guest/lookups.h"
#include "guest/session.h"

#define TYPES_MAX 1024 /* Bytes. */

struct asked {
	char *text, *types, *turn, *order;
	struct history_query q;
};

static void asked_done(struct asked *a)
{
	free(a->text);
	free(a->types);
	free(a->turn);
	free(a->order);
}

/* A turn is named by its number, too. */
static int read_turn(struct builtin_call *q, char **out, struct err *e)
{
	struct jv v = jv_get(q->args, "turn");
	size_t len;
	const char *raw = jv_raw(v, &len);

	if (!jv_is(v, JV_NUMBER))
		return builtin_get_text(q, "turn", ID_MAX, out, e);
	*out = strndup(raw, len);
	return *out != NULL ? 0 : err_set(e, -ENOMEM, "turn: out of memory");
}

static int read_asked(struct builtin_call *q, struct asked *a, struct err *e)
{
	int64_t limit = 0;

	if (builtin_get_text(q, "query", SEARCH_QUERY_MAX, &a->text, e) < 0 ||
	    builtin_get_text(q, "types", TYPES_MAX, &a->types, e) < 0 ||
	    read_turn(q, &a->turn, e) < 0 ||
	    builtin_get_text(q, "order", 16, &a->order, e) < 0 ||
	    builtin_get_int(q, "since", 0, INT64_MAX, &a->q.since, e) < 0 ||
	    builtin_get_int(q, "until", 0, INT64_MAX, &a->q.until, e) < 0 ||
	    builtin_get_int(q, "limit", 1, HISTORY_LIMIT_MAX, &limit, e) < 0)
		return e->code;
	if (a->order != NULL && strcmp(a->order, "oldest") != 0 &&
	    strcmp(a->order, "newest") != 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "order: oldest or newest");
	a->q.text = a->text;
	a->q.types = a->types;
	a->q.turn = a->turn;
	a->q.limit = (unsigned)limit;
	a->q.session = session_journal(q->session)->session;
	/* Whoever says where to begin reads on from there. */
	a->q.oldest = a->order != NULL ? strcmp(a->order, "oldest") == 0
				       : a->q.since > 0 && a->q.until == 0;
	return 0;
}

static void on_found(const char *json, const struct err *e, void *arg)
{
	struct builtin_call *q = arg;

	if (e != NULL)
		builtin_fault(q, e);
	else
		builtin_reply_value(q, json);
}

static void query_history(struct builtin_call *q)
{
	struct asked a = {0};
	struct err e = {0};

	if (read_asked(q, &a, &e) < 0 ||
	    lookups_ask(session_guest(q->session)->lookups, &a.q, on_found, q,
			&e) < 0)
		builtin_fault(q, &e);
	asked_done(&a);
}

static const char schema[] =
	"{\"type\":\"object\",\"properties\":{"
	"\"query\":{\"type\":\"string\",\"description\":\"words, all of which "
	"must stand in a text, and \\\"phrases\\\"\"},"
	"\"turn\":{\"type\":[\"string\",\"integer\"],\"description\":\"id or "
	"number of one turn\"},"
	"\"types\":{\"type\":\"string\",\"description\":\"read events instead "
	"of turns: types with commas between them, such as "
	"acp.update,turn.*\"},"
	"\"since\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"only "
	"behind this event\"},"
	"\"until\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"only "
	"before this event\"},"
	"\"order\":{\"type\":\"string\",\"enum\":[\"newest\",\"oldest\"]},"
	"\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200}},"
	"\"additionalProperties\":false}";

static const struct builtin_tool tools[] = {
	{.name = "query_history",
	 .title = "Look up the conversation",
	 .description =
		 "Read or search what was said and done in this session, also "
		 "what is no longer in your context. With \"query\": where "
		 "words were said, newest first. Without: whole turns, newest "
		 "first, or those of a range of events (since, until) or one "
		 "turn; with \"types\" the events themselves. Results name "
		 "the numbers of their events (seq); \"next\" has the "
		 "argument that reads on.",
	 .input_schema = schema,
	 .annotations = "{\"readOnlyHint\":true,\"openWorldHint\":false}",
	 .call = query_history},
};

const struct builtin builtin_history = {
	.name = "history",
	.title = "History",
	.instructions = "The whole log of this session. Use it when you are "
			"asked about something that you do not remember.",
	.tools = tools,
	.n_tools = ARRAY_LEN(tools),
};
