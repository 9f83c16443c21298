// SPDX-License-Identifier: Apache-2.0
/*
 * scan.c - The members of a JSON object's text
 *
 * Strings are stepped over, brackets counted; nothing else matters for finding
 * where a value ends.
 */
#include "mcp/scan.h"

#include <string.h>

#include "core/json.h"
#include "core/rpc.h"

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || (*p >= '\t' && *p <= '\r')))
		p++;
	return p;
}

/* @p is at the opening quote.  Return: behind the closing one, or NULL. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		p = memchr(p, '"', (size_t)(end - p));
		if (p == NULL)
			return NULL;
		const char *slash = p;

		while (slash[-1] == '\\')
			slash--;
		if ((p - slash) % 2 == 0)
			return p + 1;
	}
	return NULL;
}

/* @p is at the opening bracket. */
static const char *skip_container(const char *p, const char *end)
{
	size_t depth = 0;

	while (p != NULL && p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return p + 1;
			break;
		default:
			break;
		}
		p++;
	}
	return NULL;
}

static const char *skip_scalar(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && strchr(",]} \t\r\n", *p) == NULL)
		p++;
	return p > start && p < end ? p : NULL;
}

static const char *skip_value(const char *p, const char *end)
{
	if (p == end)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_container(p, end);
	return skip_scalar(p, end);
}

void mcp_scan_init(struct mcp_scan *s, const char *text, size_t len)
{
	s->end = text + len;
	s->p = skip_space(text, s->end);
	if (s->p < s->end && *s->p == '{')
		s->p++;
	else
		s->p = s->end;
}

bool mcp_scan_next(struct mcp_scan *s, struct mcp_member *out)
{
	const char *end = s->end;
	const char *key = skip_space(s->p, end), *stop, *value;

	s->p = end; /* Unless a whole member is found. */
	if (key < end && *key == ',')
		key = skip_space(key + 1, end);
	if (key == end || *key != '"')
		return false;
	stop = skip_string(key, end);
	if (stop == NULL)
		return false;
	value = skip_space(stop, end);
	if (value == end || *value != ':')
		return false;
	value = skip_space(value + 1, end);
	s->p = skip_value(value, end);
	if (s->p == NULL) {
		s->p = end;
		return false;
	}
	*out = (struct mcp_member){
		.key = key + 1,
		.key_len = (size_t)(stop - key) - 2,
		.value = value,
		.value_len = (size_t)(s->p - value),
	};
	return true;
}

bool mcp_member_is(const struct mcp_member *m, const char *key)
{
	return strlen(key) == m->key_len &&
	       memcmp(m->key, key, m->key_len) == 0;
}

bool mcp_scan_find(const char *text, size_t len, const char *key,
		   struct mcp_member *out)
{
	struct mcp_scan s;

	mcp_scan_init(&s, text, len);
	while (mcp_scan_next(&s, out))
		if (mcp_member_is(out, key))
			return true;
	return false;
}

const char *mcp_scan_id(const char *line, size_t len, size_t *out_len)
{
	autojson struct json j = {0};
	struct mcp_member id;

	if (!mcp_scan_find(line, len, "id", &id) || id.value_len > RPC_ID_MAX ||
	    json_parse(&j, id.value, id.value_len, NULL) < 0)
		return NULL;
	if (!jv_is(json_root(&j), JV_STRING) &&
	    !jv_is(json_root(&j), JV_NUMBER))
		return NULL;
	*out_len = id.value_len;
	return id.value;
}
