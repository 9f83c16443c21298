// SPDX-License-Identifier: Apache-2.0
/*
 * history.c - The commits of a workspace: which, when, by which turn
 *
 * What a commit belongs to stands in the trailers of its message.  Whether it
 * changed a path is told by what that path names in it and in its parent: an
 * object id covers all that is below.
 */
#include "vfs/history.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/reader.h"
#include "vfs/browse.h"
#include "vfs/gitobj.h"
#include "vfs/repo.h"

/* --- one commit --------------------------------------------------------- */

static void take_trailer(const char *key, const char *value,
			 struct vfs_history_commit *c)
{
	if (strcmp(key, "Session") == 0)
		snprintf(c->session, sizeof(c->session), "%s", value);
	else if (strcmp(key, "Turn") == 0)
		snprintf(c->turn, sizeof(c->turn), "%s", value);
	else if (strcmp(key, "Reason") == 0)
		snprintf(c->reason, sizeof(c->reason), "%s", value);
	else if (strcmp(key, "Event-Seq") == 0)
		c->seq = strtoll(value, NULL, 10);
}

static void describe(const git_commit *commit, struct vfs_history_commit *out)
{
	git_message_trailer_array trailers = {0};
	const git_oid *parent = git_commit_parent_id(commit, 0);

	*out = (struct vfs_history_commit){
		.id = vfs_oid_of_git(git_commit_id(commit)),
		.has_parent = parent != NULL,
		.time_ms = (int64_t)git_commit_time(commit) * 1000,
	};
	if (parent != NULL)
		out->parent = vfs_oid_of_git(parent);
	if (git_message_trailers(&trailers, git_commit_message(commit)) < 0)
		return;
	for (size_t i = 0; i < trailers.count; i++)
		take_trailer(trailers.trailers[i].key,
			     trailers.trailers[i].value, out);
	git_message_trailer_array_free(&trailers);
}

int vfs_history_get(struct vfs_repo *repo, const struct vfs_oid *commit,
		    struct vfs_history_commit *out, struct err *e)
{
	git_oid id = vfs_oid_to_git(commit);
	autogit(commit) *c = NULL;
	char hex[VFS_OID_HEX];

	if (git_commit_lookup(&c, vfs_repo_git(repo), &id) < 0)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "no commit %s here",
			       vfs_oid_format(commit, hex));
	describe(c, out);
	return 0;
}

/* --- log ---------------------------------------------------------------- */

/* What a path names in a commit. */
struct state {
	bool there;
	struct vfs_oid oid;
	uint32_t mode;
};

static int look(struct vfs_repo *repo, const struct vfs_oid *commit,
		const char *path, struct state *out, struct err *e)
{
	struct vfs_entry entry;
	int r = vfs_browse_find(repo, commit, path, &entry, e);

	*out = (struct state){0};
	if (r == -FAULT_FILE_NOT_FOUND)
		return 0;
	if (r == 0)
		*out = (struct state){true, entry.oid, entry.mode};
	return r;
}

static bool same(const struct state *a, const struct state *b)
{
	return a->there == b->there &&
	       (!a->there ||
		(a->mode == b->mode && vfs_oid_eq(&a->oid, &b->oid)));
}

/* Did @c change the path?  @now is its state in @c, then in its parent. */
static int changed(struct vfs_repo *repo, const struct vfs_history_commit *c,
		   const char *path, struct state *now, struct err *e)
{
	struct state before = {0};
	int r = c->has_parent ? look(repo, &c->parent, path, &before, e) : 0;
	bool is = !same(now, &before);

	*now = before;
	return r < 0 ? r : is;
}

int vfs_history_log(struct vfs_repo *repo, const struct vfs_history_query *q,
		    vfs_history_cb cb, void *arg, struct err *e)
{
	struct vfs_history_commit c;
	struct vfs_oid at = q->from;
	struct state now = {0};
	uint64_t n = 0;
	int r = q->path ? look(repo, &at, q->path, &now, e) : 0;

	while (r == 0 && (q->limit == 0 || n < q->limit)) {
		int show = 1;

		r = vfs_history_get(repo, &at, &c, e);
		if (r == 0 && q->path != NULL)
			show = changed(repo, &c, q->path, &now, e);
		if (r < 0 || show < 0)
			return r < 0 ? r : show;
		if (show) {
			r = cb(&c, arg);
			n++;
		}
		if (!c.has_parent)
			break;
		at = c.parent;
	}
	return r;
}

/* --- names of commits --------------------------------------------------- */

/* By a ref that was made for it.  Return: whether there is one. */
static bool turn_by_ref(struct vfs_repo *repo, const char *turn,
			struct vfs_oid *out)
{
	git_reference_iterator *it = NULL;
	autogit(reference) *ref = NULL;
	autogit(object) *commit = NULL;
	char glob[sizeof("refs/hib/*/") + ID_MAX];
	bool found;

	snprintf(glob, sizeof(glob), "refs/hib/*/%s", turn);
	found = git_reference_iterator_glob_new(&it, vfs_repo_git(repo),
						glob) == 0 &&
		git_reference_next(&ref, it) == 0 &&
		git_reference_peel(&commit, ref, GIT_OBJECT_COMMIT) == 0;
	if (found)
		*out = vfs_oid_of_git(git_object_id(commit));
	git_reference_iterator_free(it);
	return found;
}

/* By the event that ended it. */
static bool turn_by_event(struct vfs_repo *repo, struct reader *reader,
			  const char *turn, struct vfs_oid *out)
{
	static const char sql[] =
		"SELECT json_extract(e.data, '$.commit') FROM turn t "
		"JOIN session s ON s.id=t.session_id "
		"JOIN event e ON e.session_n=s.n AND e.seq=t.last_seq "
		"WHERE t.id=?1 AND json_extract(e.data, '$.commit') NOT NULL";
	const char *args[] = {turn, NULL};
	struct vfs_history_commit c;
	autofree char *hex = NULL;
	struct vfs_oid oid;

	if (reader == NULL || reader_value(reader, sql, args, &hex, NULL) < 1 ||
	    vfs_oid_parse(hex, &oid) < 0 ||
	    vfs_history_get(repo, &oid, &c, NULL) < 0)
		return false;
	*out = oid;
	return true;
}

static int find_named(struct vfs_repo *repo, struct reader *reader,
		      const char *rev, struct vfs_oid *out, struct err *e)
{
	struct vfs_history_commit c;
	struct vfs_oid oid;

	if (rev != NULL && id_is(rev, "trn")) {
		if (turn_by_ref(repo, rev, out) ||
		    turn_by_event(repo, reader, rev, out))
			return 0;
		return err_set(e, -FAULT_TURN_NOT_FOUND,
			       "turn %s has no commit here", rev);
	}
	if (rev == NULL || strcmp(rev, "HEAD") == 0) {
		if (vfs_repo_head(repo, out, NULL) == 0)
			return 0;
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "nothing is committed here");
	}
	if (vfs_repo_resolve(repo, rev, &oid, NULL) < 0 ||
	    vfs_history_get(repo, &oid, &c, NULL) < 0)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "no commit '%.64s' here", rev);
	*out = oid;
	return 0;
}

/* "~3", "~" and "^", any number of them, count commits back as in
 * gitrevisions(7).  Return: how many; -1: that is something else. */
static int64_t steps_back(const char *suffix)
{
	int64_t n = 0;

	while (*suffix != '\0') {
		bool counted =
			suffix[0] == '~' && isdigit((unsigned char)suffix[1]);
		char *end = NULL;
		int64_t some = 1;

		if (*suffix != '~' && *suffix != '^')
			return -1;
		suffix++;
		if (counted) {
			some = strtoll(suffix, &end, 10);
			suffix = end;
		}
		if (some > VFS_HISTORY_BACK_MAX - n)
			return -1;
		n += some;
	}
	return n;
}

static int go_back(struct vfs_repo *repo, const char *rev, int64_t n,
		   struct vfs_oid *at, struct err *e)
{
	struct vfs_history_commit c;
	int r;

	for (; n > 0; n--) {
		r = vfs_history_get(repo, at, &c, e);
		if (r < 0)
			return r;
		if (!c.has_parent)
			return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
				       "nothing was committed before '%.80s'",
				       rev);
		*at = c.parent;
	}
	return 0;
}

int vfs_history_resolve(struct vfs_repo *repo, struct reader *reader,
			const char *rev, struct vfs_oid *out, struct err *e)
{
	size_t len = rev == NULL ? 0 : strcspn(rev, "~^");
	char name[VFS_REV_MAX + 1];
	struct vfs_oid oid;
	int64_t back;
	int r;

	if (rev == NULL || rev[len] == '\0')
		return find_named(repo, reader, rev, out, e);
	back = steps_back(rev + len);
	if (len == 0 || len >= sizeof(name) || back < 0)
		return err_set(e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "no commit '%.64s' here", rev);
	memcpy(name, rev, len);
	name[len] = '\0';
	r = find_named(repo, reader, name, &oid, e);
	if (r == 0)
		r = go_back(repo, name, back, &oid, e);
	if (r == 0)
		*out = oid;
	return r;
}
