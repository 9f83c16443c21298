// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_path.c - A path that is taken is plain, and stays as it is
 *
 * It is relative, has no component that is empty, "." or "..", and is within
 * the limits; read again, alone or below either name of the root, it is the
 * same; and it comes back from JSON byte for byte.
 */
#include "vfs/path.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_components(const struct vfs_path *p)
{
	const char *s = p->text;

	assert(strlen(s) == p->len && p->len <= VFS_PATH_MAX);
	while (p->len > 0) {
		size_t n = strcspn(s, "/");

		assert(n > 0 && n <= VFS_PATH_NAME_MAX);
		assert(strncmp(s, ".", n) != 0 && strncmp(s, "..", n) != 0);
		if (s[n] == '\0')
			break;
		s += n + 1;
	}
}

static void check_again(const struct vfs_path *p, const char *root)
{
	char text[VFS_PATH_MAX + 16];
	struct vfs_path again;
	int n = snprintf(text, sizeof(text), "%s%s", root, p->text);

	if (n == 0)
		return;
	assert(vfs_path_read(&again, text, (size_t)n, NULL) == 0);
	assert(strcmp(again.text, p->text) == 0);
	assert(vfs_path_cmp(again.text, p->text) == 0);
}

static void check_json(const struct vfs_path *p)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct vfs_path again;

	if (p->len == 0)
		return;
	jw_obj(&w);
	vfs_path_put(&w, "path", p->text, p->len);
	jw_obj_end(&w);
	assert(json_parse(&j, w.buf, w.len, NULL) == 0);
	assert(vfs_path_get(&again, json_root(&j), "path", NULL) == 0);
	assert(strcmp(again.text, p->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *in = malloc(size + 1);
	struct vfs_path p;
	struct err e = {0};
	int r;

	assert(in != NULL);
	if (size > 0)
		memcpy(in, data, size);
	r = vfs_path_read(&p, in, size, &e);
	assert(r == e.code);
	if (r < 0) {
		assert(r == -FAULT_PATH_ESCAPE || r == -FAULT_INVALID_ARGUMENT);
		return 0;
	}
	check_components(&p);
	check_again(&p, "");
	check_again(&p, "./");
	check_again(&p, "/workspace/");
	check_json(&p);
	return 0;
}
