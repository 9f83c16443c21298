/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quote.h - Names of any bytes in a line of text, as git quotes them
 *
 * A name of plain characters stands for itself.  Any other is put into double
 * quotes, with the escapes of C (`\n`, `\"`, `\303`).
 */
#ifndef VFS_QUOTE_H
#define VFS_QUOTE_H

#include "core/base.h"

#define VFS_QUOTED_MAX(n) (4 * (n) + 2) /* Bytes that @n may become. */

/* Write @n bytes to @out, which has VFS_QUOTED_MAX(n), without a NUL.
 * Return: their number. */
size_t vfs_quote(const char *s, size_t n, char *out);

/**
 * vfs_unquote() - Read a name, quoted or not, that is all of @s
 * @out: @n bytes, no NUL is added
 *
 * Return: its length; -EINVAL when the quotes or an escape are wrong, or it
 * has a NUL.
 */
int vfs_unquote(const char *s, size_t n, char *out);

#endif
