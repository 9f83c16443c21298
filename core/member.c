// SPDX-License-Identifier: Apache-2.0
/*
 * member.c - Members of an event, as rows are made of them
 */
#include "core/member.h"

#include <string.h>

#include "core/hex.h"
#include "core/id.h"

#define WORD_LEN_MAX 32

const char *member_hold(struct projection *p, char *s)
{
	if (s == NULL || p->n_held == HELD_MAX) {
		free(s);
		p->out_of_memory = true;
		return NULL;
	}
	p->held[p->n_held++] = s;
	return s;
}

const char *member_text_of(struct projection *p, struct jv v, size_t min,
			   size_t max)
{
	size_t raw_len, len;
	char *s;

	(void)jv_raw(v, &raw_len);
	if (!jv_is(v, JV_STRING) || raw_len > 6 * max + 2)
		return NULL;
	s = jv_strdup(v, &len);
	if (member_hold(p, s) == NULL)
		return NULL;
	return len >= min && len <= max && strlen(s) == len ? s : NULL;
}

void members_release(struct projection *p)
{
	while (p->n_held > 0)
		free(p->held[--p->n_held]);
}

const char *member_text(struct projection *p, const char *key)
{
	return member_text_of(p, jv_get(p->data, key), 0, TEXT_LEN_MAX);
}

const char *member_id(struct projection *p, struct jv v, const char *prefix)
{
	const char *s = member_text_of(p, v, 1, ID_MAX - 1);

	return id_is(s, prefix) ? s : NULL;
}

struct slice member_json_of(struct jv v, enum jv_type t, size_t max)
{
	struct slice s = {0};

	if (jv_is(v, t))
		s.p = jv_raw(v, &s.len);
	return s.len <= max ? s : (struct slice){0};
}

struct slice member_json(struct projection *p, const char *key, enum jv_type t)
{
	return member_json_of(jv_get(p->data, key), t, JSON_LEN_MAX);
}

size_t member_hash(struct projection *p, const char *key, uint8_t out[HASH_MAX])
{
	const char *s =
		member_text_of(p, jv_get(p->data, key), 2, 2 * HASH_MAX);
	size_t len = s ? strlen(s) : 0;

	if (len % 2 != 0 || hex_decode(s, len / 2, out) < 0)
		return 0;
	return len / 2;
}

const char *member_word_of(struct projection *p, struct jv v,
			   const char *const *list)
{
	const char *s = member_text_of(p, v, 1, WORD_LEN_MAX);

	for (; s != NULL && *list != NULL; list++)
		if (strcmp(s, *list) == 0)
			return s;
	return NULL;
}

const char *member_word(struct projection *p, const char *key,
			const char *const *list)
{
	return member_word_of(p, jv_get(p->data, key), list);
}
