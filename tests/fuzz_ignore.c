// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_ignore.c - Rules say of a path what they said before
 *
 * Whatever the rules are: comments and empty lines behind them change nothing,
 * "!*" behind them takes every path back in, and "*" leaves every path out.
 *
 * The input is a path, a NUL, and a .hibignore.
 */
#include "vfs/ignore.h"

#include <assert.h>
#include <string.h>

#include "vfs/path.h"

#define RULES_MAX 2048 /* Bytes; so many lines are within all limits. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum vfs_ignore_verdict ask(const char *rules, size_t n,
				   const char *more, const char *path)
{
	char *text = malloc(n + strlen(more) + 1);
	enum vfs_ignore_verdict v;
	struct vfs_ignore *ig;

	assert(text != NULL && vfs_ignore_new(&ig) == 0);
	if (n > 0)
		memcpy(text, rules, n);
	strcpy(text + n, more);
	assert(vfs_ignore_enter(ig, "", text, n + strlen(more)) == 0);
	free(text);
	v = vfs_ignore_ask(ig, path, false);
	assert(vfs_ignore_ask(ig, path, false) == v);
	vfs_ignore_free(ig);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *rules;
	const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
	struct vfs_path path;
	size_t n;

	if (nul == NULL ||
	    vfs_path_read(&path, text, (size_t)(nul - text), NULL) < 0 ||
	    path.len == 0)
		return 0;
	rules = nul + 1;
	n = size - (size_t)(rules - text);
	if (n > RULES_MAX)
		return 0;
	assert(ask(rules, n, "\n", path.text) ==
	       ask(rules, n, "\n# *\n\n", path.text));
	assert(ask(rules, n, "\n!*\n", path.text) == VFS_IGNORE_KEEP);
	assert(ask(rules, n, "\n*\n", path.text) == VFS_IGNORE_SKIP);
	return 0;
}
