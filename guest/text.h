/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - Strings of messages as argv, environments and paths can hold them
 */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include "core/json.h"

/**
 * text_take() - Decode a string that must be one, without U+0000
 * @v:    The value
 * @what: Its name in messages
 * @out:  Set on success, owned by the caller
 * @e:    Set on failure
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -ENOMEM.
 */
int text_take(struct jv v, const char *what, char **out, struct err *e);

/* Free a NULL-terminated list and its strings.  NULL is allowed. */
void text_list_free(char **list);

#endif
