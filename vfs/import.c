// SPDX-License-Identifier: Apache-2.0
/*
 * import.c - Make the first commit of a workspace from files that are elsewhere
 *
 * Whatever the source is, it is told to vfs/commit.h as a change set that
 * begins with nothing, so that names, permissions and durability are those of
 * any other commit, and 100,000 files are one pack.  Contents that the
 * repository has already, by links or by a clone, are only named.
 */
#include "vfs/import.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "vfs/changes_write.h"
#include "vfs/import_impl.h"

/* --- the change set ----------------------------------------------------- */

int import_tell(struct import *im)
{
	if (im->cb == NULL || im->cb(&im->progress, im->arg) == 0)
		return 0;
	return err_set(im->e, -FAULT_CANCELLED, "import: cancelled");
}

int import_folder(struct import *im, const char *path, uint32_t mode)
{
	char line[VFS_CHANGE_MAX];

	return vfs_commit_feed(im->commit, line,
			       vfs_changes_write_dir(line, path, mode), im->e);
}

int import_file(struct import *im, const char *path, uint32_t mode,
		uint64_t size)
{
	char line[VFS_CHANGE_MAX];

	return vfs_commit_feed(im->commit, line,
			       vfs_changes_write_file(line, path, mode, size),
			       im->e);
}

int import_data(struct import *im, const char *data, size_t n)
{
	int r = vfs_commit_feed(im->commit, data, n, im->e);

	im->progress.bytes += n;
	return r < 0 ? r : import_tell(im);
}

int import_file_end(struct import *im)
{
	int r = vfs_commit_feed(im->commit, "\n", 1, im->e);

	im->progress.n++;
	return r < 0 ? r : import_tell(im);
}

int import_content(struct import *im, const char *path, uint32_t mode,
		   const char *data, size_t n)
{
	int r = import_file(im, path, mode, n);

	if (r == 0)
		r = import_data(im, data, n);
	return r < 0 ? r : import_file_end(im);
}

/* --- what is named ------------------------------------------------------ */

enum kind { KIND_DIR, KIND_PATH, KIND_URL };

struct source {
	enum kind kind;
	char where[VFS_IMPORT_WHAT_MAX];
	const char *rev; /* NULL: HEAD.  Points into @where's memory. */
};

/* "scheme://" or "user@host:path" */
static bool is_url(const char *s)
{
	size_t n = strcspn(s, ":/");

	return s[n] == ':' &&
	       (strncmp(s + n, "://", 3) == 0 || memchr(s, '@', n) != NULL);
}

static int parse(const char *what, struct source *s, struct err *e)
{
	struct stat st;
	char *hash;

	if (strlen(what) >= sizeof(s->where))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace: more than %zu bytes",
			       sizeof(s->where) - 1);
	strcpy(s->where, what);
	s->rev = NULL;
	s->kind = KIND_DIR;
	if (!is_url(what) && stat(what, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	hash = strrchr(s->where, '#');
	if (hash != NULL) {
		*hash = '\0';
		s->rev = hash[1] != '\0' ? hash + 1 : NULL;
	}
	s->kind = is_url(what) ? KIND_URL : KIND_PATH;
	if (hash == NULL && s->kind == KIND_PATH)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "workspace '%.128s': no such folder, and no "
			       "PATH#REV or URL of a git repository",
			       what);
	return 0;
}

/* A workspace that holds its own repository would never end. */
static int check_outside(const char *dir, const char *repo_path, struct err *e)
{
	char outer[PATH_MAX], inner[PATH_MAX];
	size_t n;

	if (realpath(dir, outer) == NULL || realpath(repo_path, inner) == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%.128s: %s", dir,
			       strerror(errno));
	n = strlen(outer);
	if (strncmp(outer, inner, n) != 0 ||
	    (n > 1 && inner[n] != '/' && inner[n] != '\0'))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "%.128s: the state folder of hib is in it", dir);
}

/* --- the commit --------------------------------------------------------- */

static int begin(struct import *im)
{
	const struct vfs_commit_spec spec = {
		.reason = "import",
		.time_ms = (int64_t)time(NULL) * 1000,
	};

	im->progress = (struct vfs_import_progress){.stage = "read"};
	return vfs_commit_begin(im->repo, &spec, &im->commit, im->e);
}

static int end(struct import *im, struct vfs_oid *out)
{
	struct vfs_commit_result result;
	char line[VFS_CHANGE_MAX];
	int r = vfs_commit_feed(im->commit, line, vfs_changes_write_done(line),
				im->e);

	if (r == 0)
		r = vfs_commit_end(im->commit, &result, im->e);
	if (r == 0 && !result.has_commit)
		return err_set(im->e, -FAULT_INVALID_ARGUMENT,
			       "import: there are no files");
	if (r == 0)
		*out = result.commit;
	return r;
}

static int import_git(struct import *im, const struct source *s)
{
	struct import_source source = {0};
	int r = s->kind == KIND_URL
			? import_clone(im, s->where, s->rev, &source)
			: import_open_path(im, s->where, s->rev, &source);

	if (r == 0)
		r = begin(im);
	if (r == 0)
		r = import_tree(im, &source);
	import_source_done(im, &source);
	return r;
}

static int import_folder_of(struct import *im, const char *dir,
			    const char *repo_path)
{
	int r = check_outside(dir, repo_path, im->e);

	if (r == 0)
		r = begin(im);
	return r < 0 ? r : import_dir(im, dir);
}

int vfs_import(const char *what, const char *repo_path, vfs_import_cb cb,
	       void *arg, struct vfs_oid *out, struct err *e)
{
	struct import im = {.cb = cb, .arg = arg, .e = e};
	struct source source;
	int r = parse(what, &source, e);

	if (r == 0)
		r = vfs_repo_create(repo_path, &im.repo, e);
	if (r < 0)
		return r;
	r = source.kind == KIND_DIR
		    ? import_folder_of(&im, source.where, repo_path)
		    : import_git(&im, &source);
	if (r == 0)
		r = end(&im, out);
	vfs_commit_free(im.commit);
	vfs_repo_close(im.repo);
	return r;
}
