/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - Members of a request's parameters, checked
 */
#ifndef CORE_ARGS_H
#define CORE_ARGS_H

#include "core/err.h"
#include "core/json.h"

/**
 * args_text() - Take a string
 * @v:    The value
 * @name: Of the parameter, for the error
 * @max:  Bytes, at most
 * @out:  The text, the caller's to free; NULL when @v is absent
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT when it is another value, too long or holds
 * a NUL; -ENOMEM.
 */
int args_text(struct jv v, const char *name, size_t max, char **out,
	      struct err *e);

#endif
