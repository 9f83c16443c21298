/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.h - Any bytes as text (RFC 4648, section 4: with padding)
 */
#ifndef CORE_BASE64_H
#define CORE_BASE64_H

#include "core/base.h"

struct jw;

/* Length of @n bytes as text, without a NUL. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Append as one JSON string value. */
void base64_write(struct jw *w, const char *data, size_t n);
/* A member: bytes that are UTF-8 as text under @key, others under @b64_key. */
void base64_kbytes(struct jw *w, const char *key, const char *b64_key,
		   const char *data, size_t n);

/**
 * base64_read() - Decode in place
 * @text: Overwritten by the bytes, and a NUL behind them
 * @len:  Of the text; set to that of the bytes
 *
 * Return: 0; -EINVAL when it is no base64, padded and without line ends; @text
 * is spoilt then.
 */
int base64_read(char *text, size_t *len);

#endif
