// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_dirmeta.c - What is read of a `.hib-dir` is written and read the same;
 * and a name that is stored comes back
 */
#include "vfs/dirmeta.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *write_all(const struct vfs_dirmeta *m, size_t *len)
{
	char *text = malloc(m->n * VFS_DIRMETA_LINE_MAX + 1);

	assert(text != NULL);
	*len = 0;
	for (size_t i = 0; i < m->n; i++)
		*len += vfs_dirmeta_line(text + *len, m->entries[i].name,
					 m->entries[i].mode);
	return text;
}

static void check_meta(const char *text, size_t n)
{
	struct vfs_dirmeta a, b;
	autofree char *again = NULL;
	size_t len;

	if (vfs_dirmeta_load(text, n, &a, NULL) < 0)
		return;
	again = write_all(&a, &len);
	assert(vfs_dirmeta_load(again, len, &b, NULL) == 0 && a.n == b.n);
	for (size_t i = 0; i < a.n; i++) {
		const char *name = a.entries[i].name;

		assert(strcmp(name, b.entries[i].name) == 0);
		assert(a.entries[i].mode <= 07777);
		assert(vfs_dirmeta_mode(&b, name, 010000) == a.entries[i].mode);
	}
	vfs_dirmeta_free(&a);
	vfs_dirmeta_free(&b);
}

static void check_name(const char *name, size_t n)
{
	char stored[VFS_STORED_MAX], back[VFS_NAME_MAX + 1];

	if (vfs_name_store(name, n, stored) < 0)
		return;
	assert(strcmp(stored, VFS_DIRMETA_NAME) != 0);
	assert(vfs_name_load(stored, back) == 0);
	assert(strlen(back) == n && memcmp(back, name, n) == 0);
}

/* A name that can be loaded is the stored form of what comes out. */
static void check_stored(const char *stored)
{
	char name[VFS_NAME_MAX + 1], again[VFS_STORED_MAX];

	if (vfs_name_load(stored, name) < 0)
		return;
	assert(vfs_name_store(name, strlen(name), again) == 0);
	assert(strcmp(again, stored) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *copy = malloc(size + 1);

	assert(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '\0';
	check_meta(copy, size);
	check_name(copy, size);
	check_stored(copy);
	return 0;
}
