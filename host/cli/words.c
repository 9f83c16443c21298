// SPDX-License-Identifier: Apache-2.0
/*
 * words.c - A command line as a list of words
 */
#include "host/cli/words.h"

#include <string.h>

static const char blanks[] = " \t\n";

/* A quoted part behind its opening quote, into @word.  Return: behind its end;
 * NULL when there is none. */
static const char *quoted(const char *p, char quote, struct jw *word)
{
	for (; *p != quote; p++) {
		/* Between double quotes \ stands for itself but before these. */
		if (quote == '"' && *p == '\\' && p[1] != '\0' &&
		    strchr("\"\\$`", p[1]) != NULL)
			p++;
		if (*p == '\0')
			return NULL;
		jw_lit(word, p, 1);
	}
	return p + 1;
}

/* Return: behind the word; NULL when it does not end well. */
static const char *one_word(const char *p, struct jw *word)
{
	while (p != NULL && *p != '\0' && strchr(blanks, *p) == NULL) {
		if (*p == '\'' || *p == '"') {
			p = quoted(p + 1, *p, word);
			continue;
		}
		if (*p == '\\' && *++p == '\0')
			return NULL;
		jw_lit(word, p++, 1);
	}
	return p;
}

int words_write(const char *line, struct jw *w)
{
	autojw struct jw word = {0};
	int n = 0;

	jw_arr(w);
	for (const char *p = line + strspn(line, blanks); *p != '\0';
	     p += strspn(p, blanks)) {
		jw_reset(&word);
		p = one_word(p, &word);
		if (p == NULL)
			return -EINVAL;
		jw_strn(w, word.buf, word.len);
		w->failed |= word.failed;
		n++;
	}
	jw_arr_end(w);
	return n;
}
