/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h - A command line as a list of words
 *
 * As sh(1) cuts it: at blanks, but not within '..' or "..", nor behind \.
 * Nothing else is special: no variable, no pattern, no substitution.
 */
#ifndef HOST_CLI_WORDS_H
#define HOST_CLI_WORDS_H

#include "core/json.h"

/**
 * words_write() - Write the words of a line as a list of strings
 *
 * Return: how many there are; -EINVAL when a quote is not closed, or \ is the
 * last byte; then @w holds anything.
 */
int words_write(const char *line, struct jw *w);

#endif
