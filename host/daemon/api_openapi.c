// SPDX-License-Identifier: Apache-2.0
/*
 * api_openapi.c - GET /v1/openapi.json: the HTTP API as OpenAPI 3.1 has it
 *
 * Written from the table of routes whenever it is asked for, so that it has all
 * of them and no other.  The members of answers are not in it.
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/routes.h"

#define NAME_MAX_BYTES 32
#define TYPE_MAX_BYTES 12
#define PATH_MAX_BYTES 128

static const char components[] =
	"{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":"
	"\"bearer\"}},\"responses\":{\"error\":{\"description\":\"What went "
	"wrong; the status is code/100\",\"content\":{\"application/json\":{"
	"\"schema\":{\"$ref\":\"#/components/schemas/error\"}}}}},\"schemas\":{"
	"\"error\":{\"type\":\"object\",\"required\":[\"code\",\"message\","
	"\"data\"],\"properties\":{\"code\":{\"type\":\"integer\"},"
	"\"message\":{\"type\":\"string\"},\"data\":{\"type\":\"object\","
	"\"required\":[\"code\",\"retryable\"],\"properties\":{\"code\":{"
	"\"type\":\"string\"},\"retryable\":{\"type\":\"boolean\"}}}}}}}";

/* Ids in paths. */
static const struct {
	const char *name, *form;
} ids[] = {
	{"id", "^ses_[0-9a-f]{32}$"},
	{"req", "^req_[0-9a-f]{32}$"},
	{"snp", "^snp_[0-9a-f]{32}$"},
};

/* --- words ------------------------------------------------------------------ */

/* One of route.query or route.body. */
struct word {
	char name[NAME_MAX_BYTES], type[TYPE_MAX_BYTES];
};

static bool next_word(const char **p, struct word *out)
{
	const char *word = *p + strspn(*p, " ");
	int n = (int)strcspn(word, " "), name = (int)strcspn(word, " :");

	*p = word + n;
	*out = (struct word){.type = "string"};
	snprintf(out->name, sizeof(out->name), "%.*s", name, word);
	if (name < n)
		snprintf(out->type, sizeof(out->type), "%.*s", n - name - 1,
			 word + name + 1);
	return n > 0;
}

/* "any" is every value. */
static void put_schema(struct jw *w, const char *type)
{
	jw_obj(w);
	if (strcmp(type, "any") != 0)
		jw_kstr(w, "type", type);
	jw_obj_end(w);
}

/* --- parameters -------------------------------------------------------------- */

/* The next segment of a pattern that stands for something, into @name. */
static bool next_parameter(const char **pattern, char name[NAME_MAX_BYTES])
{
	const char *p = *pattern + strcspn(*pattern, ":*");
	int n = (int)strcspn(p, "/");

	*pattern = p + n;
	if (*p == '*')
		strcpy(name, "view");
	else if (*p == ':')
		snprintf(name, NAME_MAX_BYTES, "%.*s", n - 1, p + 1);
	return *p != '\0';
}

static void put_path_parameter(struct jw *w, const char *name)
{
	jw_obj(w);
	jw_kstr(w, "name", name);
	jw_kstr(w, "in", "path");
	jw_kbool(w, "required", true);
	jw_key(w, "schema");
	jw_obj(w);
	jw_kstr(w, "type", "string");
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (strcmp(ids[i].name, name) == 0)
			jw_kstr(w, "pattern", ids[i].form);
	jw_obj_end(w);
	jw_obj_end(w);
}

static void put_parameters(struct jw *w, const struct route *r)
{
	const char *pattern = r->pattern, *query = r->query ? r->query : "";
	char name[NAME_MAX_BYTES];
	struct word word;

	jw_key(w, "parameters");
	jw_arr(w);
	while (next_parameter(&pattern, name))
		put_path_parameter(w, name);
	while (next_word(&query, &word)) {
		jw_obj(w);
		jw_kstr(w, "name", word.name);
		jw_kstr(w, "in", "query");
		jw_key(w, "schema");
		put_schema(w, word.type);
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

/* --- bodies ------------------------------------------------------------------ */

static void put_content(struct jw *w, const char *type)
{
	jw_key(w, "content");
	jw_obj(w);
	jw_key(w, type);
	jw_obj(w);
}

static void end_content(struct jw *w)
{
	jw_obj_end(w);
	jw_obj_end(w);
}

static void put_members(struct jw *w, const char *words)
{
	struct word word;

	jw_key(w, "schema");
	jw_obj(w);
	jw_kstr(w, "type", "object");
	jw_key(w, "properties");
	jw_obj(w);
	while (next_word(&words, &word)) {
		jw_key(w, word.name);
		put_schema(w, word.type);
	}
	jw_obj_end(w);
	jw_obj_end(w);
}

static void put_body(struct jw *w, const struct route *r)
{
	bool bytes = r->body != NULL && strcmp(r->body, "*") == 0;

	if (r->body == NULL)
		return;
	jw_key(w, "requestBody");
	jw_obj(w);
	put_content(w, bytes ? "application/octet-stream" : "application/json");
	if (!bytes)
		put_members(w, r->body);
	end_content(w);
	jw_obj_end(w);
}

static void put_responses(struct jw *w, const struct route *r)
{
	jw_key(w, "responses");
	jw_obj(w);
	jw_key(w, "200");
	jw_obj(w);
	jw_kstr(w, "description", "Done");
	put_content(w, r->answer != NULL ? r->answer : "application/json");
	end_content(w);
	jw_obj_end(w);
	jw_kraw(w, "default", "{\"$ref\":\"#/components/responses/error\"}");
	jw_obj_end(w);
}

/* --- paths -------------------------------------------------------------------- */

/* "/v1/vms/:vm" is "/v1/vms/{vm}". */
static void put_path(struct jw *w, const char *pattern)
{
	char path[PATH_MAX_BYTES], name[NAME_MAX_BYTES];
	const char *p = pattern;
	size_t n = 0;

	while (*p != '\0') {
		n += (size_t)snprintf(path + n, sizeof(path) - n, "%.*s",
				      (int)strcspn(p, ":*"), p);
		if (next_parameter(&p, name))
			n += (size_t)snprintf(path + n, sizeof(path) - n,
					      "{%s}", name);
	}
	jw_key(w, path);
}

/* A name of the operation that no other has: what is no letter becomes _. */
static void put_id(struct jw *w, const char *method, const char *pattern)
{
	char id[PATH_MAX_BYTES];

	snprintf(id, sizeof(id), "%s%s", method, pattern);
	for (char *p = id; *p != '\0'; p++)
		*p = strchr("/:*.-", *p) != NULL ? '_' : *p;
	jw_kstr(w, "operationId", id);
}

static void put_operation(struct jw *w, const struct route *r)
{
	char method[8];
	size_t i;

	for (i = 0; r->method[i] != '\0'; i++)
		method[i] = (char)(r->method[i] | 0x20);
	method[i] = '\0';
	jw_key(w, method);
	jw_obj(w);
	put_id(w, method, r->pattern);
	jw_kstr(w, "summary", r->about);
	jw_kstr(w, "x-scope", scope_names[r->scope]);
	put_parameters(w, r);
	put_body(w, r);
	put_responses(w, r);
	jw_obj_end(w);
}

/* Those of one path stand together. */
static bool is_first(const struct route *r)
{
	for (const struct route *k = routes; k < r; k++)
		if (strcmp(k->pattern, r->pattern) == 0)
			return false;
	return true;
}

static void put_paths(struct jw *w)
{
	jw_key(w, "paths");
	jw_obj(w);
	for (const struct route *r = routes; r->method != NULL; r++) {
		if (!is_first(r))
			continue;
		put_path(w, r->pattern);
		jw_obj(w);
		for (const struct route *k = r; k->method != NULL; k++)
			if (strcmp(k->pattern, r->pattern) == 0)
				put_operation(w, k);
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

void openapi_route(struct op *op)
{
	struct jw *w = &op->out;

	jw_obj(w);
	jw_kstr(w, "openapi", "3.1.0");
	jw_key(w, "info");
	jw_obj(w);
	jw_kstr(w, "title", "Hibernacle");
	jw_kstr(w, "version", HIB_VERSION);
	jw_kraw(w, "license",
		"{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}");
	jw_obj_end(w);
	jw_kraw(w, "security", "[{},{\"token\":[]}]");
	put_paths(w);
	jw_kraw(w, "components", components);
	jw_obj_end(w);
	op_reply_out(op);
}
