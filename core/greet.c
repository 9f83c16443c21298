// SPDX-License-Identifier: Apache-2.0
/*
 * greet.c - How two sides meet on a line that knows of no connections
 */
#include "core/greet.h"

#include <stdio.h>
#include <string.h>

#define DIGITS "0123456789abcdef"

bool greet_byte(struct greet *g, char c)
{
	if (g->n > 0 && g->tail[g->n - 1] == '\n')
		g->n = 0;
	if (g->n == sizeof(g->tail)) {
		memmove(g->tail, g->tail + 1, sizeof(g->tail) - 1);
		g->n--;
	}
	g->tail[g->n++] = c;
	return c == '\n';
}

/* The last @n bytes in front of the line's end; NULL when it has fewer. */
static const char *last(const struct greet *g, size_t n)
{
	return g->n > n ? g->tail + g->n - 1 - n : NULL;
}

static bool take_digits(const char *p, size_t n, char *out)
{
	memcpy(out, p, n);
	out[n] = '\0';
	return strspn(out, DIGITS) == n;
}

bool greet_is_question(const struct greet *g, char token[GREET_TOKEN_MAX])
{
	const char *p = last(g, 5 + GREET_TOKEN_MAX - 1);

	return p != NULL && memcmp(p, "HIB? ", 5) == 0 &&
	       take_digits(p + 5, GREET_TOKEN_MAX - 1, token);
}

bool greet_is_answer(const struct greet *g, const char *token,
		     char nonce[GREET_NONCE_MAX])
{
	const size_t n = GREET_NONCE_MAX - 1, t = GREET_TOKEN_MAX - 1;
	const char *p = last(g, 5 + n + 1 + t);

	return p != NULL && memcmp(p, "HIB1 ", 5) == 0 && p[5 + n] == ' ' &&
	       memcmp(p + 5 + n + 1, token, t) == 0 &&
	       take_digits(p + 5, n, nonce);
}

bool greet_is_begin(const struct greet *g, const char *nonce)
{
	const size_t n = GREET_NONCE_MAX - 1;
	const char *p = last(g, 5 + n);

	return p != NULL && memcmp(p, "HIB1 ", 5) == 0 &&
	       memcmp(p + 5, nonce, n) == 0;
}

size_t greet_question(char out[GREET_LINE_MAX], const char *token)
{
	return (size_t)snprintf(out, GREET_LINE_MAX, "HIB? %s\n", token);
}

size_t greet_answer(char out[GREET_LINE_MAX], const char *nonce,
		    const char *token)
{
	return (size_t)snprintf(out, GREET_LINE_MAX, "HIB1 %s %s\n", nonce,
				token);
}

size_t greet_begin(char out[GREET_LINE_MAX], const char *nonce)
{
	return (size_t)snprintf(out, GREET_LINE_MAX, "HIB1 %s\n", nonce);
}
