// SPDX-License-Identifier: Apache-2.0
/*
 * browse.c - What a commit of a workspace holds, as its users see it
 */
#include "vfs/browse.h"

#include <git2/sys/odb_backend.h>
#include <string.h>

#include "vfs/dir.h"
#include "vfs/gitobj.h"
#include "vfs/memo.h"
#include "vfs/packed.h"
#include "vfs/repo.h"

/* --- trees -------------------------------------------------------------- */

int vfs_browse_root(struct vfs_repo *repo, const struct vfs_oid *oid,
		    struct vfs_oid *out_tree, struct err *e)
{
	git_oid id = vfs_oid_to_git(oid);
	autogit(object) *object = NULL, *tree = NULL;
	char hex[VFS_OID_HEX];

	if (git_object_lookup(&object, vfs_repo_git(repo), &id,
			      GIT_OBJECT_ANY) < 0 ||
	    git_object_peel(&tree, object, GIT_OBJECT_TREE) < 0)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "no commit or folder %s here",
			       vfs_oid_format(oid, hex));
	*out_tree = vfs_oid_of_git(git_object_id(tree));
	return 0;
}

int vfs_browse_tree(struct vfs_repo *repo, const struct vfs_oid *oid,
		    vfs_entry_cb cb, void *arg, struct err *e)
{
	autodir struct vfs_dir dir = {0};
	struct vfs_oid tree;
	int r = vfs_browse_root(repo, oid, &tree, e);

	if (r == 0)
		r = vfs_dir_load(repo, &tree, &dir, e);
	for (size_t i = 0; r == 0 && i < dir.n; i++) {
		struct vfs_entry *entry = &dir.entries[i];

		if (!S_ISDIR(entry->mode))
			r = vfs_browse_size(repo, &entry->oid, &entry->size, e);
		/* A link that no system could have made. */
		if (r == 0 && vfs_entry_check(entry, NULL) < 0)
			continue;
		if (r == 0)
			r = cb(entry, arg);
	}
	return r;
}

/* The next component of a path and its length; 0 at the end. */
static size_t next_component(const char **path)
{
	const char *p = *path;
	size_t n;

	for (;;) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n != 1 || p[0] != '.')
			break;
		p += n;
	}
	*path = p;
	return n;
}

/* One step down from the folder @at. */
static int step(struct vfs_repo *repo, struct vfs_entry *at, const char *name,
		size_t n, struct err *e)
{
	autodir struct vfs_dir dir = {0};
	const struct vfs_entry *found;
	int r;

	if (n == 2 && memcmp(name, "..", 2) == 0)
		return err_set(e, -FAULT_PATH_ESCAPE, "'..' in a path");
	if (!S_ISDIR(at->mode))
		return err_set(e, -FAULT_FILE_NOT_FOUND, "'%.*s' is no folder",
			       (int)at->name_len, at->name);
	r = vfs_dir_load(repo, &at->oid, &dir, e);
	if (r < 0)
		return r;
	found = vfs_dir_get(&dir, name, n);
	if (found == NULL)
		return err_set(e, -FAULT_FILE_NOT_FOUND, "no '%.*s' here",
			       (int)(n < 128 ? n : 128), name);
	*at = *found;
	at->name = name;
	return 0;
}

/* The top folder itself: what no other folder tells of it. */
static int find_root(struct vfs_repo *repo, struct vfs_entry *at, struct err *e)
{
	autodir struct vfs_dir dir = {0};
	int r = vfs_dir_load(repo, &at->oid, &dir, e);

	if (r == 0)
		at->mode = dir.mode;
	return r;
}

int vfs_browse_find(struct vfs_repo *repo, const struct vfs_oid *commit,
		    const char *path, struct vfs_entry *out, struct err *e)
{
	struct vfs_entry at = {.mode = S_IFDIR | 0755, .name = ""};
	int r = vfs_browse_root(repo, commit, &at.oid, e);
	size_t n;

	if (r == 0 && strlen(path) > VFS_PATH_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a path of more than %d bytes", VFS_PATH_MAX);
	while (r == 0 && (n = next_component(&path)) > 0) {
		r = step(repo, &at, path, n, e);
		path += n;
	}
	if (r == 0 && at.name_len == 0)
		r = find_root(repo, &at, e);
	if (r == 0 && !S_ISDIR(at.mode))
		r = vfs_browse_size(repo, &at.oid, &at.size, e);
	if (r == 0)
		*out = at;
	return r;
}

/* --- blobs -------------------------------------------------------------- */

static int wrong_size(struct err *e)
{
	return err_set(e, -FAULT_STORE_CORRUPT, "a file of another size");
}

static int no_file(const struct vfs_oid *blob, struct err *e)
{
	char hex[VFS_OID_HEX];

	return err_set(e, -FAULT_FILE_NOT_FOUND, "no file %s here",
		       vfs_oid_format(blob, hex));
}

int vfs_browse_size(struct vfs_repo *repo, const struct vfs_oid *blob,
		    uint64_t *out, struct err *e)
{
	struct vfs_memo *memo = vfs_repo_memo(repo);
	git_oid id = vfs_oid_to_git(blob);
	int64_t known = vfs_memo_size(memo, &id);
	git_object_t type;
	size_t size;

	if (known < 0) {
		if (git_odb_read_header(&size, &type, vfs_repo_odb(repo), &id) <
			    0 ||
		    type != GIT_OBJECT_BLOB)
			return no_file(blob, e);
		known = (int64_t)size;
		vfs_memo_add_size(memo, &id, known);
	}
	*out = (uint64_t)known;
	return 0;
}

/* Read all of a packed object, without hashing it: that takes libgit2 longer than
 * all the rest.  What is streamed is not hashed either; zlib has checked the bytes
 * of both, and who asks for an object by its id can check that. */
static int read_unhashed(struct vfs_memo *m, git_odb *odb, const git_oid *id)
{
	int r = GIT_ENOTFOUND;

	for (size_t i = 0; i < git_odb_num_backends(odb) &&
			   (r == GIT_ENOTFOUND || r == GIT_PASSTHROUGH);
	     i++) {
		git_odb_backend *backend;
		git_object_t type;
		size_t n;

		if (git_odb_get_backend(&backend, odb, i) < 0 ||
		    backend->read == NULL)
			continue;
		r = backend->read(&m->data, &n, &type, backend, id);
		m->backend = backend;
		m->size = n;
	}
	if (r < 0)
		m->data = NULL;
	return r;
}

/* Make it the blob at hand, from its beginning. */
static int open_blob(struct vfs_repo *repo, const git_oid *id, uint64_t size,
		     struct err *e)
{
	struct vfs_memo *m = vfs_repo_memo(repo);
	git_odb *odb = vfs_repo_odb(repo);
	struct vfs_oid oid;
	git_object_t type;
	size_t len;
	int r;

	vfs_memo_drop_blob(m);
	m->blob = *id;
	m->pos = 0;
	m->size = size;
	/* libgit2 streams only an object that is a file of its own. */
	if (git_odb_open_rstream(&m->stream, &len, &type, odb, id) == 0)
		return 0;
	m->stream = NULL;
	oid = vfs_oid_of_git(id);
	if (size > VFS_BLOB_MEMORY_MAX)
		m->packed = vfs_packed_open(vfs_repo_dir(repo), &oid, size);
	if (m->packed != NULL)
		return 0;
	r = read_unhashed(m, odb, id);
	if (r < 0 && git_odb_refresh(odb) == 0)
		r = read_unhashed(m, odb, id);
	if (r < 0)
		return vfs_repo_giterr(e, r, "read a file");
	if (m->size != size) {
		vfs_memo_drop_blob(m);
		return wrong_size(e);
	}
	return 0;
}

/* Streams have no seek: what lies before the range is read and dropped. */
static int read_stream(struct vfs_memo *m, uint64_t off, uint64_t len,
		       vfs_data_cb cb, void *arg, struct err *e)
{
	autofree char *buf = malloc(VFS_READ_CHUNK);
	uint64_t end = off + len;
	int r = 0;

	if (buf == NULL)
		return err_set(e, -ENOMEM, "read a file: out of memory");
	while (r == 0 && m->pos < end) {
		uint64_t stop = m->pos < off ? off : end;
		uint64_t left = stop - m->pos;
		size_t want = left < VFS_READ_CHUNK ? left : VFS_READ_CHUNK;
		int n = m->packed != NULL
				? vfs_packed_read(m->packed, buf, want)
				: git_odb_stream_read(m->stream, buf, want);

		if (n <= 0 && m->packed != NULL)
			return err_set(e, -FAULT_STORE_CORRUPT,
				       "read a file: it is damaged");
		if (n <= 0)
			return vfs_repo_giterr(e, n, "read a file");
		if (m->pos >= off)
			r = cb(buf, (size_t)n, arg);
		m->pos += (uint64_t)n;
	}
	return r;
}

static int read_data(const char *data, uint64_t off, uint64_t len,
		     vfs_data_cb cb, void *arg)
{
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = len < VFS_READ_CHUNK ? len : VFS_READ_CHUNK;

		r = cb(data + off, n, arg);
		off += n;
		len -= n;
	}
	return r;
}

/* A small one does not take the place of the blob at hand. */
static int read_small(struct vfs_repo *repo, const git_oid *id, uint64_t size,
		      uint64_t off, uint64_t len, vfs_data_cb cb, void *arg,
		      struct err *e)
{
	git_odb_object *object;
	int r = git_odb_read(&object, vfs_repo_odb(repo), id);

	if (r < 0)
		return vfs_repo_giterr(e, r, "read a file");
	/* @size is of its header; what was read is what counts. */
	r = git_odb_object_size(object) != size
		    ? wrong_size(e)
		    : read_data(git_odb_object_data(object), off, len, cb, arg);
	git_odb_object_free(object);
	return r;
}

static int read_large(struct vfs_repo *repo, const git_oid *id, uint64_t size,
		      uint64_t off, uint64_t len, vfs_data_cb cb, void *arg,
		      struct err *e)
{
	struct vfs_memo *m = vfs_repo_memo(repo);
	int r = 0;
	bool at_hand =
		(m->data != NULL || m->stream != NULL || m->packed != NULL) &&
		git_oid_equal(&m->blob, id);

	if (!at_hand || (m->data == NULL && m->pos > off))
		r = open_blob(repo, id, size, e);
	if (r < 0)
		return r;
	r = m->data != NULL ? read_data(m->data, off, len, cb, arg)
			    : read_stream(m, off, len, cb, arg, e);
	if (r != 0 || off + len == size)
		vfs_memo_drop_blob(m);
	return r;
}

int vfs_browse_read(struct vfs_repo *repo, const struct vfs_oid *blob,
		    uint64_t off, uint64_t len, vfs_data_cb cb, void *arg,
		    struct err *e)
{
	git_oid id = vfs_oid_to_git(blob);
	uint64_t size;
	int r = vfs_browse_size(repo, blob, &size, e);

	if (r < 0 || off >= size)
		return r;
	if (len > size - off)
		len = size - off;
	if (size <= VFS_BLOB_WHOLE_MAX)
		return read_small(repo, &id, size, off, len, cb, arg, e);
	return read_large(repo, &id, size, off, len, cb, arg, e);
}
