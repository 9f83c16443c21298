// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_index.c - The tools of several MCP servers, as if they were of one
 */
#include "guest/mcp_index.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define SEPARATOR   "__"
#define HASH_DIGITS 8

static bool is_plain(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

void mcp_shown_name(const char *server, const char *name,
		    char out[MCP_SHOWN_MAX + 1])
{
	const char *parts[] = {server, SEPARATOR, name};
	XXH64_hash_t hash = 0;
	bool exact = true;
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		hash = XXH64(parts[i], strlen(parts[i]), hash);
		for (const char *p = parts[i]; *p != '\0'; p++) {
			exact &= is_plain(*p) && len < MCP_SHOWN_MAX;
			if (len < MCP_SHOWN_MAX)
				out[len++] = is_plain(*p) ? *p : '_';
		}
	}
	if (!exact) {
		if (len > MCP_SHOWN_MAX - HASH_DIGITS - 1)
			len = MCP_SHOWN_MAX - HASH_DIGITS - 1;
		len += (size_t)sprintf(out + len, "_%0*x", HASH_DIGITS,
				       (unsigned)(hash & UINT32_MAX));
	}
	out[len] = '\0';
}

static void entry_done(struct mcp_index_entry *en)
{
	free(en->name);
	free(en->json);
}

void mcp_index_done(struct mcp_index *ix)
{
	for (size_t i = 0; i < ix->n; i++)
		entry_done(&ix->entries[i]);
	free(ix->entries);
	*ix = (struct mcp_index){0};
}

/* The object with another name; the rest byte for byte. */
static char *rename_object(struct jv object, const char *name, size_t *len)
{
	struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "name", name);
	for (struct jv it = jv_first(object); jv_has(it);
	     it = jv_next(object, it)) {
		size_t n;
		const char *key = jv_raw(it, &n);

		if (jv_eq(it, "name"))
			continue;
		jw_raw(&w, key, n);
		jw_lit(&w, ":", 1);
		jw_value(&w, jv_value(it));
	}
	jw_obj_end(&w);
	return jw_take(&w, len);
}

static struct mcp_index_entry *make_room(struct mcp_index *ix)
{
	size_t cap = ix->cap < 16 ? 16 : ix->cap * 2;
	struct mcp_index_entry *grown;

	if (ix->n < ix->cap)
		return &ix->entries[ix->n];
	grown = realloc(ix->entries, cap * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	ix->entries = grown;
	ix->cap = cap;
	return &ix->entries[ix->n];
}

void mcp_index_add(struct mcp_index *ix, const char *server, struct jv object,
		   void *owner)
{
	struct mcp_index_entry *en;
	struct jv name = jv_get(object, "name");
	size_t len;

	if (!jv_is(name, JV_STRING))
		return;
	en = make_room(ix);
	if (en == NULL) {
		ix->failed = true;
		return;
	}
	*en = (struct mcp_index_entry){.owner = owner};
	en->name = jv_strdup(name, &len);
	if (en->name == NULL || strlen(en->name) != len) {
		ix->failed |= en->name == NULL;
		entry_done(en);
		return;
	}
	mcp_shown_name(server, en->name, en->shown);
	en->json = rename_object(object, en->shown, &en->len);
	if (en->json == NULL) {
		ix->failed = true;
		entry_done(en);
		return;
	}
	ix->n++;
}

static int compare(const void *a, const void *b)
{
	const struct mcp_index_entry *x = a, *y = b;

	return strcmp(x->shown, y->shown);
}

/* Of the entries from @at on, how many have its name? */
static size_t run_of(const struct mcp_index *ix, size_t at)
{
	size_t end = at + 1;

	while (end < ix->n &&
	       strcmp(ix->entries[end].shown, ix->entries[at].shown) == 0)
		end++;
	return end - at;
}

static void drop_ambiguous(struct mcp_index *ix)
{
	size_t kept = 0;

	for (size_t i = 0, run; i < ix->n; i += run) {
		run = run_of(ix, i);
		if (run == 1) {
			ix->entries[kept++] = ix->entries[i];
			continue;
		}
		for (size_t k = i; k < i + run; k++)
			entry_done(&ix->entries[k]);
	}
	ix->n = kept;
}

int mcp_index_complete(struct mcp_index *ix)
{
	if (ix->failed) {
		mcp_index_done(ix);
		return -ENOMEM;
	}
	if (ix->n > 0)
		qsort(ix->entries, ix->n, sizeof(*ix->entries), compare);
	drop_ambiguous(ix);
	return 0;
}

const struct mcp_index_entry *mcp_index_find(const struct mcp_index *ix,
					     const char *shown)
{
	size_t low = 0, high = ix->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(shown, ix->entries[mid].shown);

		if (order == 0)
			return &ix->entries[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

void mcp_index_write(const struct mcp_index *ix, struct jw *w)
{
	jw_arr(w);
	for (size_t i = 0; i < ix->n; i++)
		jw_raw(w, ix->entries[i].json, ix->entries[i].len);
	jw_arr_end(w);
}
