// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_snapshot.c - What a stranger says of a snapshot is refused, or makes sense
 *
 * What is taken has ids and commits that are such, and numbers within bounds; and
 * written again it is taken again, and says the same.
 */
#include "host/snapshot.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_oid(const char *hex)
{
	struct vfs_oid oid;

	assert(hex[0] == '\0' || vfs_oid_parse(hex, &oid) == 0);
}

static void check_cursors(const char *text)
{
	autojson struct json j = {0};
	struct jv v;

	assert(json_parse(&j, text, strlen(text), NULL) == 0);
	v = json_root(&j);
	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k)) {
		char id[ID_MAX];

		assert(jv_strcpy(k, id, sizeof(id)) > 0 && id_is(id, "ses"));
		assert(jv_int(jv_value(k), 0) > 0);
	}
}

static void check(const struct snapshot *s)
{
	assert(id_is(s->id, "snp") && id_is(s->vm, "vm"));
	assert(s->parent[0] == '\0' || id_is(s->parent, "snp"));
	assert(strchr(s->backend, '/') == NULL && s->backend[0] != '\0');
	assert(s->max_sessions > 0 && s->idle_ms >= 0 && s->quota >= 0);
	assert(s->workspace_n > 0);
	check_oid(s->base);
	check_oid(s->head);
	check_cursors(s->cursors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autosnapshot struct snapshot s = {0}, again = {0};
	autojw struct jw first = {0}, second = {0};
	struct err e = {0};
	int r = snapshot_read(&s, (const char *)data, size, &e);

	assert(r == e.code);
	if (r < 0) {
		assert(s.cursors == NULL && s.mounts == NULL);
		return 0;
	}
	check(&s);
	snapshot_write(&s, &first);
	assert(!first.failed);
	assert(snapshot_read(&again, first.buf, first.len, &e) == 0);
	snapshot_write(&again, &second);
	assert(first.len == second.len &&
	       memcmp(first.buf, second.buf, first.len) == 0);
	return 0;
}
