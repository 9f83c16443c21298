// SPDX-License-Identifier: Apache-2.0
/*
 * import_git.c - A commit of a repository, and how its objects get here
 *
 * Of a repository on this machine every object file and pack is linked, as
 * `git clone --local` does: they never change, and nothing is copied.  That
 * takes the same file system, files that are our own (a link is the same file:
 * who may write the one writes the other), and a repository that borrows from
 * no third one.  Where it cannot be, contents are copied, of this commit alone.
 *
 * A clone is fetched into the workspace's repository itself, under references
 * that go away when the files are committed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vfs/entry.h"
#include "vfs/gitobj.h"
#include "vfs/import_impl.h"
#include "vfs/path.h"
#include "vfs/stall.h"

#define FETCHED	     "refs/hib-import/"
#define REV_MAX	     255
#define TELL_OBJECTS 256   /* Received between two times that it is told. */
#define SILENT_MS    60000 /* For so long a server may say nothing. */

/* --- links -------------------------------------------------------------- */

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcmp(s + n - m, suffix) == 0;
}

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static bool link_file(int from, int to, const char *name)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return false;
	return linkat(from, name, to, name, 0) == 0 || errno == EEXIST;
}

static bool wants_loose(const char *name, const char *suffix)
{
	(void)suffix;
	return is_hex(name, 38);
}

/* Link the files of one folder of objects that are wanted. */
static bool link_folder(int from, int to, const char *name,
			bool (*wants)(const char *name, const char *suffix),
			const char *suffix)
{
	autoclose int in =
		openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int out = -1;
	const struct dirent *entry;
	bool ok = true;
	DIR *d;

	if (mkdirat(to, name, 0777) < 0 && errno != EEXIST)
		return false;
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = in >= 0 && out >= 0 ? fdopendir(in) : NULL;
	if (d == NULL)
		return false;
	(void)take_fd(&in);
	while (ok && (entry = readdir(d)) != NULL)
		if (wants(entry->d_name, suffix))
			ok = link_file(dirfd(d), out, entry->d_name);
	closedir(d);
	return ok;
}

/* An index last: with it the pack is seen. */
static bool link_packs(int from, int to)
{
	return faccessat(from, "pack", F_OK, 0) < 0 ||
	       (link_folder(from, to, "pack", has_suffix, ".pack") &&
		link_folder(from, to, "pack", has_suffix, ".idx"));
}

static bool link_all(int from, int to)
{
	bool ok = faccessat(from, "info/alternates", F_OK, 0) < 0 &&
		  link_packs(from, to);
	char name[3];

	for (unsigned i = 0; ok && i < 256; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		if (faccessat(from, name, F_OK, 0) == 0)
			ok = link_folder(from, to, name, wants_loose, NULL);
	}
	/* Their owner need not have synced them. */
	return ok && syncfs(to) == 0;
}

static bool share_objects(struct import *im, git_repository *source)
{
	char from[PATH_MAX], to[PATH_MAX];
	autoclose int in = -1, out = -1;

	if (snprintf(from, sizeof(from), "%sobjects",
		     git_repository_commondir(source)) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s/objects", vfs_repo_dir(im->repo)) >=
		    (int)sizeof(to))
		return false;
	in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return in >= 0 && out >= 0 && link_all(in, out) &&
	       git_odb_refresh(vfs_repo_odb(im->repo)) == 0;
}

/* --- revisions ---------------------------------------------------------- */

static int find_tree(struct import *im, git_repository *git, const char *rev,
		     git_tree **out)
{
	autogit(object) *object = NULL;
	git_object *tree = NULL;

	if (git_revparse_single(&object, git, rev) < 0 ||
	    git_object_peel(&tree, object, GIT_OBJECT_TREE) < 0)
		return err_set(im->e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "import: no revision '%.128s' there", rev);
	*out = (git_tree *)tree;
	return 0;
}

int import_open_path(struct import *im, const char *path, const char *rev,
		     struct import_source *out)
{
	int r = git_repository_open_ext(&out->git, path,
					GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);

	if (r < 0)
		return err_set(im->e, -FAULT_INVALID_ARGUMENT,
			       "import: %.128s is no git repository", path);
	r = find_tree(im, out->git, rev ? rev : "HEAD", &out->tree);
	if (r < 0)
		return r;
	out->here = share_objects(im, out->git);
	return 0;
}

static int drop_fetched(const char *name, void *repo)
{
	return git_reference_remove(repo, name);
}

void import_source_done(struct import *im, struct import_source *s)
{
	git_repository *here = vfs_repo_git(im->repo);

	git_tree_free(s->tree);
	if (s->git != here)
		git_repository_free(s->git);
	else
		(void)git_reference_foreach_glob(here, FETCHED "*",
						 drop_fetched, here);
}

/* --- clone -------------------------------------------------------------- */

struct fetch {
	struct import *im;
	struct stall stall;
	unsigned asked; /* For credentials. */
	int r;		/* Of the import. */
};

/* The user's own keys, once; a URL may bring a password of its own. */
static int on_credentials(git_credential **out, const char *url,
			  const char *user, unsigned allowed, void *arg)
{
	struct fetch *f = arg;

	(void)url;
	if (f->asked++ > 0)
		return GIT_EAUTH;
	if (allowed & GIT_CREDENTIAL_SSH_KEY)
		return git_credential_ssh_key_from_agent(out,
							 user ? user : "git");
	if (allowed & GIT_CREDENTIAL_USERNAME)
		return git_credential_username_new(out, user ? user : "git");
	return GIT_EAUTH;
}

static int on_received(const git_indexer_progress *p, void *arg)
{
	struct fetch *f = arg;

	stall_tick(&f->stall);
	if (p->received_objects % TELL_OBJECTS != 0 &&
	    p->received_objects != p->total_objects)
		return 0;
	f->im->progress = (struct vfs_import_progress){
		.stage = "receive",
		.n = p->received_objects,
		.total = p->total_objects,
		.bytes = p->received_bytes,
	};
	f->r = import_tell(f->im);
	return f->r < 0 ? GIT_EUSER : 0;
}

/* What the server says of its own work. */
static int on_words(const char *words, int n, void *arg)
{
	struct fetch *f = arg;

	(void)words, (void)n;
	stall_tick(&f->stall);
	return 0;
}

static int fail_clone(const struct fetch *f, int code)
{
	struct err *e = f->im->e;

	if (f->r < 0)
		return f->r;
	if (code == GIT_EAUTH)
		return err_set(e, -FAULT_UNAUTHORIZED,
			       "import: the repository asks who we are");
	(void)vfs_repo_giterr(e, code, "import");
	/* Which fault it is, libgit2 cannot tell. */
	if (e != NULL)
		e->code = -FAULT_INVALID_ARGUMENT;
	return -FAULT_INVALID_ARGUMENT;
}

/* What to ask for: the reference of that name, or, since an id may be of any,
 * all of them. */
struct wish {
	char spec[REV_MAX + 64], tags[64];
	char rev[REV_MAX + 64]; /* What it is called here then. */
};

static bool wish_named(struct wish *w, const git_remote_head **heads, size_t n,
		       const char *rev)
{
	static const char *const prefixes[] = {"", "refs/heads/", "refs/tags/"};
	char name[REV_MAX + 16];

	for (size_t k = 0; k < ARRAY_LEN(prefixes); k++) {
		snprintf(name, sizeof(name), "%s%s", prefixes[k], rev);
		for (size_t i = 0; i < n; i++) {
			if (strcmp(heads[i]->name, name) != 0)
				continue;
			snprintf(w->spec, sizeof(w->spec), "+%s:" FETCHED "one",
				 name);
			strcpy(w->rev, FETCHED "one");
			return true;
		}
	}
	return false;
}

static int make_wish(struct fetch *f, git_remote *remote, const char *rev,
		     struct wish *w)
{
	const git_remote_head **heads;
	size_t n;
	int r = git_remote_ls(&heads, &n, remote);

	*w = (struct wish){0};
	if (r < 0)
		return fail_clone(f, r);
	if (wish_named(w, heads, n, rev))
		return 0;
	if (strcmp(rev, "HEAD") == 0)
		return err_set(f->im->e, -FAULT_SNAPSHOT_NOT_FOUND,
			       "import: the repository has no HEAD");
	snprintf(w->spec, sizeof(w->spec), "+refs/heads/*:" FETCHED "heads/*");
	snprintf(w->tags, sizeof(w->tags), "+refs/tags/*:" FETCHED "tags/*");
	snprintf(w->rev, sizeof(w->rev), "%s", rev);
	return 0;
}

static int fetch(struct fetch *f, git_remote *remote, const char *rev,
		 struct wish *w)
{
	git_fetch_options o;
	char *specs[] = {w->spec, w->tags};
	git_strarray list = {specs, 1};
	int r;

	git_fetch_options_init(&o, GIT_FETCH_OPTIONS_VERSION);
	o.callbacks.credentials = on_credentials;
	o.callbacks.transfer_progress = on_received;
	o.callbacks.sideband_progress = on_words;
	o.callbacks.payload = f;
	o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	o.update_fetchhead = 0;
	r = git_remote_connect(remote, GIT_DIRECTION_FETCH, &o.callbacks, NULL,
			       NULL);
	if (r < 0)
		return fail_clone(f, r);
	r = make_wish(f, remote, rev, w);
	if (r < 0)
		return r;
	list.count = w->tags[0] != '\0' ? 2 : 1;
	r = git_remote_fetch(remote, &list, &o, NULL);
	return r < 0 ? fail_clone(f, r) : 0;
}

/* The same, from a server that says something now and then. */
static int fetch_or_stall(struct fetch *f, git_remote *remote, const char *rev,
			  struct wish *w)
{
	int r = stall_begin(&f->stall, SILENT_MS);

	if (r < 0)
		return err_set(f->im->e, r, "import: %s", strerror(-r));
	r = fetch(f, remote, rev, w);
	if (stall_end(&f->stall) && r < 0)
		r = err_set(f->im->e, -FAULT_REQUEST_TIMEOUT,
			    "import: the server was silent for %d s",
			    SILENT_MS / 1000);
	return r;
}

int import_clone(struct import *im, const char *url, const char *rev,
		 struct import_source *out)
{
	autogit(remote) *remote = NULL;
	struct fetch f = {.im = im};
	struct wish w;
	int r;

	if (rev != NULL && strlen(rev) > REV_MAX)
		return err_set(im->e, -FAULT_INVALID_ARGUMENT,
			       "import: a revision of more than %d bytes",
			       REV_MAX);
	out->git = vfs_repo_git(im->repo);
	out->here = true;
	r = git_remote_create_anonymous(&remote, out->git, url);
	if (r < 0)
		return fail_clone(&f, r);
	r = fetch_or_stall(&f, remote, rev ? rev : "HEAD", &w);
	return r < 0 ? r : find_tree(im, out->git, w.rev, &out->tree);
}

/* --- files -------------------------------------------------------------- */

struct walk {
	struct import *im;
	const struct import_source *source;
	int r;
};

static int copy_content(struct walk *w, const char *path, uint32_t mode,
			const git_oid *id)
{
	autogit(blob) *blob = NULL;
	int r = git_blob_lookup(&blob, w->source->git, id);

	if (r < 0)
		return vfs_repo_giterr(w->im->e, r, "import: %.128s", path);
	return import_content(w->im, path, mode, git_blob_rawcontent(blob),
			      (size_t)git_blob_rawsize(blob));
}

static int take_file(struct walk *w, const char *path, uint32_t mode,
		     const git_oid *id)
{
	struct vfs_oid oid = vfs_oid_of_git(id);
	git_object_t type;
	size_t size;
	int r;

	/* Of a link the content is checked, too. */
	if (S_ISLNK(mode) || !w->source->here ||
	    git_odb_read_header(&size, &type, vfs_repo_odb(w->im->repo), id) <
		    0 ||
	    type != GIT_OBJECT_BLOB)
		return copy_content(w, path, mode, id);
	r = vfs_commit_file(w->im->commit, path, mode, &oid, w->im->e);
	w->im->progress.n++;
	return r < 0 ? r : import_tell(w->im);
}

static int take_entry(struct walk *w, const char *path,
		      const git_tree_entry *entry)
{
	const git_oid *id = git_tree_entry_id(entry);

	switch (git_tree_entry_filemode(entry)) {
	case GIT_FILEMODE_BLOB_EXECUTABLE:
		return take_file(w, path, S_IFREG | 0755, id);
	case GIT_FILEMODE_LINK:
		return take_file(w, path, S_IFLNK, id);
	case GIT_FILEMODE_TREE:
	case GIT_FILEMODE_COMMIT:
		return import_folder(w->im, path, S_IFDIR | 0755);
	default:
		return take_file(w, path, S_IFREG | 0644, id);
	}
}

/* @root ends in a slash, or is empty. */
static int on_entry(const char *root, const git_tree_entry *entry, void *arg)
{
	const char *name = git_tree_entry_name(entry);
	char path[VFS_PATH_MAX + 1];
	struct walk *w = arg;
	int n = snprintf(path, sizeof(path), "%s%s", root, name);

	if (n >= (int)sizeof(path) || !vfs_entry_is_name(name, strlen(name)))
		w->r = err_set(w->im->e, -FAULT_INVALID_ARGUMENT,
			       "import: a folder cannot hold '%.128s'", name);
	else
		w->r = take_entry(w, path, entry);
	return w->r < 0 ? -1 : 0;
}

int import_tree(struct import *im, const struct import_source *source)
{
	struct walk w = {.im = im, .source = source};
	int r = git_tree_walk(source->tree, GIT_TREEWALK_PRE, on_entry, &w);

	if (w.r < 0)
		return w.r;
	return r < 0 ? vfs_repo_giterr(im->e, r, "import") : 0;
}
