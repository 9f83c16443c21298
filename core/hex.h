/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hex.h - Bytes as lowercase hexadecimal digits
 */
#ifndef CORE_HEX_H
#define CORE_HEX_H

#include "core/base.h"

/* Write @n bytes as 2 * @n digits and a NUL.  Return: @out. */
char *hex_encode(const uint8_t *bytes, size_t n, char *out);
/* Read @n bytes from the 2 * @n digits at @text.  Return: 0; -EINVAL when they
 * are others, and @out is not to be used. */
int hex_decode(const char *text, size_t n, uint8_t *out);

#endif
