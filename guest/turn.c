// SPDX-License-Identifier: Apache-2.0
/*
 * turn.c - What is known of the open turn of a session
 */
#include "guest/turn.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/utf8.h"

void turn_begin(struct turn *t, int64_t n, uint64_t now_ms)
{
	turn_done(t);
	id_new(t->id, "trn");
	t->n = n;
	t->began_ms = now_ms;
	t->first_update_ms = -1;
}

void turn_done(struct turn *t)
{
	free(t->tools);
	toolcalls_done(&t->calls);
	*t = (struct turn){.first_update_ms = -1};
}

/* Add as many whole characters as fit. */
static void add_preview(struct turn *t, const char *text, size_t len)
{
	size_t room = PREVIEW_MAX - t->preview_len;

	if (len > room) {
		t->preview_full = true;
		len = room;
		while (len > 0 && utf8_is_tail((unsigned char)text[len]))
			len--;
	}
	memcpy(t->preview + t->preview_len, text, len);
	t->preview_len += len;
}

static void note_text(struct turn *t, struct jv update)
{
	size_t len;
	autofree char *text = jv_strdup(jv_path(update, "content.text"), &len);

	if (text != NULL)
		add_preview(t, text, strlen(text));
}

/* Some agents announce a tool call twice, others only update it. */
static void note_tool(struct turn *t, struct jv update)
{
	size_t len;
	const char *id = jv_raw(jv_get(update, "toolCallId"), &len);
	uint64_t hash;

	if (id == NULL || t->n_tools == TURN_TOOLS_MAX)
		return;
	hash = XXH3_64bits(id, len);
	for (size_t i = 0; i < t->n_tools; i++)
		if (t->tools[i] == hash)
			return;
	if ((t->n_tools & (t->n_tools - 1)) == 0) {
		size_t cap = t->n_tools == 0 ? 1 : 2 * t->n_tools;
		uint64_t *grown = realloc(t->tools, cap * sizeof(*grown));

		if (grown == NULL)
			return;
		t->tools = grown;
	}
	t->tools[t->n_tools++] = hash;
}

static void note_context(struct turn *t, struct jv update)
{
	struct jv cost = jv_get(update, "cost");
	size_t len = 0;
	const char *raw = jv_raw(cost, &len);

	t->context_used = jv_int(jv_get(update, "used"), 0);
	t->context_size = jv_int(jv_get(update, "size"), 0);
	if (jv_is(cost, JV_OBJECT) && len <= TURN_COST_MAX)
		snprintf(t->cost, sizeof(t->cost), "%.*s", (int)len, raw);
}

void turn_note(struct turn *t, struct jv params, const char *cwd,
	       uint64_t now_ms)
{
	struct jv update = jv_get(params, "update");
	struct jv kind = jv_get(update, "sessionUpdate");

	if (t->first_update_ms < 0)
		t->first_update_ms = (int64_t)(now_ms - t->began_ms);
	if (jv_eq(kind, "agent_message_chunk")) {
		if (!t->preview_full)
			note_text(t, update);
	} else if (jv_eq(kind, "tool_call") ||
		   jv_eq(kind, "tool_call_update")) {
		note_tool(t, update);
		(void)toolcalls_note(&t->calls, update, cwd);
	} else if (jv_eq(kind, "usage_update")) {
		note_context(t, update);
	}
}

static void write_context(const struct turn *t, struct jw *w)
{
	if (t->context_size <= 0)
		return;
	jw_key(w, "context");
	jw_obj(w);
	jw_kint(w, "used", t->context_used);
	jw_kint(w, "size", t->context_size);
	if (t->cost[0] != '\0')
		jw_kraw(w, "cost", t->cost);
	jw_obj_end(w);
}

void turn_write_result(const struct turn *t, struct jv result, uint64_t now_ms,
		       struct jw *w)
{
	struct jv usage = jv_get(result, "usage");
	struct jv stop = jv_get(result, "stopReason");

	jw_key(w, "stop_reason");
	if (jv_is(stop, JV_STRING))
		jw_value(w, stop);
	else
		jw_str(w, "end_turn");
	jw_kint(w, "duration_ms", (int64_t)(now_ms - t->began_ms));
	jw_key(w, "usage");
	if (jv_is(usage, JV_OBJECT))
		jw_value(w, usage);
	else
		jw_null(w);
	write_context(t, w);
	jw_kint(w, "tool_calls", (int64_t)t->n_tools);
	jw_key(w, "text_preview");
	jw_strn(w, t->preview, t->preview_len);
	jw_key(w, "first_update_ms");
	if (t->first_update_ms >= 0)
		jw_int(w, t->first_update_ms);
	else
		jw_null(w);
}

void turn_write_ctx(const char *input, const char *actor, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "input", input);
	if (actor[0] != '\0')
		jw_kstr(w, "actor", actor);
	jw_obj_end(w);
}
