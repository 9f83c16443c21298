// SPDX-License-Identifier: Apache-2.0
/*
 * source.c - Committed files as the host has them, by the uplink
 */
#include "guest/source.h"

#include <inttypes.h>
#include <stdio.h>

#include "vfs/listing.h"

#define PATH_BYTES 128

struct ask {
	vfs_bytes_cb cb;
	void *arg;
};

static void ask_on_done(const struct err *e, char *body, size_t n, void *arg)
{
	struct ask a = *(struct ask *)arg;

	free(arg);
	a.cb(e == NULL ? 0 : e->code, body, n, a.arg);
}

/* Without memory there is nobody who could be told so, later. */
static void ask(struct uplink *u, const char *path, size_t max, size_t len,
		struct ask a)
{
	static const struct uplink_events events = {.done = ask_on_done};
	struct ask *copy = malloc(sizeof(*copy));
	const struct uplink_spec spec = {
		.method = "GET",
		.path = path,
		.answer_max = max,
		.answer_len = len,
		.ev = &events,
		.arg = copy,
	};

	if (copy == NULL)
		abort();
	*copy = a;
	if (uplink_request(u, &spec) == NULL)
		abort();
}

static void source_tree(void *source, const struct vfs_oid *oid,
			vfs_bytes_cb cb, void *arg)
{
	char path[PATH_BYTES], hex[VFS_OID_HEX];

	snprintf(path, sizeof(path), "/tree/%s", vfs_oid_format(oid, hex));
	ask(source, path, LISTING_BYTES_MAX, 0, (struct ask){cb, arg});
}

static void source_blob(void *source, const struct vfs_oid *oid, uint64_t off,
			size_t len, vfs_bytes_cb cb, void *arg)
{
	char path[PATH_BYTES], hex[VFS_OID_HEX];

	snprintf(path, sizeof(path), "/blob/%s/%" PRIu64 "/%zu",
		 vfs_oid_format(oid, hex), off, len);
	ask(source, path, len, len, (struct ask){cb, arg});
}

const struct vfs_source_ops source_ops = {
	.tree = source_tree,
	.blob = source_blob,
};
