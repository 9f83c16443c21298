// SPDX-License-Identifier: Apache-2.0
/*
 * test_browse.c - Folders, paths and contents of commits that git made
 */
#include "vfs/browse.h"

#include <sys/resource.h>

#include "core/json.h"
#include "tests/commit_kit.h"

static int list_one(const struct vfs_entry *entry, void *arg)
{
	char line[512];

	snprintf(line, sizeof(line), "%06o %llu %s\n", entry->mode,
		 (unsigned long long)entry->size, entry->name);
	jw_lit(arg, line, strlen(line));
	return 0;
}

static int append(const void *data, size_t n, void *arg)
{
	jw_lit(arg, data, n);
	return 0;
}

static int find(struct git_kit *k, const struct vfs_oid *at, const char *path,
		struct vfs_entry *out)
{
	struct err e = {0};

	return vfs_browse_find(k->repo, at, path, out, &e);
}

/* Read a range and compare it with the file in DIR. */
static void check_range(struct git_kit *k, const struct vfs_oid *oid,
			const char *file, uint64_t off, uint64_t len)
{
	autojw struct jw got = {0};
	struct err e = {0};
	char path[128], *want = malloc(len + 1);
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/w/%s", k->dir, file);
	f = fopen(path, "re");
	OK(f != NULL && want != NULL && fseek(f, (long)off, SEEK_SET) == 0);
	n = fread(want, 1, len, f);
	fclose(f);
	EQ(vfs_browse_read(k->repo, oid, off, len, append, &got, &e), 0);
	EQ(got.len, n);
	OK(n == 0 || memcmp(got.buf, want, n) == 0);
	free(want);
}

TEST(a_folder_is_listed_in_order_of_bytes)
{
	autojw struct jw got = {0};
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	FILES(&k, "mkdir a && echo 1 >a/x && echo 12 >a.c && echo >a0 &&"
		  " chmod 755 a0 && ln -s to l");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(vfs_browse_tree(k.repo, &c, list_one, &got, &e), 0);
	STR_EQ(got.buf, "040755 0 a\n100644 3 a.c\n100755 1 a0\n120000 2 l\n");
	git_kit_close(&k);
}

TEST(names_and_permissions_are_those_of_the_users)
{
	autojw struct jw got = {0};
	struct vfs_entry entry;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	FILES(&k, "mkdir .hib-x.git && echo >.hib-x.git/HEAD && echo >.hib-else"
		  " && echo >.hib-xnot && echo 1 >f &&"
		  " printf '2750 .\\n0700 .git\\n4711 f\\n' >.hib-dir");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(vfs_browse_tree(k.repo, &c, list_one, &got, &e), 0);
	STR_EQ(got.buf, "040700 0 .git\n104711 2 f\n");
	EQ(find(&k, &c, "", &entry), 0);
	EQ(entry.mode, 042750);
	EQ(find(&k, &c, "f", &entry), 0);
	EQ(entry.mode, 0104711);
	git_kit_close(&k);
}

TEST(a_path_is_walked_and_links_are_not_followed)
{
	struct vfs_entry entry;
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k, "mkdir -p a/b && echo hi >a/b/c && ln -s a l && ln -s / r");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(find(&k, &c, "", &entry), 0);
	EQ(entry.mode, 040755);
	EQ(find(&k, &c, "a//b/./c", &entry), 0);
	EQ(entry.mode, 0100644);
	EQ(entry.size, 3);
	EQ(entry.name_len, 1);
	EQ(find(&k, &c, "l", &entry), 0);
	EQ(entry.mode, 0120000);
	EQ(find(&k, &c, "l/b", &entry), -FAULT_FILE_NOT_FOUND);
	EQ(find(&k, &c, "r/etc", &entry), -FAULT_FILE_NOT_FOUND);
	EQ(find(&k, &c, "a/b/c/d", &entry), -FAULT_FILE_NOT_FOUND);
	EQ(find(&k, &c, "a/../a", &entry), -FAULT_PATH_ESCAPE);
	EQ(find(&k, &c, "no", &entry), -FAULT_FILE_NOT_FOUND);
	git_kit_close(&k);
}

TEST(what_is_not_here_is_said_so)
{
	const struct vfs_oid none = {{1, 2, 3}};
	autojw struct jw got = {0};
	struct vfs_entry entry;
	struct git_kit k;
	struct err e = {0};
	uint64_t size;

	git_kit_open(&k);
	FILES(&k, "echo >f");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(vfs_browse_tree(k.repo, &none, list_one, &got, &e),
	   -FAULT_SNAPSHOT_NOT_FOUND);
	EQ(vfs_browse_find(k.repo, &none, "f", &entry, &e),
	   -FAULT_SNAPSHOT_NOT_FOUND);
	EQ(find(&k, &c, "f", &entry), 0);
	EQ(vfs_browse_tree(k.repo, &entry.oid, list_one, &got, &e),
	   -FAULT_SNAPSHOT_NOT_FOUND);
	EQ(vfs_browse_size(k.repo, &c, &size, &e), -FAULT_FILE_NOT_FOUND);
	EQ(vfs_browse_read(k.repo, &none, 0, 1, append, &got, &e),
	   -FAULT_FILE_NOT_FOUND);
	git_kit_close(&k);
}

/* Loose first, which is streamed, then in a pack, which cannot be. */
TEST(any_range_of_a_large_file_is_read)
{
	struct vfs_entry entry, small;
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k, "head -c 5000000 /dev/urandom >f && seq 9 >g");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(find(&k, &c, "f", &entry), 0);
	EQ(find(&k, &c, "g", &small), 0);
	for (int packed = 0; packed < 2; packed++) {
		check_range(&k, &entry.oid, "f", 0, 5000000);
		check_range(&k, &entry.oid, "f", 1000, 70000);
		check_range(&k, &small.oid, "g", 0, 100);
		check_range(&k, &small.oid, "g", 3, 5);
		check_range(&k, &entry.oid, "f", 71000, 70000);
		check_range(&k, &entry.oid, "f", 10, 1);
		check_range(&k, &entry.oid, "f", 4999999, 100);
		check_range(&k, &entry.oid, "f", 5000000, 100);
		check_range(&k, &entry.oid, "f", 1u << 30, 100);
		EQ(sh("cd %s && git repack -qad", k.path), 0);
	}
	git_kit_close(&k);
}

static int count_bytes(const void *data, size_t n, void *arg)
{
	uint64_t *sum = arg;

	(void)data;
	*sum += n;
	return 0;
}

static long memory_used(void)
{
	struct rusage u;

	EQ(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_maxrss / 1024;
}

TEST(memory_holds_no_huge_file_of_a_pack)
{
	const uint64_t size = 128u << 20;
	struct vfs_entry entry;
	struct git_kit k;
	struct err e = {0};
	uint64_t n = 0;
	long before;

	git_kit_open(&k);
	FILES(&k, "yes abcdefghijklmno | head -c 134217728 >f");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(sh("cd %s && git repack -qad", k.path), 0);
	EQ(find(&k, &c, "f", &entry), 0);
	EQ(entry.size, size);
	before = memory_used();
	EQ(vfs_browse_read(k.repo, &entry.oid, 0, size, count_bytes, &n, &e),
	   0);
	EQ(n, size);
	OK(memory_used() - before < 32);
	check_range(&k, &entry.oid, "f", size - 3, 100);
	check_range(&k, &entry.oid, "f", 100000001, 70001);
	check_range(&k, &entry.oid, "f", 100100001, 70001);
	check_range(&k, &entry.oid, "f", 5, 10);
	git_kit_close(&k);
}

TEST(a_damaged_file_is_an_error)
{
	autojw struct jw got = {0};
	struct vfs_entry entry;
	struct git_kit k;
	struct err e = {0};
	char hex[VFS_OID_HEX];

	git_kit_open(&k);
	FILES(&k, "echo some text >f");
	struct vfs_oid c = commit_all(&k, "one");
	EQ(find(&k, &c, "f", &entry), 0);
	vfs_oid_format(&entry.oid, hex);
	EQ(sh("f=%s/objects/%.2s/%s && chmod 644 $f &&"
	      " dd if=/dev/zero of=$f bs=1 seek=12 count=6 conv=notrunc 2>/dev/null",
	      k.path, hex, hex + 2),
	   0);
	OK(vfs_browse_read(k.repo, &entry.oid, 0, 9, append, &got, &e) < 0);
	git_kit_close(&k);
}

/* So many folders "d" in each other. */
static struct vfs_oid nested_trees(struct vfs_repo *repo, int n)
{
	git_treebuilder *b;
	git_oid tree;

	EQ(git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0), 0);
	for (int i = 0; i <= n; i++) {
		EQ(git_treebuilder_new(&b, vfs_repo_git(repo), NULL), 0);
		if (i > 0)
			EQ(git_treebuilder_insert(NULL, b, "d", &tree,
						  GIT_FILEMODE_TREE),
			   0);
		EQ(git_treebuilder_write(&tree, b), 0);
		git_treebuilder_free(b);
	}
	return vfs_oid_of_git(&tree);
}

TEST(a_tree_as_deep_as_a_path_can_be_is_walked)
{
	char path[VFS_PATH_MAX + 2];
	struct vfs_entry entry;
	struct git_kit k;
	struct vfs_oid c;

	git_kit_open(&k);
	c = nested_trees(k.repo, 2047);
	for (size_t i = 0; i < VFS_PATH_MAX; i++)
		path[i] = i % 2 ? '/' : 'd';
	path[2 * 2047 - 1] = '\0';
	EQ(find(&k, &c, path, &entry), 0);
	strcat(path, "/d");
	EQ(find(&k, &c, path, &entry), -FAULT_FILE_NOT_FOUND);
	memset(path, 'd', VFS_PATH_MAX + 1);
	path[VFS_PATH_MAX + 1] = '\0';
	EQ(find(&k, &c, path, &entry), -FAULT_INVALID_ARGUMENT);
	git_kit_close(&k);
}

TESTS(CASE(a_folder_is_listed_in_order_of_bytes),
      CASE(names_and_permissions_are_those_of_the_users),
      CASE(a_path_is_walked_and_links_are_not_followed),
      CASE(what_is_not_here_is_said_so),
      CASE(any_range_of_a_large_file_is_read),
      CASE(memory_holds_no_huge_file_of_a_pack),
      CASE(a_damaged_file_is_an_error),
      CASE(a_tree_as_deep_as_a_path_can_be_is_walked))
