// SPDX-License-Identifier: Apache-2.0
/*
 * fslist.c - What is in a folder, and what one file is
 *
 *	list {path, depth: 1, limit, after}
 *		-> {"entries":[entry..],"truncated":bool,"next":path}
 *	stat {path, follow: false} -> entry with more
 *
 * A list that is cut goes on with "after" = "next", the last path that was told.
 */
#include <string.h>

#include "guest/fsat.h"
#include "guest/fsentry.h"
#include "guest/fsops.h"
#include "guest/fswalk.h"
#include "guest/limits.h"
#include "vfs/path.h"

struct list {
	struct fscall *call;
	int64_t left;
	char last[VFS_PATH_MAX + 1];
	bool truncated;
};

static int list_entry(const struct fswalk_entry *en, void *arg)
{
	struct list *l = arg;

	if (l->left == 0 || atomic_load(&l->call->gone)) {
		l->truncated = true;
		return FSWALK_END;
	}
	l->left--;
	(void)stpcpy(l->last, en->path);
	fsentry_put(&l->call->out, en->path, en->st, en->dir, en->name, false);
	return l->call->out.failed ? FSWALK_END : 0;
}

/* An optional number of at least 1.  Return: it, at most @max; or a fault. */
static int64_t number(struct jv in, const char *key, int64_t otherwise,
		      int64_t max, struct err *e)
{
	struct jv v = jv_get(in, key);
	int64_t n = jv_int(v, -1);

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return otherwise;
	if (n < 1)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no number of 1 or more", key);
	return n < max ? n : max;
}

int fs_list(struct fscall *c, struct err *e)
{
	struct list l = {.call = c};
	struct vfs_path path, after;
	struct fswalk_spec spec = {
		.root = c->root,
		.passing = c->tree->passing,
		.entry = list_entry,
		.arg = &l,
	};
	int64_t depth = number(c->in, "depth", 1, VFS_PATH_MAX, e);
	bool has_after = jv_has(jv_get(c->in, "after")) ||
			 jv_has(jv_get(c->in, "after_b64"));
	int r;

	l.left = number(c->in, "limit", FS_LIST_DEFAULT, FS_LIST_MAX, e);
	if (depth < 0 || l.left < 0 || vfs_path_get(&path, c->in, "path", e) ||
	    (has_after && vfs_path_get(&after, c->in, "after", e) < 0))
		return e->code;
	spec.path = path.text;
	spec.after = has_after ? after.text : NULL;
	spec.depth = (unsigned)depth;
	jw_obj(&c->out);
	jw_key(&c->out, "entries");
	jw_arr(&c->out);
	r = fswalk(&spec, e);
	jw_arr_end(&c->out);
	if (r < 0)
		return r;
	jw_kbool(&c->out, "truncated", l.truncated);
	if (l.truncated)
		vfs_path_put(&c->out, "next", l.last, strlen(l.last));
	jw_obj_end(&c->out);
	return 0;
}

int fs_stat(struct fscall *c, struct err *e)
{
	struct vfs_path path;
	autoclose int fd = -1;

	if (vfs_path_get(&path, c->in, "path", e) < 0)
		return e->code;
	fd = fsat_look(c->root, path.text,
		       path.folder || jv_bool(jv_get(c->in, "follow"), false),
		       e);
	return fd < 0 ? fd : fsentry_put_fd(&c->out, path.text, fd, true, e);
}
