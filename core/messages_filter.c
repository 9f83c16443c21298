// SPDX-License-Identifier: Apache-2.0
/*
 * messages_filter.c - A part of the conversation, as context for something else
 */
#include "core/messages_filter.h"

#include <stdio.h>
#include <string.h>

#include "core/content.h"

static const char *const part_types[] = {
	"text",	    "thinking",	 "image", "audio", "resource_link",
	"resource", "tool_call", "plan",  "other",
};

/* Is that one of the words of a list? */
static bool is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; p != NULL; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, word, len) == 0 &&
		    (p[len] == ',' || p[len] == '\0'))
			return true;
	}
	return false;
}

static bool is_part_type(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(part_types); i++)
		if (strlen(part_types[i]) == len &&
		    strncmp(part_types[i], word, len) == 0)
			return true;
	return false;
}

static int check_parts(const struct messages_filter *f, struct err *e)
{
	const char *p = f->parts;

	while (p != NULL) {
		size_t len = strcspn(p, ",");

		if (!is_part_type(p, len))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "'%.*s' is no type of parts of messages",
				       (int)(len < 40 ? len : 40), p);
		p = p[len] == ',' ? p + len + 1 : NULL;
	}
	return 0;
}

static bool part_passes(struct jv part, const struct messages_filter *f)
{
	char type[16];

	if (f->tool != NULL && !jv_eq(jv_get(part, "title"), f->tool) &&
	    !jv_eq(jv_get(part, "kind"), f->tool))
		return false;
	if (f->parts == NULL)
		return true;
	return jv_strcpy(jv_get(part, "type"), type, sizeof(type)) > 0 &&
	       is_listed(f->parts, type);
}

static bool time_passes(struct jv message, const struct messages_filter *f)
{
	int64_t ts = jv_int(jv_get(message, "ts"), 0);

	return ts >= f->from_ms && (f->to_ms == 0 || ts <= f->to_ms);
}

static bool message_passes(struct jv message, const struct messages_filter *f)
{
	struct jv parts = jv_get(message, "parts");

	if (!time_passes(message, f))
		return false;
	if (f->parts == NULL && f->tool == NULL)
		return true;
	for (struct jv p = jv_first(parts); jv_has(p); p = jv_next(parts, p))
		if (part_passes(p, f))
			return true;
	return false;
}

static void write_message(struct jv message, const struct messages_filter *f,
			  struct jw *out)
{
	jw_obj(out);
	for (struct jv k = jv_first(message); jv_has(k);
	     k = jv_next(message, k)) {
		struct jv v = jv_value(k);

		jw_value(out, k);
		jw_lit(out, ":", 1);
		if (!jv_eq(k, "parts")) {
			jw_value(out, v);
			continue;
		}
		jw_arr(out);
		for (struct jv p = jv_first(v); jv_has(p); p = jv_next(v, p))
			if (part_passes(p, f))
				jw_value(out, p);
		jw_arr_end(out);
	}
	jw_obj_end(out);
}

static void write_notice(int64_t left_out, struct jw *out)
{
	char text[80];

	snprintf(text, sizeof(text),
		 "%lld message%s of this session %s left out of this view",
		 (long long)left_out, left_out == 1 ? "" : "s",
		 left_out == 1 ? "is" : "are");
	jw_obj(out);
	jw_kstr(out, "role", "notice");
	jw_kint(out, "left_out", left_out);
	jw_key(out, "parts");
	jw_arr(out);
	content_text(out, text, strlen(text));
	jw_arr_end(out);
	jw_obj_end(out);
}

static void write_passing(struct jv list, const struct messages_filter *f,
			  struct jw *out)
{
	int64_t left_out = 0;

	for (struct jv m = jv_first(list); jv_has(m); m = jv_next(list, m))
		if (message_passes(m, f))
			write_message(m, f, out);
		else
			left_out++;
	if (f->notice)
		write_notice(left_out, out);
}

static bool passes_all(const struct messages_filter *f)
{
	return f->parts == NULL && f->tool == NULL && f->from_ms == 0 &&
	       f->to_ms == 0 && !f->notice;
}

int messages_write_filtered(struct reader *r, const struct messages_query *q,
			    const struct messages_filter *f, struct jw *out,
			    struct err *e)
{
	autojw struct jw all = {0};
	autojson struct json j = {0};
	int n = check_parts(f, e);

	if (n < 0)
		return n;
	if (passes_all(f)) {
		n = messages_write(r, q, out, e);
		return n < 0 ? n : 0;
	}
	jw_arr(&all);
	n = messages_write(r, q, &all, e);
	jw_arr_end(&all);
	if (n >= 0)
		n = json_parse(&j, all.buf, all.len, e);
	if (n < 0)
		return n;
	write_passing(json_root(&j), f, out);
	return 0;
}
