/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greet.h - How two sides meet on a line that knows of no connections
 *
 * A port of a machine is one byte stream for the life of the machine.  Its ends
 * come and go, and what was under way for the one before may still arrive.  So
 * whoever begins throws away all up to a line that can only be for him:
 *
 *	host	HIB? <token>		is anybody there?
 *	guest	HIB1 <nonce> <token>	I am; this opening of the port is <nonce>
 *	host	HIB1 <nonce>		then we begin
 *
 * after which both speak whatever they speak.  The host asks again, with a new
 * token, until it is answered, and takes an answer to its newest question only,
 * so that no other is on its way when it begins.  Lines end with LF; rubbish may
 * stand in front of one, so only its end is looked at.
 */
#ifndef CORE_GREET_H
#define CORE_GREET_H

#include "core/base.h"

#define GREET_NONCE_MAX 33 /* 32 hexadecimal digits and a NUL. */
#define GREET_TOKEN_MAX 9  /* 8 and a NUL. */
#define GREET_LINE_MAX	64 /* Bytes of a line, with LF and NUL. */

struct greet {
	char tail[GREET_LINE_MAX]; /* Of the line being read. */
	size_t n;
};

/* Take one byte.  Return: whether it ended a line, for greet_is_*(), which hold
 * until the next byte. */
bool greet_byte(struct greet *g, char c);
bool greet_is_question(const struct greet *g, char token[GREET_TOKEN_MAX]);
bool greet_is_answer(const struct greet *g, const char *token,
		     char nonce[GREET_NONCE_MAX]);
bool greet_is_begin(const struct greet *g, const char *nonce);

/* Lines with their LF.  Return: their bytes. */
size_t greet_question(char out[GREET_LINE_MAX], const char *token);
size_t greet_answer(char out[GREET_LINE_MAX], const char *nonce,
		    const char *token);
size_t greet_begin(char out[GREET_LINE_MAX], const char *nonce);

#endif
