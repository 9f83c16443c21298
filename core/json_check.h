/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_check.h - Hold bytes against the grammar of JSON and the limits of json.h
 *
 * Private to json.c and what reads JSON without making tokens of it: the pass
 * that lets jsmn, and the decoding of strings, see nothing but JSON.
 */
#ifndef CORE_JSON_CHECK_H
#define CORE_JSON_CHECK_H

#include "core/err.h"

/**
 * json_check() - Is this exactly one JSON value, white space around it allowed?
 * @text:      The bytes; may be NULL when @len is 0
 * @len:       Bytes of @text
 * @out_n_tok: Number of its values and keys
 * @e:         Set on failure, with the byte offset in words
 *
 * Return: 0; -EINVAL when it is not JSON; -E2BIG past a limit of json.h.
 */
int json_check(const char *text, size_t len, unsigned *out_n_tok,
	       struct err *e);

/**
 * json_check_object() - How much of @text is the JSON object that it begins with?
 *
 * For one that is a value of a document: it may be nested one level less deep,
 * and have a quarter of the values and keys.
 *
 * Return: its bytes; 0 when @text does not begin with such an object.
 */
size_t json_check_object(const char *text, size_t len);

static inline bool json_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* Return: 0 to 15; -1 for what is no hexadecimal digit. */
static inline int json_hex_digit(int c)
{
	if (json_is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
