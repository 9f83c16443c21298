// SPDX-License-Identifier: Apache-2.0
/*
 * test_import.c - First commits from folders, repositories and clones
 */
#include "vfs/import.h"

#include <sys/stat.h>

#include "core/json.h"
#include "tests/commit_kit.h"
#include "vfs/browse.h"

/* libgit2 1.5 forgets what it took for a regular expression that does not
 * match, and asks each line of a configuration whether it changes a URL. */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libpcre2";
}

/* DIR/w is the source; its repository is not made. */
static void open_source(struct git_kit *k)
{
	git_kit_open(k);
	vfs_repo_close(k->repo);
	k->repo = NULL;
	EQ(sh("rm -rf %s && mkdir %s/w", k->path, k->dir), 0);
}

/* In @what "DIR" is that folder. */
static int import(struct git_kit *k, const char *what, struct vfs_oid *out,
		  struct err *e)
{
	const char *at = strstr(what, "DIR");
	char full[256];

	snprintf(full, sizeof(full), "%.*s%s%s",
		 at ? (int)(at - what) : (int)strlen(what), what,
		 at ? k->dir : "", at ? at + 3 : "");
	return vfs_import(full, k->path, NULL, NULL, out, e);
}

static struct vfs_oid must_import(struct git_kit *k, const char *what)
{
	struct vfs_oid oid;
	struct err e = {0};

	if (import(k, what, &oid, &e) < 0)
		FAIL("import %s: %s", what, e.msg);
	EQ(vfs_repo_open(k->path, true, &k->repo, &e), 0);
	git_kit_fsck(k->path);
	STR_EQ(sh_line("git --git-dir=%s log --format=%%s,%%b | tr -d '\\n'",
		       k->path),
	       "Checkpoint,Reason: import");
	return oid;
}

static uint32_t mode_of(struct git_kit *k, const struct vfs_oid *at,
			const char *path)
{
	struct vfs_entry entry;
	struct err e = {0};

	return vfs_browse_find(k->repo, at, path, &entry, &e) < 0 ? 0
								  : entry.mode;
}

/* What git takes out of the commit is what is in DIR/w, but for what git has
 * under other names and for empty folders. */
static void same_files(struct git_kit *k)
{
	EQ(sh("cd %s && mkdir -p out && git --git-dir=w.git archive main |"
	      " tar -C out -xf - && find out -depth -name '.hib-*'"
	      " -exec rm -r {} + && find out -type d -empty -delete &&"
	      " diff -r --no-dereference -x .git w out >&2",
	      k->dir),
	   0);
}

/* A repository with two commits, a tag and a submodule, in DIR/w. */
static void make_source(struct git_kit *k)
{
	FILES(k, "git init -q -b main . && git config user.name a &&"
		 " git config user.email a@b && mkdir d && seq 9 >d/f &&"
		 " echo one >g && chmod 755 g && ln -s d/f l && git add -A &&"
		 " git commit -qm one && git tag v1 && git branch side &&"
		 " echo two >g && echo '[submodule]' >.gitmodules &&"
		 " git update-index --add --cacheinfo"
		 " 160000,1234567890123456789012345678901234567890,sub &&"
		 " git add -A . ':!sub' && git commit -qm two");
}

TEST(a_folder_becomes_a_commit)
{
	struct git_kit k;

	open_source(&k);
	FILES(&k,
	      "mkdir -p a/b empty .git/objects node_modules/x && echo 1 >a/b/c"
	      " && ln -s ../none a/l && : >a/nothing && chmod 711 a/b &&"
	      " chmod 600 a/b/c && echo 1 >.hib-x && seq 100000 >big &&"
	      " echo ref >.git/HEAD && echo 1 >node_modules/x/y &&"
	      " echo 1 >\"$(printf 'n\\n\\377')\"");
	struct vfs_oid c = must_import(&k, "DIR/w");
	EQ(mode_of(&k, &c, "a/b"), 040711);
	EQ(mode_of(&k, &c, "a/b/c"), 0100600);
	EQ(mode_of(&k, &c, "a/l"), 0120000);
	EQ(mode_of(&k, &c, "empty"), 040755);
	EQ(mode_of(&k, &c, ".git/HEAD"), 0100644);
	EQ(mode_of(&k, &c, ".hib-x"), 0100644);
	EQ(mode_of(&k, &c, "node_modules/x/y"), 0100644);
	EQ(mode_of(&k, &c, "n\n\377"), 0100644);
	FILES(&k, "rm -r empty .git .hib-x");
	same_files(&k);
	git_kit_close(&k);
}

TEST(hibignore_keeps_files_out)
{
	struct git_kit k;

	open_source(&k);
	FILES(&k,
	      "mkdir -p d/tmp x node_modules && echo 1 >d/tmp/a && echo 1 >a.o"
	      " && echo 1 >x/a.o && echo 1 >node_modules/a && echo '*.o' >.hibignore"
	      " && echo '!a.o' >x/.hibignore && echo /tmp/ >d/.hibignore");
	struct vfs_oid c = must_import(&k, "DIR/w");
	EQ(mode_of(&k, &c, "a.o"), 0);
	EQ(mode_of(&k, &c, "x/a.o"), 0100644);
	EQ(mode_of(&k, &c, "d/tmp"), 0);
	EQ(mode_of(&k, &c, "node_modules/a"), 0100644);
	EQ(mode_of(&k, &c, ".hibignore"), 0100644);
	git_kit_close(&k);
}

TEST(a_repository_shares_its_objects)
{
	struct git_kit k;

	open_source(&k);
	make_source(&k);
	EQ(sh("git -C %s/w repack -qad && git -C %s/w prune-packed", k.dir,
	      k.dir),
	   0);
	struct vfs_oid c = must_import(&k, "DIR/w#");
	EQ(mode_of(&k, &c, "g"), 0100755);
	EQ(mode_of(&k, &c, "sub"), 040755);
	EQ(mode_of(&k, &c, ".gitmodules"), 0100644);
	EQ(mode_of(&k, &c, ".git"), 0);
	STR_EQ(sh_line("cd %s && stat -c %%h w/.git/objects/pack/*.pack",
		       k.dir),
	       "2");
	STR_EQ(sh_line("cat %s/w/.git/objects/pack/*.pack %s/objects/pack/*.pack"
		       " | wc -c | xargs test 4000 -gt && echo small",
		       k.dir, k.path),
	       "small");
	FILES(&k, "rm .gitmodules");
	same_files(&k);
	git_kit_close(&k);
}

TEST(a_revision_may_be_named)
{
	static const char *const whats[] = {
		"DIR/w#v1",	      "DIR/w#side",	 "DIR/w#main~1",
		"DIR/w/.git#v1",      "file://DIR/w#v1", "file://DIR/w#side",
		"file://DIR/w#HEAD~0"};

	for (size_t i = 0; i < ARRAY_LEN(whats); i++) {
		struct git_kit k;
		struct vfs_oid c;
		struct vfs_entry entry;
		struct err e = {0};

		open_source(&k);
		make_source(&k);
		if (i == 6) {
			EQ(import(&k, whats[i], &c, &e),
			   -FAULT_SNAPSHOT_NOT_FOUND);
			git_kit_close(&k);
			continue;
		}
		c = must_import(&k, whats[i]);
		EQ(mode_of(&k, &c, ".gitmodules"), 0);
		EQ(vfs_browse_find(k.repo, &c, "g", &entry, &e), 0);
		EQ(entry.size, 4);
		git_kit_close(&k);
	}
}

TEST(a_clone_leaves_nothing_but_the_commit)
{
	struct git_kit k;

	open_source(&k);
	make_source(&k);
	struct vfs_oid c = must_import(&k, "file://DIR/w");
	EQ(mode_of(&k, &c, ".gitmodules"), 0100644);
	STR_EQ(sh_line("git --git-dir=%s for-each-ref --format='%%(refname)' |"
		       " tr '\\n' ' '",
		       k.path),
	       "refs/heads/main ");
	git_kit_close(&k);
}

TEST(a_clone_may_be_of_an_id)
{
	struct git_kit k;
	char what[256];

	open_source(&k);
	make_source(&k);
	snprintf(what, sizeof(what), "file://DIR/w#%s",
		 sh_line("git -C %s/w rev-parse v1", k.dir));
	struct vfs_oid c = must_import(&k, what);
	EQ(mode_of(&k, &c, ".gitmodules"), 0);
	EQ(mode_of(&k, &c, "g"), 0100755);
	git_kit_close(&k);
}

TEST(a_repository_that_borrows_is_copied)
{
	struct git_kit k;

	open_source(&k);
	make_source(&k);
	EQ(sh("cd %s && git clone -qs w borrower", k.dir), 0);
	struct vfs_oid c = must_import(&k, "DIR/borrower#");
	EQ(mode_of(&k, &c, "d/f"), 0100644);
	EQ(sh("rm -rf %s/w/.git %s/borrower", k.dir, k.dir), 0);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(what_cannot_be_is_refused)
{
	static const struct {
		const char *what;
		int code;
	} table[] = {
		{"DIR/none", -FAULT_INVALID_ARGUMENT},
		{"DIR/none#main", -FAULT_INVALID_ARGUMENT},
		{"DIR/w#none", -FAULT_SNAPSHOT_NOT_FOUND},
		{"file://DIR/none", -FAULT_INVALID_ARGUMENT},
		{"file://DIR/w#none", -FAULT_SNAPSHOT_NOT_FOUND},
		{"nonsense://DIR/", -FAULT_INVALID_ARGUMENT},
		{"DIR", -FAULT_INVALID_ARGUMENT}, /* Holds the repository. */
		{"DIR/e", -FAULT_INVALID_ARGUMENT},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct git_kit k;
		struct vfs_oid c;
		struct err e = {0};

		open_source(&k);
		make_source(&k);
		EQ(sh("mkdir %s/e", k.dir), 0);
		EQ(import(&k, table[i].what, &c, &e), table[i].code);
		OK(e.msg[0] != '\0');
		if (vfs_repo_open(k.path, true, &k.repo, &e) == 0)
			EQ(vfs_repo_head(k.repo, &c, &e), -ENOENT);
		git_kit_close(&k);
	}
}

/* A tree that git would not make, but somebody might. */
TEST(names_that_lead_out_are_refused)
{
	struct git_kit k;
	struct vfs_oid c;
	struct err e = {0};

	open_source(&k);
	make_source(&k);
	FILES(&k,
	      "t=$(printf '100644 blob %s\\t..\\n' $(git hash-object -w g) |"
	      " git mktree) && git update-ref refs/heads/bad"
	      " $(git commit-tree -m x $t)");
	EQ(import(&k, "DIR/w#bad", &c, &e), -FAULT_INVALID_ARGUMENT);
	git_kit_close(&k);
}

static int stop(const struct vfs_import_progress *p, void *arg)
{
	(void)arg;
	return p->n >= 2;
}

TEST(it_can_be_cancelled)
{
	struct git_kit k;
	struct vfs_oid c;
	struct err e = {0};
	char what[128];

	open_source(&k);
	FILES(&k, "touch a b c d");
	snprintf(what, sizeof(what), "%s/w", k.dir);
	EQ(vfs_import(what, k.path, stop, NULL, &c, &e), -FAULT_CANCELLED);
	EQ(vfs_repo_open(k.path, true, &k.repo, &e), 0);
	EQ(vfs_repo_head(k.repo, &c, &e), -ENOENT);
	EQ(sh("find %s -name '*tmp*' -o -name '*.pack' | grep .", k.path), 1);
	git_kit_close(&k);
}

TEST(many_files_are_one_pack)
{
	struct git_kit k;

	open_source(&k);
	FILES(&k, "for d in 0 1 2 3 4 5 6 7 8 9; do mkdir $d && cd $d &&"
		  " seq 200 | split -l 1 -a 4 - && cd ..; done");
	must_import(&k, "DIR/w");
	STR_EQ(sh_line("ls %s/objects/pack/*.pack | wc -l", k.path), "1");
	STR_EQ(sh_line("git --git-dir=%s count-objects", k.path),
	       "0 objects, 0 kilobytes");
	same_files(&k);
	git_kit_close(&k);
}

TESTS(CASE(a_folder_becomes_a_commit), CASE(hibignore_keeps_files_out),
      CASE(a_repository_shares_its_objects), CASE(a_revision_may_be_named),
      CASE(a_clone_leaves_nothing_but_the_commit),
      CASE(a_clone_may_be_of_an_id), CASE(a_repository_that_borrows_is_copied),
      CASE(what_cannot_be_is_refused), CASE(names_that_lead_out_are_refused),
      CASE(it_can_be_cancelled), CASE(many_files_are_one_pack))
