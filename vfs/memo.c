// SPDX-License-Identifier: Apache-2.0
/*
 * memo.c - What reading a repository remembers: sizes, and the blob at hand
 *
 * Sizes are a table without chains: an id has one place, by its first bytes,
 * and pushes out what is there.  Ids are hashes, so they spread by themselves.
 */
#include "vfs/memo.h"

#include <git2/sys/odb_backend.h>
#include <string.h>

#include "vfs/browse.h"
#include "vfs/packed.h"

static size_t place_of(const git_oid *oid)
{
	uint32_t first;

	memcpy(&first, oid->id, sizeof(first));
	return first % VFS_SIZES_MAX;
}

void vfs_memo_drop_blob(struct vfs_memo *m)
{
	if (m->data != NULL)
		git_odb_backend_data_free(m->backend, m->data);
	git_odb_stream_free(m->stream);
	vfs_packed_close(m->packed);
	m->data = NULL;
	m->stream = NULL;
	m->packed = NULL;
}

void vfs_memo_done(struct vfs_memo *m)
{
	vfs_memo_drop_blob(m);
	free(m->sizes);
	*m = (struct vfs_memo){0};
}

int64_t vfs_memo_size(const struct vfs_memo *m, const git_oid *oid)
{
	const struct vfs_memo_size *s;

	if (m->sizes == NULL)
		return -1;
	s = &m->sizes[place_of(oid)];
	return s->size >= 0 && git_oid_equal(&s->oid, oid) ? s->size : -1;
}

void vfs_memo_add_size(struct vfs_memo *m, const git_oid *oid, int64_t size)
{
	if (m->sizes == NULL) {
		m->sizes = calloc(VFS_SIZES_MAX, sizeof(m->sizes[0]));
		if (m->sizes == NULL)
			return;
		for (size_t i = 0; i < VFS_SIZES_MAX; i++)
			m->sizes[i].size = -1;
	}
	m->sizes[place_of(oid)] =
		(struct vfs_memo_size){.oid = *oid, .size = size};
}
