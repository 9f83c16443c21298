// SPDX-License-Identifier: Apache-2.0
/*
 * commit.c - Make a commit of a change set (vfs/changes.h)
 *
 * The reader of changes (vfs/changes.h) calls us with what it reads: contents
 * go to a batch of objects (vfs/batch.h), paths to the tree that is edited
 * (vfs/edit.h).  At the end the trees and the commit join the batch, the batch
 * is made durable, and then the references move: until then nothing of it can
 * be seen, and what is left by a kill is one temporary file, or objects that
 * nothing names.
 */
#include "vfs/commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "vfs/batch.h"
#include "vfs/edit.h"
#include "vfs/refs.h"

#define LOCK	  "hib-commit.lock"
#define SMALL_MAX (1u << 20) /* Bytes of a file that is held in memory. */
#define TEXT_MAX  1024	     /* Of a commit object. */
#define REF_MAX	  (sizeof(VFS_REF_TURNS) + 2 * (size_t)ID_MAX)
#define AUTHOR	  "Hibernacle <hib@localhost>"

struct vfs_commit {
	struct vfs_repo *repo;
	int lock;
	char session[ID_MAX], turn[ID_MAX], reason[VFS_REASON_MAX + 1];
	int64_t n, seq, time_ms;
	struct vfs_changes *changes;
	struct vfs_edit *edit;
	struct vfs_batch *batch;

	/* The file that is being read. */
	char path[4096];
	uint32_t mode;
	uint64_t size;
	char *small; /* SMALL_MAX bytes. */
	size_t small_len;
};

/*
 * What the change set says.
 */

static int on_file(void *arg, const char *path, uint32_t mode, uint64_t size,
		   struct err *e)
{
	struct vfs_commit *c = arg;

	strcpy(c->path, path);
	c->mode = mode;
	c->size = size;
	c->small_len = 0;
	return size > SMALL_MAX ? vfs_batch_blob(c->batch, size, e) : 0;
}

static int on_data(void *arg, const char *data, size_t n, struct err *e)
{
	struct vfs_commit *c = arg;

	if (c->size > SMALL_MAX)
		return vfs_batch_blob_data(c->batch, data, n, e);
	memcpy(c->small + c->small_len, data, n);
	c->small_len += n;
	return 0;
}

static int on_file_end(void *arg, struct err *e)
{
	struct vfs_commit *c = arg;
	struct vfs_oid oid;
	int r;

	if (c->size > SMALL_MAX)
		r = vfs_batch_blob_end(c->batch, &oid, e);
	else
		r = vfs_batch_add(c->batch, GIT_OBJECT_BLOB, c->small,
				  c->small_len, &oid, e);
	return r < 0 ? r : vfs_edit_file(c->edit, c->path, c->mode, &oid, e);
}

static int on_dir(void *arg, const char *path, uint32_t mode, struct err *e)
{
	const struct vfs_commit *c = arg;

	return vfs_edit_dir(c->edit, path, mode, e);
}

static int on_remove(void *arg, const char *path, struct err *e)
{
	const struct vfs_commit *c = arg;

	return vfs_edit_remove(c->edit, path, e);
}

static int on_clear(void *arg, struct err *e)
{
	const struct vfs_commit *c = arg;

	return vfs_edit_clear(c->edit, e);
}

static const struct vfs_changes_ops ops = {
	.file = on_file,
	.data = on_data,
	.file_end = on_file_end,
	.dir = on_dir,
	.remove = on_remove,
	.clear = on_clear,
};

/*
 * Begin.
 */

static bool is_reason(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

	return n > 0 && n <= VFS_REASON_MAX && s[n] == '\0';
}

static int check_spec(const struct vfs_commit_spec *s, struct err *e)
{
	if (s->session != NULL && !id_is(s->session, "ses"))
		return err_set(e, -FAULT_INVALID_ID, "not the id of a session");
	if (s->turn != NULL && !id_is(s->turn, "trn"))
		return err_set(e, -FAULT_INVALID_ID, "not the id of a turn");
	if (s->turn != NULL && s->session == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a turn without its session");
	if (s->reason != NULL && !is_reason(s->reason))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a reason is some lowercase letters");
	if (s->n < 0 || s->seq < 0 || s->time_ms < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a number of a commit is negative");
	return 0;
}

static int find_commit(struct vfs_repo *r, const struct vfs_oid *oid,
		       git_commit **out)
{
	git_oid id = vfs_oid_to_git(oid);

	return git_commit_lookup(out, vfs_repo_git(r), &id);
}

static int check_base(struct vfs_repo *r, const struct vfs_oid *base,
		      struct err *e)
{
	git_commit *c;
	int code;

	if (base == NULL)
		return 0;
	code = find_commit(r, base, &c);
	if (code == GIT_ENOTFOUND)
		return err_set(e, -FAULT_STALE_EPOCH,
			       "the base of the changes is no commit here");
	if (code < 0)
		return vfs_repo_giterr(e, code, "base of the changes");
	git_commit_free(c);
	return 0;
}

static void copy_spec(struct vfs_commit *c, const struct vfs_commit_spec *s)
{
	if (s->session != NULL)
		strcpy(c->session, s->session);
	if (s->turn != NULL)
		strcpy(c->turn, s->turn);
	if (s->reason != NULL)
		strcpy(c->reason, s->reason);
	c->n = s->n;
	c->seq = s->seq;
	c->time_ms = s->time_ms;
}

static int start(struct vfs_commit *c, const struct vfs_commit_spec *spec,
		 struct err *e)
{
	int r = vfs_repo_lock(c->repo, LOCK, &c->lock, e);

	if (r == 0)
		r = check_base(c->repo, spec->base, e);
	if (r == 0)
		r = vfs_edit_new(c->repo, spec->base, spec->memory, &c->edit,
				 e);
	return r < 0 ? r : vfs_batch_begin(c->repo, &c->batch, e);
}

static inline void free_commit(struct vfs_commit **c)
{
	vfs_commit_free(*c);
}

int vfs_commit_begin(struct vfs_repo *repo, const struct vfs_commit_spec *spec,
		     struct vfs_commit **out, struct err *e)
{
	cleanup(free_commit) struct vfs_commit *c = NULL;
	int r = check_spec(spec, e);

	if (r < 0)
		return r;
	if (vfs_repo_readonly(repo))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the repository was opened to be read");
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_set(e, -FAULT_INTERNAL, "out of memory");
	c->lock = -1;
	c->repo = repo;
	c->small = malloc(SMALL_MAX);
	c->changes = vfs_changes_new(&ops, c, &spec->limits);
	if (c->small == NULL || c->changes == NULL)
		return err_set(e, -FAULT_INTERNAL, "out of memory");
	copy_spec(c, spec);
	r = start(c, spec, e);
	if (r < 0)
		return r;
	*out = take_ptr(c);
	return 0;
}

int vfs_commit_feed(struct vfs_commit *c, const char *data, size_t n,
		    struct err *e)
{
	return vfs_changes_feed(c->changes, data, n, e);
}

int vfs_commit_file(struct vfs_commit *c, const char *path, uint32_t mode,
		    const struct vfs_oid *content, struct err *e)
{
	return vfs_edit_file(c->edit, path, mode, content, e);
}

void vfs_commit_free(struct vfs_commit *c)
{
	if (c == NULL)
		return;
	vfs_batch_free(c->batch);
	vfs_edit_free(c->edit);
	vfs_changes_free(c->changes);
	free(c->small);
	if (c->lock >= 0)
		close(c->lock);
	free(c);
}

/*
 * End.
 */

/* The head, and its tree (the empty one's id is nobody's). */
static int read_head(struct vfs_commit *c, struct vfs_commit_result *res,
		     struct vfs_oid *tree, struct err *e)
{
	git_commit *head;
	int r = vfs_repo_head(c->repo, &res->parent, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = find_commit(c->repo, &res->parent, &head);
	if (r < 0)
		return vfs_repo_giterr(e, r, "head of the workspace");
	*tree = vfs_oid_of_git(git_commit_tree_id(head));
	git_commit_free(head);
	res->has_parent = true;
	return 0;
}

static bool is_empty_tree(const struct vfs_oid *tree)
{
	struct vfs_oid empty;

	(void)vfs_oid_parse("4b825dc642cb6eb9a060e54bf8d69288fbee4904", &empty);
	return vfs_oid_eq(tree, &empty);
}

/* A person's line; what programs read follows as trailers. */
static size_t message(const struct vfs_commit *c, char out[TEXT_MAX])
{
	size_t n;

	if (c->turn[0] != '\0')
		n = (size_t)sprintf(out, "Turn %" PRId64 "\n\n", c->n);
	else
		n = (size_t)sprintf(out, "Checkpoint\n\n");
	if (c->session[0] != '\0')
		n += (size_t)sprintf(out + n, "Session: %s\n", c->session);
	if (c->turn[0] != '\0')
		n += (size_t)sprintf(out + n, "Turn: %s\n", c->turn);
	if (c->seq > 0)
		n += (size_t)sprintf(out + n, "Event-Seq: %" PRId64 "\n",
				     c->seq);
	if (c->reason[0] != '\0')
		n += (size_t)sprintf(out + n, "Reason: %s\n", c->reason);
	if (out[n - 2] == '\n')
		n--;
	return n;
}

static int add_commit(struct vfs_commit *c, const struct vfs_oid *tree,
		      struct vfs_commit_result *res, struct err *e)
{
	char text[2 * TEXT_MAX], hex[VFS_OID_HEX];
	int64_t when = c->time_ms / 1000;
	size_t n;

	n = (size_t)sprintf(text, "tree %s\n", vfs_oid_format(tree, hex));
	if (res->has_parent)
		n += (size_t)sprintf(text + n, "parent %s\n",
				     vfs_oid_format(&res->parent, hex));
	n += (size_t)sprintf(text + n, "author " AUTHOR " %" PRId64 " +0000\n",
			     when);
	n += (size_t)sprintf(
		text + n, "committer " AUTHOR " %" PRId64 " +0000\n\n", when);
	n += message(c, text + n);
	return vfs_batch_add(c->batch, GIT_OBJECT_COMMIT, text, n, &res->commit,
			     e);
}

static int set_turn(struct vfs_repo *r, const char *session, const char *turn,
		    const struct vfs_oid *commit, struct err *e)
{
	char ref[REF_MAX];

	snprintf(ref, sizeof(ref), VFS_REF_TURNS "%s/%s", session, turn);
	return vfs_refs_set(vfs_repo_dir(r), ref, commit, e);
}

static int publish(struct vfs_commit *c, const struct vfs_oid *commit,
		   struct err *e)
{
	int r = vfs_batch_end(c->batch, e);

	if (r == 0 && c->turn[0] != '\0')
		r = set_turn(c->repo, c->session, c->turn, commit, e);
	return r < 0 ? r
		     : vfs_refs_set(vfs_repo_dir(c->repo), VFS_REF_MAIN, commit,
				    e);
}

int vfs_commit_end(struct vfs_commit *c, struct vfs_commit_result *out,
		   struct err *e)
{
	struct vfs_commit_result res = {0};
	struct vfs_oid tree, head_tree;
	int r = vfs_changes_end(c->changes, e);

	if (r == 0)
		r = vfs_edit_write(c->edit, c->batch, &tree, e);
	if (r == 0)
		r = read_head(c, &res, &head_tree, e);
	if (r < 0)
		return r;
	if (res.has_parent ? vfs_oid_eq(&tree, &head_tree)
			   : is_empty_tree(&tree)) {
		res.commit = res.parent;
		res.has_commit = res.has_parent;
		*out = res;
		return 0;
	}
	r = add_commit(c, &tree, &res, e);
	if (r == 0)
		r = publish(c, &res.commit, e);
	if (r < 0)
		return r;
	res.changed = res.has_commit = true;
	*out = res;
	return 0;
}

int vfs_commit_mark_turn(struct vfs_repo *repo, const char *session,
			 const char *turn, const struct vfs_oid *commit,
			 struct err *e)
{
	autoclose int lock = -1;
	git_commit *c;
	int r;

	if (!id_is(session, "ses") || !id_is(turn, "trn"))
		return err_set(e, -FAULT_INVALID_ID,
			       "not the ids of a session and a turn");
	r = vfs_repo_lock(repo, LOCK, &lock, e);
	if (r < 0)
		return r;
	r = find_commit(repo, commit, &c);
	if (r < 0)
		return vfs_repo_giterr(e, r, "commit of a turn");
	git_commit_free(c);
	return set_turn(repo, session, turn, commit, e);
}
