// SPDX-License-Identifier: Apache-2.0
/*
 * repo.c - The bare repository that holds the committed files of a VM
 *
 * A repository is a few folders and two files.  HEAD is written last: git and
 * libgit2 see no repository without it, so a creation that was interrupted is
 * none, and the next one finishes it.
 *
 * Nothing but the repository itself tells libgit2 what to do: no configuration
 * of the user or the system is read, and the owner of the files does not
 * matter, because nothing in them is ever run.  References and packs of libgit2
 * are synced.
 */
#include "vfs/repo.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "vfs/durable.h"
#include "vfs/memo.h"
#include "vfs/refs.h"

#define ALTERNATES_MAX (64u << 10) /* Bytes of the file that names them. */

/* Packing looks for deltas of files up to 16 MiB only.  A symbolic link named
 * .gitignore is a file like any other here.  Forks borrow objects that nothing
 * in this repository may name any more. */
static const char config[] = "[core]\n"
			     "\trepositoryformatversion = 0\n"
			     "\tfilemode = true\n"
			     "\tbare = true\n"
			     "\tbigFileThreshold = 16m\n"
			     "[pack]\n"
			     "\twindowMemory = 64m\n"
			     "[gc]\n"
			     "\tauto = 0\n"
			     "\tpruneExpire = never\n"
			     "[fsck]\n"
			     "\tgitignoreSymlink = ignore\n"
			     "\tmailmapSymlink = ignore\n";

static const char head_file[] = "ref: " VFS_REF_MAIN "\n";

struct vfs_repo {
	git_repository *git;
	git_odb *odb;
	bool readonly;
	struct vfs_memo memo;
	char dir[PATH_MAX];
};

/*
 * libgit2.
 */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int started;

static void start(void)
{
	static const int levels[] = {
		GIT_CONFIG_LEVEL_PROGRAMDATA,
		GIT_CONFIG_LEVEL_SYSTEM,
		GIT_CONFIG_LEVEL_XDG,
		GIT_CONFIG_LEVEL_GLOBAL,
	};

	started = git_libgit2_init();
	if (started < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
}

static int start_once(struct err *e)
{
	pthread_once(&once, start);
	return started < 0 ? vfs_repo_giterr(e, started, "libgit2") : 0;
}

struct vfs_oid vfs_oid_of_git(const git_oid *id)
{
	struct vfs_oid oid;

	memcpy(oid.b, id->id, VFS_OID_BYTES);
	return oid;
}

git_oid vfs_oid_to_git(const struct vfs_oid *oid)
{
	git_oid id;

	(void)git_oid_fromraw(&id, oid->b);
	return id;
}

/*
 * Errors.
 */

/* libgit2 tells the cause of a failed system call in words alone. */
static bool is_disk_full(const git_error *g)
{
	return g != NULL && (strstr(g->message, strerror(ENOSPC)) != NULL ||
			     strstr(g->message, strerror(EDQUOT)) != NULL);
}

/* Classes of failures that come from what was read. */
static bool is_damage(const git_error *g)
{
	static const int classes[] = {
		GIT_ERROR_ZLIB,	  GIT_ERROR_OBJECT, GIT_ERROR_TREE,
		GIT_ERROR_CONFIG, GIT_ERROR_TAG,    GIT_ERROR_INDEXER,
		GIT_ERROR_SHA1,
	};

	for (size_t i = 0; g != NULL && i < ARRAY_LEN(classes); i++)
		if (g->klass == classes[i])
			return true;
	return false;
}

static enum fault git_fault(int code, const git_error *g)
{
	static const struct {
		int code;
		enum fault fault;
	} table[] = {
		{GIT_ENOTFOUND, FAULT_FILE_NOT_FOUND},
		{GIT_EEXISTS, FAULT_ALREADY_EXISTS},
		{GIT_EAMBIGUOUS, FAULT_INVALID_ARGUMENT},
		{GIT_EINVALIDSPEC, FAULT_INVALID_ARGUMENT},
		{GIT_EPEEL, FAULT_INVALID_ARGUMENT},
		{GIT_ELOCKED, FAULT_OVERLOADED},
		{GIT_EMISMATCH, FAULT_STORE_CORRUPT},
		{GIT_EUSER, FAULT_CANCELLED},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].code == code)
			return table[i].fault;
	if (is_disk_full(g))
		return FAULT_DISK_FULL;
	return is_damage(g) ? FAULT_STORE_CORRUPT : FAULT_STORE_ERROR;
}

int vfs_repo_giterr(struct err *e, int code, const char *fmt, ...)
{
	const git_error *g = git_error_last();
	char what[ERR_MSG_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return err_set(e, -(int)git_fault(code, g), "%s: %s", what,
		       g != NULL ? g->message : "failed");
}

int vfs_repo_errno(struct err *e, int code, const char *fmt, ...)
{
	enum fault f = FAULT_STORE_ERROR;
	char what[ERR_MSG_MAX];
	va_list args;

	if (code == -ENOSPC || code == -EDQUOT)
		f = FAULT_DISK_FULL;
	else if (code == -ENOMEM)
		f = FAULT_INTERNAL;
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return err_set(e, -(int)f, "%s: %s", what, strerror(-code));
}

/*
 * Creation.
 */

static int make_folders(const char *path)
{
	static const char *const folders[] = {
		"",	 "/objects",	"/objects/info", "/objects/pack",
		"/refs", "/refs/heads",
	};
	char sub[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(folders); i++) {
		if (snprintf(sub, sizeof(sub), "%s%s", path, folders[i]) >=
		    (int)sizeof(sub))
			return -ENAMETOOLONG;
		r = vfs_durable_mkdir(sub);
	}
	return r;
}

static int write_file(const char *path, const char *name, const char *text)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s/%s", path, name) >=
	    (int)sizeof(file))
		return -ENAMETOOLONG;
	return vfs_durable_write(file, text, strlen(text));
}

static bool has_file(const char *path, const char *name)
{
	char file[PATH_MAX];

	return snprintf(file, sizeof(file), "%s/%s", path, name) <
		       (int)sizeof(file) &&
	       access(file, F_OK) == 0;
}

/* Everything but HEAD. */
static int prepare(const char *path)
{
	int r = make_folders(path);

	return r < 0 ? r : write_file(path, "config", config);
}

static int finish(const char *path, struct vfs_repo **out, struct err *e)
{
	int r = write_file(path, "HEAD", head_file);

	if (r < 0)
		return vfs_repo_errno(e, r, "%s", path);
	return out != NULL ? vfs_repo_open(path, false, out, e) : 0;
}

int vfs_repo_create(const char *path, struct vfs_repo **out, struct err *e)
{
	int r;

	if (has_file(path, "HEAD"))
		return out != NULL ? vfs_repo_open(path, false, out, e) : 0;
	r = prepare(path);
	if (r < 0)
		return vfs_repo_errno(e, r, "%s", path);
	return finish(path, out, e);
}

/*
 * Forks.
 */

/* The way from folder @from to folder @to, both absolute and without links. */
static int relative(const char *from, const char *to, char out[PATH_MAX])
{
	size_t same = 0, n = 0;

	for (size_t i = 0;; i++) {
		bool ends = (from[i] == '/' || from[i] == '\0') &&
			    (to[i] == '/' || to[i] == '\0');

		if (ends)
			same = i;
		if (from[i] != to[i] || from[i] == '\0')
			break;
	}
	for (const char *p = from + same; *p != '\0'; p++)
		if (*p == '/' && n + 3 < PATH_MAX)
			n += (size_t)sprintf(out + n, "../");
	to += same + (to[same] == '/');
	if (n + strlen(to) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(out + n, to);
	return 0;
}

static int objects_of(const char *path, char out[PATH_MAX])
{
	char objects[PATH_MAX];

	if (snprintf(objects, sizeof(objects), "%s/objects", path) >=
	    (int)sizeof(objects))
		return -ENAMETOOLONG;
	return realpath(objects, out) == NULL ? -errno : 0;
}

struct alternates {
	char mine[PATH_MAX]; /* Our objects. */
	char *text;
	size_t len;
};

static int add_alternate(struct alternates *a, const char *objects)
{
	char way[PATH_MAX];
	size_t n;
	int r = relative(a->mine, objects, way);

	if (r < 0)
		return r;
	n = strlen(way);
	if (strchr(way, '\n') != NULL || way[0] == '"' || way[0] == '#')
		return -EINVAL;
	if (a->len + n + 1 > ALTERNATES_MAX)
		return -EMSGSIZE;
	memcpy(a->text + a->len, way, n);
	a->text[a->len + n] = '\n';
	a->len += n + 1;
	return 0;
}

static int each_borrowed(struct alternates *a, const char *objects, FILE *f)
{
	char line[PATH_MAX], way[2 * PATH_MAX], real[PATH_MAX];
	int r = 0;

	while (r == 0 && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(way, sizeof(way), "%s/%s", objects, line);
		if (realpath(line[0] == '/' ? line : way, real) != NULL)
			r = add_alternate(a, real);
	}
	return r;
}

/* libgit2 reads relative ways of the first repository only, so a fork of a fork
 * names all that it borrows from. */
static int add_borrowed(struct alternates *a, const char *objects)
{
	char file[PATH_MAX];
	FILE *f;
	int r;

	if (snprintf(file, sizeof(file), "%s/info/alternates", objects) >=
	    (int)sizeof(file))
		return -ENAMETOOLONG;
	f = fopen(file, "re");
	if (f == NULL)
		return errno == ENOENT ? 0 : -errno;
	r = each_borrowed(a, objects, f);
	fclose(f);
	return r;
}

static int borrow(const char *path, const char *source)
{
	autofree char *text = malloc(ALTERNATES_MAX);
	struct alternates a = {.text = text};
	char objects[PATH_MAX], file[PATH_MAX + 32];
	int r = text == NULL ? -ENOMEM : objects_of(path, a.mine);

	if (r == 0)
		r = objects_of(source, objects);
	if (r == 0)
		r = add_alternate(&a, objects);
	if (r == 0)
		r = add_borrowed(&a, objects);
	if (r < 0)
		return r;
	snprintf(file, sizeof(file), "%s/info/alternates", a.mine);
	return vfs_durable_write(file, a.text, a.len);
}

static int check_commit(const char *source, const struct vfs_oid *id,
			struct err *e)
{
	autovfsrepo struct vfs_repo *r = NULL;
	git_oid oid = vfs_oid_to_git(id);
	git_commit *c;
	int code = vfs_repo_open(source, true, &r, e);

	if (code < 0)
		return code;
	code = git_commit_lookup(&c, r->git, &oid);
	if (code < 0)
		return vfs_repo_giterr(e, code, "commit to fork from");
	git_commit_free(c);
	return 0;
}

int vfs_repo_create_fork(const char *path, const char *source,
			 const struct vfs_oid *head, struct vfs_repo **out,
			 struct err *e)
{
	int r;

	if (has_file(path, "HEAD"))
		return out != NULL ? vfs_repo_open(path, false, out, e) : 0;
	r = check_commit(source, head, e);
	if (r < 0)
		return r;
	r = prepare(path);
	if (r == 0)
		r = borrow(path, source);
	if (r < 0)
		return vfs_repo_errno(e, r, "%s", path);
	r = vfs_refs_set(path, VFS_REF_MAIN, head, e);
	return r < 0 ? r : finish(path, out, e);
}

/*
 * Use.
 */

static int locate(struct vfs_repo *r, const char *path, struct err *e)
{
	if (realpath(path, r->dir) != NULL)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(e, -FAULT_FILE_NOT_FOUND, "%s: not there", path);
	return vfs_repo_errno(e, -errno, "%s", path);
}

int vfs_repo_open(const char *path, bool readonly, struct vfs_repo **out,
		  struct err *e)
{
	autovfsrepo struct vfs_repo *r = NULL;
	int code = start_once(e);

	if (code < 0)
		return code;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return vfs_repo_errno(e, -ENOMEM, "%s", path);
	code = locate(r, path, e);
	if (code < 0)
		return code;
	r->readonly = readonly;
	code = git_repository_open_ext(&r->git, path,
				       GIT_REPOSITORY_OPEN_NO_SEARCH |
					       GIT_REPOSITORY_OPEN_BARE |
					       GIT_REPOSITORY_OPEN_NO_DOTGIT,
				       NULL);
	if (code == GIT_ENOTFOUND)
		return err_set(e, -FAULT_STORE_CORRUPT, "%s: no repository",
			       path);
	if (code == 0)
		code = git_repository_odb(&r->odb, r->git);
	if (code < 0)
		return vfs_repo_giterr(e, code, "%s", path);
	*out = take_ptr(r);
	return 0;
}

void vfs_repo_close(struct vfs_repo *r)
{
	if (r == NULL)
		return;
	vfs_memo_done(&r->memo);
	git_odb_free(r->odb);
	git_repository_free(r->git);
	free(r);
}

git_repository *vfs_repo_git(struct vfs_repo *r)
{
	return r->git;
}

git_odb *vfs_repo_odb(struct vfs_repo *r)
{
	return r->odb;
}

struct vfs_memo *vfs_repo_memo(struct vfs_repo *r)
{
	return &r->memo;
}

bool vfs_repo_readonly(const struct vfs_repo *r)
{
	return r->readonly;
}

const char *vfs_repo_dir(const struct vfs_repo *r)
{
	return r->dir;
}

int vfs_repo_lock(struct vfs_repo *r, const char *name, int *out_fd,
		  struct err *e)
{
	char file[PATH_MAX];
	autoclose int fd = -1;

	if (snprintf(file, sizeof(file), "%s/%s", r->dir, name) >=
	    (int)sizeof(file))
		return vfs_repo_errno(e, -ENAMETOOLONG, "%s", name);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return vfs_repo_errno(e, -errno, "%s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*out_fd = take_fd(&fd);
		return 0;
	}
	if (errno == EWOULDBLOCK)
		return err_set(e, -FAULT_OVERLOADED,
			       "workspace: someone else is at it (%s)", name);
	return vfs_repo_errno(e, -errno, "%s", name);
}

int vfs_repo_head(struct vfs_repo *r, struct vfs_oid *out, struct err *e)
{
	git_oid id;
	int code = git_reference_name_to_id(&id, r->git, "HEAD");

	if (code == GIT_ENOTFOUND)
		return -ENOENT;
	if (code < 0)
		return vfs_repo_giterr(e, code, "head of the workspace");
	*out = vfs_oid_of_git(&id);
	return 0;
}

/* How many lowercase hex digits @s consists of; 0 when of others too. */
static size_t hex_len(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	return s[n] == '\0' ? n : 0;
}

/* Follow tags to what they name. */
static int peel(git_object *o, struct vfs_oid *out)
{
	git_object *commit;

	if (git_object_type(o) == GIT_OBJECT_TREE) {
		*out = vfs_oid_of_git(git_object_id(o));
		return 0;
	}
	if (git_object_peel(&commit, o, GIT_OBJECT_COMMIT) < 0)
		return GIT_ENOTFOUND;
	*out = vfs_oid_of_git(git_object_id(commit));
	git_object_free(commit);
	return 0;
}

static int find_prefix(struct vfs_repo *r, const char *hex, size_t n,
		       struct vfs_oid *out)
{
	git_object *o;
	git_oid id;
	int code = git_oid_fromstrn(&id, hex, n);

	if (code == 0)
		code = git_object_lookup_prefix(&o, r->git, &id, n,
						GIT_OBJECT_ANY);
	if (code < 0)
		return code;
	code = peel(o, out);
	git_object_free(o);
	return code;
}

static int find_ref(struct vfs_repo *r, const char *name, struct vfs_oid *out)
{
	git_object *o;
	git_oid id;
	int code;

	code = git_reference_name_to_id(&id, r->git, name);
	if (code == 0)
		code = git_object_lookup(&o, r->git, &id, GIT_OBJECT_ANY);
	if (code < 0)
		return code;
	code = peel(o, out);
	git_object_free(o);
	return code;
}

static int find(struct vfs_repo *r, const char *rev, struct vfs_oid *out)
{
	static const char *const prefixes[] = {"refs/heads/", VFS_REF_TURNS};
	char name[VFS_REV_MAX + 16];
	int code = GIT_ENOTFOUND;

	if (strcmp(rev, "HEAD") == 0 || strncmp(rev, "refs/", 5) == 0)
		return find_ref(r, rev, out);
	for (size_t i = 0; code < 0 && i < ARRAY_LEN(prefixes); i++) {
		snprintf(name, sizeof(name), "%s%s", prefixes[i], rev);
		code = find_ref(r, name, out);
	}
	if (code < 0 && hex_len(rev) >= VFS_PREFIX_MIN &&
	    hex_len(rev) < VFS_OID_HEX)
		return find_prefix(r, rev, hex_len(rev), out);
	return code;
}

int vfs_repo_resolve(struct vfs_repo *r, const char *rev, struct vfs_oid *out,
		     struct err *e)
{
	int code;

	if (strlen(rev) > VFS_REV_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "revision of more than %d bytes", VFS_REV_MAX);
	/* A full id is never the name of anything else. */
	if (hex_len(rev) == VFS_OID_HEX - 1)
		code = find_prefix(r, rev, VFS_OID_HEX - 1, out);
	else
		code = find(r, rev, out);
	if (code == GIT_ENOTFOUND || code == GIT_EINVALIDSPEC)
		return err_set(e, -FAULT_FILE_NOT_FOUND,
			       "revision '%s': there is none", rev);
	return code < 0 ? vfs_repo_giterr(e, code, "revision '%s'", rev) : 0;
}
