// SPDX-License-Identifier: Apache-2.0
/*
 * test_export.c - Commits as tar files and as repositories
 */
#include "vfs/export.h"

#include "tests/commit_kit.h"
#include "vfs/import.h"

static int write_file(const void *data, size_t n, void *arg)
{
	return fwrite(data, 1, n, arg) == n ? 0 : -EIO;
}

/* Write DIR/<name> and take it apart in DIR/out. */
static void export_tar(struct git_kit *k, const struct vfs_oid *c,
		       const char *name)
{
	struct err e = {0};
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	f = fopen(path, "we");
	OK(f != NULL);
	if (vfs_export_tar(k->repo, c, write_file, f, &e) < 0)
		FAIL("tar: %s", e.msg);
	EQ(fclose(f), 0);
	EQ(sh("cd %s && rm -rf out && mkdir out && tar -C out --warning=no-unknown-keyword -xpf %s",
	      k->dir, name),
	   0);
}

/* DIR/w as a commit, made by us. */
static struct vfs_oid import(struct git_kit *k)
{
	struct vfs_oid c;
	struct err e = {0};
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/w", k->dir);
	if (vfs_import(dir, k->path, NULL, NULL, &c, &e) < 0)
		FAIL("import: %s", e.msg);
	return c;
}

static void export_git(struct git_kit *k, const struct vfs_oid *c,
		       const char *name, bool bare,
		       struct vfs_export_stats *out)
{
	struct err e = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	if (vfs_export_git(k->repo, c, path, bare, out, &e) < 0)
		FAIL("git: %s", e.msg);
}

/* Names, types, permissions and contents. */
static const char listing[] =
	"find . -mindepth 1 -printf '%y %m %s %l %p\\0' | sort -z | tr '\\0' '\\n' |"
	" sed 's/^d \\([0-7]*\\) [0-9]*/d \\1/'";

TEST(a_tar_file_has_everything)
{
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k,
	      "mkdir -p a/empty .git && echo hi >a/f && chmod 4750 a/f &&"
	      " chmod 1777 a/empty && echo x >.git/HEAD && ln -s ../q a/l &&"
	      " seq 200000 >big && : >none && echo >\"$(printf 'n\\n\\377')\" &&"
	      " d=$(printf 'd%.0s' $(seq 90)) && mkdir -p $d/$d/$d &&"
	      " echo 1 >$d/$d/$d/f && ln -s $d/$d/$d/f long &&"
	      " echo 1 >\"$d$(printf '\\377')$d\"");
	struct vfs_oid c = import(&k);
	export_tar(&k, &c, "a.tar");
	EQ(sh("cd %s && diff -r --no-dereference w out >&2 && (cd w; %s) >want"
	      " && (cd out; %s) >got && diff -a want got >&2",
	      k.dir, listing, listing),
	   0);
	export_tar(&k, &c, "b.tar");
	EQ(sh("cd %s && cmp a.tar b.tar", k.dir), 0);
	EQ(sh("cd %s && python3 -c 'import tarfile; t = tarfile.open(\"a.tar\");"
	      " assert len(t.getmembers()) == 15, len(t.getmembers())'",
	      k.dir),
	   0);
	git_kit_close(&k);
}

TEST(an_empty_commit_is_an_empty_tar_file)
{
	struct git_kit k;

	git_kit_open(&k);
	struct vfs_oid c = commit_all(&k, "none");
	export_tar(&k, &c, "a.tar");
	STR_EQ(sh_line("cd %s && tar -tf a.tar | wc -l", k.dir), "0");
	STR_EQ(sh_line("cd %s && stat -c %%s a.tar", k.dir), "1024");
	git_kit_close(&k);
}

static int stop(const void *data, size_t n, void *arg)
{
	(void)data;
	(void)n;
	(void)arg;
	return -EPIPE;
}

TEST(a_reader_that_goes_ends_it)
{
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	FILES(&k, "echo 1 >f");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(vfs_export_tar(k.repo, &c, stop, NULL, &e), -EPIPE);
	git_kit_close(&k);
}

TEST(a_repository_has_all_commits_with_real_names)
{
	struct vfs_export_stats stats;
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k,
	      "mkdir -p d .hib-x.git && echo 1 >d/f && echo 1 >.hib-x.git/x"
	      " && echo m >.hib-x.gitmodules && echo h >.hib-x.hib-me &&"
	      " printf '0600 f\\n' >d/.hib-dir && mkdir e && : >e/.hib-dir");
	commit_all(&k, "one\n\nReason: import");
	FILES(&k, "echo 2 >d/f && chmod 755 d/f && ln -s d/f l");
	struct vfs_oid two = commit_all(&k, "two\n\nReason: turn");
	FILES(&k, "echo 3 >d/f");
	commit_all(&k, "three");
	export_git(&k, &two, "g", false, &stats);
	EQ(stats.n_commits, 2);
	EQ(stats.n_skipped, 2);
	git_kit_close(&k);
}

TEST(plain_git_reads_it)
{
	struct vfs_export_stats stats;
	struct git_kit k;
	char path[128];

	git_kit_open(&k);
	FILES(&k, "mkdir d && echo 1 >d/f && echo m >.hib-x.gitattributes");
	commit_all(&k, "one\n\nReason: import");
	FILES(&k, "echo 2 >d/f && chmod 755 d/f && ln -s d/f l");
	struct vfs_oid two = commit_all(&k, "two\n\nReason: turn");
	for (int bare = 0; bare < 2; bare++) {
		const char *name = bare ? "b.git" : "g";

		export_git(&k, &two, name, bare, &stats);
		EQ(stats.n_skipped, 0);
		snprintf(path, sizeof(path), "%s/%s", k.dir, name);
		EQ(sh("cd %s && git fsck --strict --no-dangling 2>&1 |"
		      " grep -v '^notice\\|gitattributes' >&2",
		      path),
		   1);
		STR_EQ(sh_line("git -C %s log --format=%%s | tr '\\n' ' '",
			       path),
		       "two one ");
		STR_EQ(sh_line("git -C %s ls-tree -r --name-only main |"
			       " tr '\\n' ' '",
			       path),
		       ".gitattributes d/f l ");
		STR_EQ(sh_line("git -C %s log -1 --format=%%an,%%b", path),
		       "a,Reason: turn");
		STR_EQ(sh_line("git -C %s count-objects | cut -d' ' -f1", path),
		       "0");
		/* It stands alone. */
		EQ(sh("test -e %s/.git/objects/info/alternates", path), 1);
	}
	EQ(sh("cd %s/g && test -z \"$(git status --porcelain)\" && test -x d/f"
	      " && test \"$(readlink l)\" = d/f && test \"$(cat d/f)\" = 2",
	      k.dir),
	   0);
	git_kit_close(&k);
}

TEST(a_folder_that_is_used_is_left_alone)
{
	struct vfs_export_stats stats;
	struct git_kit k;
	struct err e = {0};
	char path[128];

	git_kit_open(&k);
	FILES(&k, "echo 1 >f");
	struct vfs_oid c = commit_all(&k, "one");
	snprintf(path, sizeof(path), "%s/w", k.dir);
	EQ(vfs_export_git(k.repo, &c, path, false, &stats, &e),
	   -FAULT_ALREADY_EXISTS);
	snprintf(path, sizeof(path), "%s/w/f", k.dir);
	EQ(vfs_export_git(k.repo, &c, path, false, &stats, &e),
	   -FAULT_ALREADY_EXISTS);
	EQ(sh("mkdir %s/empty", k.dir), 0);
	export_git(&k, &c, "empty", false, &stats);
	git_kit_close(&k);
}

TESTS(CASE(a_tar_file_has_everything),
      CASE(an_empty_commit_is_an_empty_tar_file),
      CASE(a_reader_that_goes_ends_it),
      CASE(a_repository_has_all_commits_with_real_names),
      CASE(plain_git_reads_it), CASE(a_folder_that_is_used_is_left_alone))
