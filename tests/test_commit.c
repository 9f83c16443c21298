// SPDX-License-Identifier: Apache-2.0
/*
 * test_commit.c - Commits of change sets, and what git says of them
 */
#include "vfs/commit.h"

#include <sched.h>
#include <sys/mount.h>

#include "core/id.h"
#include "tests/changes_kit.h"

/* All of a commit in a line: modes and names, sorted as git does. */
static const char *list(const struct git_kit *k)
{
	return sh_line("git -C %s ls-tree -rt main | "
		       "awk '{printf \"%%s %%s;\", $1, $4}'",
		       k->path);
}

TEST(files_links_and_folders_become_a_tree)
{
	struct vfs_commit_result res;
	struct git_kit k;

	git_kit_open(&k);
	begin();
	put("b", "two");
	put("a/x.c", "one");
	file("a/run", S_IFREG | 0755, "#!");
	file("l", S_IFLNK | 0777, "a/x.c");
	folder("empty/sub", 0755);
	put("a-b", "");
	res = commit(k.repo);
	OK(res.changed && res.has_commit && !res.has_parent);
	STR_EQ(list(&k),
	       "100644 a-b;040000 a;100755 a/run;100644 a/x.c;100644 b;"
	       "040000 empty;040000 empty/sub;100644 empty/sub/.hib-dir;"
	       "120000 l;");
	STR_EQ(sh_line("git -C %s show main:a/x.c", k.path), "one");
	STR_EQ(sh_line("git -C %s show main:l", k.path), "a/x.c");
	git_kit_fsck(k.path);

	/* A file in it, and nothing more tells that it was empty. */
	begin();
	put("empty/sub/f", "f");
	res = commit(k.repo);
	OK(res.changed && res.has_parent);
	EQ(sh("git -C %s ls-tree -r main | grep -q hib-dir", k.path), 1);
	/* And it stays when the file goes. */
	begin();
	drop("empty/sub/f");
	OK(commit(k.repo).changed);
	STR_EQ(sh_line("git -C %s ls-tree main:empty/sub | cut -f2", k.path),
	       ".hib-dir");
	begin();
	drop("empty");
	OK(commit(k.repo).changed);
	EQ(sh("git -C %s ls-tree -r main | grep -q empty", k.path), 1);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(nothing_changed_is_no_commit)
{
	struct vfs_commit_result res, first;
	struct git_kit k;

	git_kit_open(&k);
	begin();
	drop_all();
	res = commit(k.repo);
	OK(!res.changed && !res.has_commit);
	begin();
	put("d/a", "1");
	folder("d", 0700);
	first = commit(k.repo);
	begin();
	res = commit(k.repo);
	OK(!res.changed && vfs_oid_eq(&res.commit, &first.commit));
	begin();
	put("d/a", "2");
	drop("none/at/all");
	drop("d/a/none");
	put("d/a", "1");
	res = commit(k.repo);
	OK(!res.changed && vfs_oid_eq(&res.commit, &first.commit));
	begin();
	drop_all();
	folder("d", 0700);
	put("d/a", "1");
	res = commit_on(k.repo, NULL);
	OK(!res.changed);
	STR_EQ(sh_line("git -C %s rev-list --count main", k.path), "1");
	EQ(sh("test $(ls %s/objects/pack | wc -l) = 2", k.path), 0);
	git_kit_close(&k);
}

TEST(later_commands_win)
{
	struct git_kit k;

	git_kit_open(&k);
	begin();
	put("a", "file");
	put("a/b", "below it");
	put("a/b/c", "deeper");
	put("x/y/z", "folder");
	put("x", "file");
	put("q/r", "1");
	drop("q");
	put("q/s", "2");
	folder("f", 0755);
	put("f", "file");
	put("g", "file");
	folder("g", 0750);
	(void)commit(k.repo);
	STR_EQ(list(&k),
	       "100644 .hib-dir;040000 a;040000 a/b;100644 a/b/c;100644 f;"
	       "040000 g;100644 g/.hib-dir;040000 q;100644 q/s;100644 x;");
	STR_EQ(sh_line("git -C %s show main:.hib-dir", k.path), "0750 g");
	begin();
	put("a", "file again");
	put("x/y", "folder again");
	put("lost", "1");
	drop_all();
	put("kept", "1");
	(void)commit(k.repo);
	STR_EQ(list(&k), "100644 kept;");
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(permissions_are_kept)
{
	struct git_kit k;

	git_kit_open(&k);
	begin();
	file("a\"b", S_IFREG | 0600, "1");
	file("s", S_IFREG | 04755, "1");
	file(".git", S_IFREG | 0400, "1");
	file("usual", S_IFREG | 0755, "1");
	folder("d", 01777);
	folder(".", 0700);
	(void)commit(k.repo);
	STR_EQ(sh_line("git -C %s show main:.hib-dir | tr '\\n' ';'", k.path),
	       "0700 .;0400 .git;0600 \"a\\\"b\";1777 d;4755 s;");
	STR_EQ(sh_line("git -C %s ls-tree main s | cut -c-6", k.path),
	       "100755");
	begin();
	file("s", S_IFREG | 0755, "1");
	file("a\"b", S_IFREG | 0644, "1");
	drop(".git");
	folder(".", 0755);
	put("d/x", "keeps what its folder has");
	(void)commit(k.repo);
	STR_EQ(sh_line("git -C %s show main:.hib-dir | tr '\\n' ';'", k.path),
	       "1777 d;");
	begin();
	drop("d");
	put("d/x", "a new one");
	OK(commit(k.repo).changed);
	EQ(sh("git -C %s ls-tree -r main | grep -q hib-dir", k.path), 1);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(evil_names_are_committed_and_found_again)
{
	static const char *const evil[] = {
		".git/config", ".GIT/x",      "git~1",		".git /y",
		".hib-dir",    "a/.hib-dir",  ".gitmodules",	"a\\.git/x",
		"\xff\xfe",    ".hib-x/.git", ".gitattributes", "n\nl",
	};
	struct git_kit k;

	git_kit_open(&k);
	begin();
	for (size_t i = 0; i < ARRAY_LEN(evil); i++)
		file(evil[i], i % 2 ? S_IFLNK : S_IFREG | 0644,
		     "[submodule \"../x\"]\n\turl = -u\n\tpath = a\n");
	file(".gitignore", S_IFLNK, "x");
	file("sub/.mailmap", S_IFLNK, "x");
	(void)commit(k.repo);
	git_kit_fsck(k.path);
	begin();
	for (size_t i = 0; i < ARRAY_LEN(evil); i++)
		drop(evil[i]);
	drop(".git");
	drop(".GIT");
	drop(".git ");
	drop("a\\.git");
	drop(".hib-x");
	drop("a");
	(void)commit(k.repo);
	STR_EQ(list(&k), "120000 .gitignore;040000 sub;120000 sub/.mailmap;");
	git_kit_close(&k);
}

TEST(commits_say_what_they_are_of)
{
	char ses[ID_MAX], trn[ID_MAX], hex[VFS_OID_HEX];
	struct vfs_commit_result res;
	struct vfs_commit_spec spec = {.session = ses, .turn = trn};
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	id_new(ses, "ses");
	id_new(trn, "trn");
	spec.reason = "turn";
	spec.n = 3;
	spec.seq = 77;
	spec.time_ms = 1700000000123;
	begin();
	put("a", "1");
	len += vfs_changes_write_done(text + len);
	EQ(try_commit(k.repo, &spec, &res, &e), 0);
	STR_EQ(sh_line("git -C %s log -1 --format='%%s|%%an|%%ae|%%ct|"
		       "%%(trailers:key=Event-Seq,valueonly,separator=)|"
		       "%%(trailers:key=Reason,valueonly,separator=)'",
		       k.path),
	       "Turn 3|Hibernacle|hib@localhost|1700000000|77|turn");
	STR_EQ(sh_line("git -C %s log -1 --format="
		       "'%%(trailers:key=Session,valueonly,separator=)'",
		       k.path),
	       ses);
	vfs_oid_format(&res.commit, hex);
	STR_EQ(sh_line("git -C %s rev-parse refs/hib/%s/%s", k.path, ses, trn),
	       hex);
	id_new(trn, "trn");
	EQ(vfs_commit_mark_turn(k.repo, ses, trn, &res.commit, &e), 0);
	STR_EQ(sh_line("git -C %s rev-parse refs/hib/%s/%s", k.path, ses, trn),
	       hex);
	EQ(vfs_commit_mark_turn(k.repo, ses, ses, &res.commit, &e),
	   -FAULT_INVALID_ID);
	res.commit.b[0] ^= 1;
	EQ(vfs_commit_mark_turn(k.repo, ses, trn, &res.commit, &e),
	   -FAULT_FILE_NOT_FOUND);
	begin();
	put("a", "2");
	(void)commit(k.repo);
	STR_EQ(sh_line("git -C %s log -1 --format=%%B", k.path), "Checkpoint");
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(what_is_wrong_is_refused_and_changes_nothing)
{
	char ses[ID_MAX], trn[ID_MAX];
	const struct vfs_oid none = {{1}};
	struct vfs_commit_result res, first;
	struct vfs_commit_spec spec = {.base = &none};
	struct vfs_repo *ro;
	struct vfs_commit *c, *other;
	struct git_kit k;
	struct err e = {0};

	git_kit_open(&k);
	id_new(ses, "ses");
	id_new(trn, "trn");
	begin();
	put("a", "1");
	first = commit(k.repo);
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_STALE_EPOCH);
	spec = (struct vfs_commit_spec){.session = trn};
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_INVALID_ID);
	spec = (struct vfs_commit_spec){.session = ses, .turn = "trn_../x"};
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_INVALID_ID);
	spec = (struct vfs_commit_spec){.turn = trn};
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_INVALID_ARGUMENT);
	spec = (struct vfs_commit_spec){.reason = "a\nb"};
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_INVALID_ARGUMENT);
	spec = (struct vfs_commit_spec){.seq = -1};
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_INVALID_ARGUMENT);
	EQ(vfs_repo_open(k.path, true, &ro, &e), 0);
	spec = (struct vfs_commit_spec){.base = NULL};
	EQ(try_commit(ro, &spec, &res, &e), -FAULT_INVALID_ARGUMENT);
	vfs_repo_close(ro);

	begin();
	put("b", "2");
	put("../c", "3");
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_PATH_ESCAPE);
	begin();
	put("b", "2");
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_INVALID_ARGUMENT);
	spec.memory = 300000;
	begin();
	for (int i = 0; i < 20000; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d%d/f%d", i % 100, i);
		put(path, "");
	}
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_QUOTA_EXCEEDED);

	spec = (struct vfs_commit_spec){.base = NULL};
	EQ(vfs_commit_begin(k.repo, &spec, &c, &e), 0);
	EQ(vfs_commit_begin(k.repo, &spec, &other, &e), -FAULT_OVERLOADED);
	vfs_commit_free(c);
	EQ(sh("cd %s && test $(ls objects/pack | wc -l) = 2 &&"
	      " ! find . | grep -E 'tmp_|\\.lock$' | grep -v hib-commit",
	      k.path),
	   0);
	begin();
	res = commit(k.repo);
	OK(!res.changed && vfs_oid_eq(&res.commit, &first.commit));
	git_kit_close(&k);
}

/* More than is held in memory; the second time it is known and not kept. */
TEST(large_files_are_streamed)
{
	static char block[1u << 20];
	const uint64_t size = 150ull << 20;
	struct vfs_commit_result res;
	struct vfs_commit_spec spec = {.time_ms = 1000};
	struct vfs_commit *c;
	struct git_kit k;
	struct err e = {0};
	unsigned seed = 1;

	git_kit_open(&k);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(rand_r(&seed) % 4);
	for (int round = 0; round < 2; round++) {
		EQ(vfs_commit_begin(k.repo, &spec, &c, &e), 0);
		len = vfs_changes_write_file(text, round ? "copy" : "big",
					     S_IFREG | 0644, size);
		EQ(vfs_commit_feed(c, text, len, &e), 0);
		for (uint64_t i = 0; i < size; i += sizeof(block))
			EQ(vfs_commit_feed(c, block, sizeof(block), &e), 0);
		EQ(vfs_commit_feed(c, "\ndone\n", 6, &e), 0);
		EQ(vfs_commit_end(c, &res, &e), 0);
		OK(res.changed);
		vfs_commit_free(c);
	}
	STR_EQ(sh_line("git -C %s cat-file -s main:copy", k.path), "157286400");
	EQ(sh("cd %s && test $(git rev-parse main:copy) = $(git cat-file blob"
	      " main:copy | git hash-object --stdin)",
	      k.path),
	   0);
	EQ(sh("cd %s/objects/pack && test $(find . -size +10M | wc -l) = 1",
	      k.path),
	   0);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TEST(deepest_path_is_committed)
{
	char path[VFS_CHANGE_PATH_MAX + 1];
	struct vfs_commit_result res;
	struct git_kit k;

	git_kit_open(&k);
	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 2 ? '/' : 'a';
	path[sizeof(path) - 1] = '\0';
	begin();
	put(path, "1");
	OK(commit(k.repo).changed);
	STR_EQ(sh_line("git -C %s ls-tree -rt main | wc -l", k.path), "2048");
	path[sizeof(path) - 2] = 'b';
	begin();
	put(path, "2");
	OK(commit(k.repo).changed);
	path[1] = '\0';
	begin();
	drop(path);
	res = commit(k.repo);
	OK(res.changed);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

/* A file system of one MiB. */
static void mount_small(const char *dir)
{
	EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	EQ(mount("tmpfs", dir, "tmpfs", 0, "size=1m"), 0);
}

TEST(full_disk_is_told_and_changes_nothing)
{
	static char noise[2u << 20];
	struct vfs_commit_result res, first;
	struct vfs_commit_spec spec = {.time_ms = 1000};
	struct git_kit k;
	struct err e = {0};
	unsigned seed = 1;

	if (unshare(CLONE_NEWNS) < 0)
		SKIP("only root may mount a file system");
	git_kit_open(&k);
	vfs_repo_close(k.repo);
	mount_small(k.dir);
	EQ(vfs_repo_create(k.path, &k.repo, &e), 0);
	begin();
	put("a", "1");
	first = commit(k.repo);
	for (size_t i = 0; i < sizeof(noise) - 1; i++)
		noise[i] = (char)(1 + rand_r(&seed) % 255);
	begin();
	put("b", noise);
	len += vfs_changes_write_done(text + len);
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_DISK_FULL);
	/* Not even for a reference. */
	EQ(sh("head -c 2000000 /dev/zero >%s/fill 2>/dev/null", k.dir), 1);
	begin();
	put("c", "");
	len += vfs_changes_write_done(text + len);
	EQ(try_commit(k.repo, &spec, &res, &e), -FAULT_DISK_FULL);
	EQ(sh("rm %s/fill", k.dir), 0);
	begin();
	res = commit(k.repo);
	OK(!res.changed && vfs_oid_eq(&res.commit, &first.commit));
	begin();
	put("c", "");
	OK(commit(k.repo).changed);
	git_kit_fsck(k.path);
	vfs_repo_close(k.repo);
	EQ(umount(k.dir), 0);
	k.repo = NULL;
	git_kit_close(&k);
}

/*
 * Any way to a state gives the same tree.
 */

#define SLOTS 128

struct model {
	struct {
		char path[32];
		uint32_t mode; /* 0: free. */
		char content[8];
	} at[SLOTS];
};

static bool is_below(const char *path, const char *folder_path)
{
	size_t n = strlen(folder_path);

	return strncmp(path, folder_path, n) == 0 && path[n] == '/';
}

static int model_find(const struct model *m, const char *path)
{
	for (int i = 0; i < SLOTS; i++)
		if (m->at[i].mode != 0 && strcmp(m->at[i].path, path) == 0)
			return i;
	return -1;
}

static void model_drop(struct model *m, const char *path)
{
	for (int i = 0; i < SLOTS; i++)
		if (strcmp(m->at[i].path, path) == 0 ||
		    is_below(m->at[i].path, path))
			m->at[i].mode = 0;
}

static void model_put(struct model *m, const char *path, uint32_t mode,
		      const char *content)
{
	int i = model_find(m, path);

	for (int j = 0; i < 0 && j < SLOTS; j++)
		if (m->at[j].mode == 0)
			i = j;
	OK(i >= 0);
	strcpy(m->at[i].path, path);
	strcpy(m->at[i].content, content);
	m->at[i].mode = mode;
}

static void model_parents(struct model *m, const char *path)
{
	char up[32];

	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		int i;

		snprintf(up, sizeof(up), "%.*s", (int)(p - path), path);
		i = model_find(m, up);
		if (i < 0 || !S_ISDIR(m->at[i].mode))
			model_put(m, up, S_IFDIR | 0755, "");
	}
}

static void random_path(unsigned *seed, char out[32])
{
	static const char *const names[] = {"a", "a.", "b", ".git", "a-"};
	int depth = 1 + rand_r(seed) % 3;

	out[0] = '\0';
	for (int i = 0; i < depth; i++) {
		strcat(out, i ? "/" : "");
		strcat(out, names[(size_t)rand_r(seed) % ARRAY_LEN(names)]);
	}
}

static void random_change(struct model *m, unsigned *seed)
{
	static const uint32_t modes[] = {S_IFREG | 0644, S_IFREG | 0755,
					 S_IFREG | 0600, S_IFLNK};
	char path[32], content[8];
	int what = rand_r(seed) % 10;

	random_path(seed, path);
	snprintf(content, sizeof(content), "%d", rand_r(seed) % 5);
	if (what < 5) {
		uint32_t mode = modes[(size_t)rand_r(seed) % 4];

		file(path, mode, content);
		model_parents(m, path);
		model_drop(m, path);
		model_put(m, path, mode, content);
	} else if (what < 7) {
		uint32_t mode = S_IFDIR | (rand_r(seed) % 2 ? 0755 : 0711);
		int i = model_find(m, path);

		folder(path, mode);
		model_parents(m, path);
		if (i >= 0 && !S_ISDIR(m->at[i].mode))
			model_drop(m, path);
		model_put(m, path, mode, "");
	} else if (what < 9 || rand_r(seed) % 20) {
		drop(path);
		model_drop(m, path);
	} else {
		drop_all();
		memset(m, 0, sizeof(*m));
	}
}

/* In the order of the table, backwards or forwards. */
static void tell_all(const struct model *m, bool backwards)
{
	for (int i = 0; i < SLOTS; i++) {
		int j = backwards ? SLOTS - 1 - i : i;
		uint32_t mode = m->at[j].mode;

		if (mode == 0)
			continue;
		if (S_ISDIR(mode))
			folder(m->at[j].path, mode);
		else
			file(m->at[j].path, mode, m->at[j].content);
	}
}

TEST(any_way_to_a_state_gives_the_same_tree)
{
	struct vfs_commit_result res;
	struct model m = {0};
	struct git_kit k;
	unsigned seed = 42;
	int commits = 0;

	git_kit_open(&k);
	for (int round = 0; round < 150; round++) {
		int n = 1 + rand_r(&seed) % 12;

		begin();
		while (n-- > 0)
			random_change(&m, &seed);
		res = commit(k.repo);
		commits += res.changed;
		begin();
		drop_all();
		tell_all(&m, round % 2);
		res = commit_on(k.repo, round % 3 ? NULL : &res.commit);
		if (res.changed)
			FAIL("another tree in round %d", round);
	}
	OK(commits > 100);
	git_kit_fsck(k.path);
	git_kit_close(&k);
}

TESTS(CASE(files_links_and_folders_become_a_tree),
      CASE(nothing_changed_is_no_commit), CASE(later_commands_win),
      CASE(permissions_are_kept),
      CASE(evil_names_are_committed_and_found_again),
      CASE(commits_say_what_they_are_of),
      CASE(what_is_wrong_is_refused_and_changes_nothing),
      CASE(large_files_are_streamed), CASE(deepest_path_is_committed),
      CASE(full_disk_is_told_and_changes_nothing),
      CASE(any_way_to_a_state_gives_the_same_tree))
