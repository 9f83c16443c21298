// SPDX-License-Identifier: Apache-2.0
/*
 * form.c - The forms of elicitation/create: a flat schema, and answers to it
 */
#include "guest/form.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "guest/limits.h"

/* One field on its way through the checks. */
struct field {
	char name[64]; /* For messages, cut. */
	struct jv schema;
	struct err *e;
};

static int wrong(const struct field *f, const char *what)
{
	return err_set(f->e, -FAULT_INVALID_ARGUMENT, "field '%s' %s", f->name,
		       what);
}

/* A JSON number; the text goes on behind it, so strtod() stops there. */
static double number_of(struct jv v)
{
	size_t len;

	return strtod(jv_raw(v, &len), NULL);
}

/* Is it beyond the bound that the schema has under @key? */
static bool is_below(const struct field *f, const char *key, double n)
{
	struct jv bound = jv_get(f->schema, key);

	return jv_is(bound, JV_NUMBER) && n < number_of(bound);
}

static bool is_above(const struct field *f, const char *key, double n)
{
	struct jv bound = jv_get(f->schema, key);

	return jv_is(bound, JV_NUMBER) && n > number_of(bound);
}

/* --- choices ------------------------------------------------------------ */

/* The list of choices in a schema: strings, or objects with a const. */
static struct jv choices_of(struct jv schema, const char *titled)
{
	struct jv list = jv_get(schema, "enum");

	if (!jv_is(list, JV_ARRAY))
		list = jv_get(schema, titled);
	if (!jv_is(list, JV_ARRAY))
		list.i = -1;
	return list;
}

static bool is_choice(struct jv list, const char *text)
{
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (jv_eq(it, text) || jv_eq(jv_get(it, "const"), text))
			return true;
	return false;
}

static bool is_one_of(struct jv list, struct jv value)
{
	size_t len;
	autofree char *text = jv_strdup(value, &len);

	return text != NULL && strlen(text) == len && is_choice(list, text);
}

/* --- strings ------------------------------------------------------------ */

static bool looks_like_email(const char *s)
{
	const char *at = strchr(s, '@');

	return at != NULL && at != s && at[1] != '\0' &&
	       strpbrk(s, " \t\r\n") == NULL;
}

/* A scheme, a colon, something. */
static bool looks_like_uri(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n > 0 && s[n] == ':' && s[n + 1] != '\0' &&
	       strpbrk(s, " \t\r\n") == NULL;
}

/* Does @s begin with @shape, where 0 stands for any digit?  Return: what
 * follows, or NULL. */
static const char *skip_shape(const char *s, const char *shape)
{
	for (; *shape != '\0'; s++, shape++)
		if (*shape == '0' ? *s < '0' || *s > '9' : *s != *shape)
			return NULL;
	return s;
}

static bool looks_like_date(const char *s)
{
	s = skip_shape(s, "0000-00-00");
	return s != NULL && *s == '\0';
}

static bool looks_like_date_time(const char *s)
{
	s = skip_shape(s, "0000-00-00");
	if (s == NULL || (*s != 'T' && *s != 't' && *s != ' '))
		return false;
	s = skip_shape(s + 1, "00:00");
	return s != NULL && strspn(s, "0123456789:.,+-Zz") == strlen(s);
}

static const struct {
	const char *name;
	bool (*looks_right)(const char *s);
} formats[] = {
	{"email", looks_like_email},
	{"uri", looks_like_uri},
	{"date", looks_like_date},
	{"date-time", looks_like_date_time},
};

static bool has_format(struct jv format, const char *s)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (jv_eq(format, formats[i].name))
			return formats[i].looks_right(s);
	return true;
}

static size_t count_characters(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += !utf8_is_tail((unsigned char)s[i]);
	return n;
}

static int check_string(const struct field *f, struct jv value)
{
	struct jv choices = choices_of(f->schema, "oneOf");
	size_t len;
	autofree char *s = jv_strdup(value, &len);
	double n;

	if (s == NULL)
		return wrong(f, "is no string");
	n = (double)count_characters(s, len);
	if (is_below(f, "minLength", n))
		return wrong(f, "is too short");
	if (is_above(f, "maxLength", n))
		return wrong(f, "is too long");
	if (jv_has(choices) && !is_one_of(choices, value))
		return wrong(f, "is none of the choices");
	if (strlen(s) != len || !has_format(jv_get(f->schema, "format"), s))
		return wrong(f, "has not the format that is asked for");
	return 0;
}

/* --- the other types ---------------------------------------------------- */

static int check_number(const struct field *f, struct jv value)
{
	double n;

	if (!jv_is(value, JV_NUMBER))
		return wrong(f, "is no number");
	n = number_of(value);
	if (!isfinite(n))
		return wrong(f, "is too large a number");
	if (is_below(f, "minimum", n))
		return wrong(f, "is below its minimum");
	if (is_above(f, "maximum", n))
		return wrong(f, "is above its maximum");
	return 0;
}

/* 1.0 is one; beyond 2^53 a double has no fraction. */
static bool is_whole(double n)
{
	return n < -9e15 || n > 9e15 || (double)(int64_t)n == n;
}

static int check_integer(const struct field *f, struct jv value)
{
	int r = check_number(f, value);

	if (r < 0)
		return r;
	return is_whole(number_of(value)) ? 0 : wrong(f, "is no integer");
}

static int check_boolean(const struct field *f, struct jv value)
{
	return jv_is(value, JV_BOOL) ? 0 : wrong(f, "is no boolean");
}

static int check_array(const struct field *f, struct jv value)
{
	struct jv choices = choices_of(jv_get(f->schema, "items"), "anyOf");
	size_t n = jv_count(value);

	if (!jv_is(value, JV_ARRAY))
		return wrong(f, "is no list");
	if (is_below(f, "minItems", (double)n))
		return wrong(f, "has too few items");
	if (is_above(f, "maxItems", (double)n) || n > FORM_CHOICES_MAX)
		return wrong(f, "has too many items");
	for (struct jv it = jv_first(value); jv_has(it);
	     it = jv_next(value, it)) {
		if (!jv_is(it, JV_STRING))
			return wrong(f, "has an item that is no string");
		if (jv_has(choices) && !is_one_of(choices, it))
			return wrong(f, "has an item that is no choice");
	}
	return 0;
}

static const struct type {
	const char *name;
	int (*check)(const struct field *f, struct jv value);
} types[] = {
	{"string", check_string},   {"number", check_number},
	{"integer", check_integer}, {"boolean", check_boolean},
	{"array", check_array},
};

static const struct type *find_type(struct jv schema)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (jv_eq(jv_get(schema, "type"), types[i].name))
			return &types[i];
	return NULL;
}

/* --- forms -------------------------------------------------------------- */

static int check_field_schema(struct jv schema, struct err *e)
{
	struct jv items = jv_get(schema, "items");

	if (find_type(schema) == NULL)
		return err_set(e, -EINVAL,
			       "a field of the form has no type that is known");
	if (jv_count(choices_of(schema, "oneOf")) > FORM_CHOICES_MAX ||
	    jv_count(choices_of(items, "anyOf")) > FORM_CHOICES_MAX)
		return err_set(e, -EINVAL,
			       "a field of the form has more than %d choices",
			       FORM_CHOICES_MAX);
	return 0;
}

int form_check_schema(struct jv schema, struct err *e)
{
	struct jv fields = jv_get(schema, "properties");
	size_t len = 0;

	(void)jv_raw(schema, &len);
	if (!jv_is(schema, JV_OBJECT) || len > FORM_BYTES_MAX)
		return err_set(e, -EINVAL,
			       "the form is no schema of at most %u bytes",
			       FORM_BYTES_MAX);
	if (jv_has(fields) && !jv_is(fields, JV_OBJECT))
		return err_set(e, -EINVAL, "the form's fields are no object");
	if (jv_count(fields) > FORM_FIELDS_MAX ||
	    jv_count(jv_get(schema, "required")) > FORM_FIELDS_MAX)
		return err_set(e, -EINVAL, "the form has more than %d fields",
			       FORM_FIELDS_MAX);
	for (struct jv k = jv_first(fields); jv_has(k); k = jv_next(fields, k))
		if (check_field_schema(jv_value(k), e) < 0)
			return -EINVAL;
	return 0;
}

static int check_field(struct jv fields, struct jv key, struct err *e)
{
	struct field f = {.e = e};
	size_t len;
	autofree char *name = jv_strdup(key, &len);

	if (name == NULL)
		return err_set(e, -ENOMEM, "answer: out of memory");
	snprintf(f.name, sizeof(f.name), "%s", name);
	if (strlen(name) == len)
		f.schema = jv_get(fields, name);
	else
		f.schema.i = -1;
	if (!jv_has(f.schema))
		return wrong(&f, "is not in the form");
	return find_type(f.schema)->check(&f, jv_value(key));
}

static int check_required(struct jv required, struct jv content, struct err *e)
{
	struct field f = {.e = e};

	if (!jv_is(required, JV_ARRAY))
		return 0;
	for (struct jv it = jv_first(required); jv_has(it);
	     it = jv_next(required, it)) {
		autofree char *name = jv_strdup(it, NULL);

		if (name == NULL || jv_has(jv_get(content, name)))
			continue;
		snprintf(f.name, sizeof(f.name), "%s", name);
		return wrong(&f, "is required");
	}
	return 0;
}

int form_check(struct jv schema, struct jv content, struct err *e)
{
	struct jv fields = jv_get(schema, "properties");
	int r = 0;

	if (!jv_is(content, JV_OBJECT) || jv_count(content) > FORM_FIELDS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content is no object of at most %d fields",
			       FORM_FIELDS_MAX);
	for (struct jv k = jv_first(content); jv_has(k) && r == 0;
	     k = jv_next(content, k))
		r = check_field(fields, k, e);
	return r < 0 ? r
		     : check_required(jv_get(schema, "required"), content, e);
}
