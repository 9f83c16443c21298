// SPDX-License-Identifier: Apache-2.0
/*
 * test_name.c - Names of files as git can hold them
 *
 * The real git is the judge: a tree with the stored form of every name that we
 * can think of must pass `git fsck --strict`.
 */
#include "vfs/name.h"

#include "tests/tap.h"

static const char *const evil[] = {
	".git",
	".GIT",
	".Git",
	"git~1",
	"GIT~1",
	".git ",
	".git.",
	".git. . .",
	".git::$INDEX_ALLOCATION",
	".git :x",
	"git~1 .",
	"git~1::$DATA",
	".g\u200cit",
	"\u200c.git",
	".git\u200f",
	".G\u202aI\u206fT\ufeff",
	".git\xff",
	".git\xe2\x80",
	".git\\x",
	".git\\",
	"a\\.git",
	"a\\.git\\b",
	"\\git~1",
	"a\\\\.GIT ",
	".gitmodules",
	".GITModules",
	".gitmodules ",
	".gitmodules .:s",
	".gitm\u200dodules",
	"gitmod~1",
	"GITMOD~4 .",
	"gitmod~5",
	"gi7eba~1",
	"GI7EBA~9",
	"gi7eb~10",
	"gi7~1234",
	"g~123456",
	"~1234567",
	"a\\gi7eba~1",
	"a\\.gitmodules",
	".gitattributes",
	".GitAttributes. ",
	"gitatt~1",
	"gi7d29~1",
	"gi7d~123",
	".hib-",
	".hib-dir",
	".hib-x",
	".hib-x.git",
	".hib-x.hib-x.git",
	".hib-xx\\x",
	".hib-\\",
};

static const char *const harmless[] = {
	"a",	      ".gitignore",  ".mailmap",     ".gitkeep",
	".git-blame", ".github",     ".gitx",	     "git",
	"git~",	      "git~2",	     ".gitmodulesx", "gi7eba~",
	"gi7eba~0",   ".hib",	     ".Hib-x",	     "...",
	". ",	      " ",	     "\\",	     "\\x",
	"a\\xb",      "\n",	     "\t\"",	     "\xff\xfe",
	"\xc0\xaf",   "caf\xc3\xa9", "con",	     "a:b",
	"-rf",	      "~1",	     "~12345678",
};

static void round_trip(const char *name, size_t n, char stored[VFS_STORED_MAX])
{
	char back[VFS_NAME_MAX + 1];

	EQ(vfs_name_store(name, n, stored), 0);
	EQ(vfs_name_load(stored, back), 0);
	EQ(strlen(back), n);
	OK(memcmp(back, name, n) == 0);
}

TEST(evil_names_are_escaped_and_come_back)
{
	char stored[VFS_STORED_MAX];

	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		round_trip(evil[i], strlen(evil[i]), stored);
		if (strncmp(stored, ".hib-x", 6) != 0)
			FAIL("not escaped: %s", evil[i]);
	}
}

TEST(other_names_are_stored_as_they_are)
{
	char stored[VFS_STORED_MAX];

	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		round_trip(harmless[i], strlen(harmless[i]), stored);
		STR_EQ(stored, harmless[i]);
	}
}

TEST(long_names_fit)
{
	char name[VFS_NAME_MAX + 1], stored[VFS_STORED_MAX];

	memset(name, 'a', sizeof(name));
	round_trip(name, VFS_NAME_MAX, stored);
	EQ(vfs_name_store(name, VFS_NAME_MAX + 1, stored), -ENAMETOOLONG);
	memset(name, '\\', sizeof(name));
	memcpy(name, ".git", 4);
	round_trip(name, VFS_NAME_MAX, stored);
	memcpy(name, ".hib-", 5);
	round_trip(name, VFS_NAME_MAX, stored);
}

TEST(what_is_no_name_is_refused)
{
	char out[VFS_STORED_MAX];

	EQ(vfs_name_store("", 0, out), -EINVAL);
	EQ(vfs_name_store(".", 1, out), -EINVAL);
	EQ(vfs_name_store("..", 2, out), -EINVAL);
	EQ(vfs_name_store("a/b", 3, out), -EINVAL);
	EQ(vfs_name_store("a\0b", 3, out), -EINVAL);
}

TEST(what_store_does_not_make_is_no_file)
{
	static const char *const not_stored[] = {
		VFS_DIRMETA_NAME,
		".hib-",
		".hib-y",
		".hib-x",
		".hib-xplain",
		".hib-xa\\.git",
		".hib-x.git\\",
		".hib-x.",
		".hib-x..",
		".hib-x.git/x",
		".git",
		".gitmodules",
		"",
		".",
		"..",
	};
	char out[VFS_NAME_MAX + 1], big[VFS_STORED_MAX + 10];

	for (size_t i = 0; i < ARRAY_LEN(not_stored); i++)
		if (vfs_name_load(not_stored[i], out) != -ENOENT)
			FAIL("taken for a file: %s", not_stored[i]);
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	EQ(vfs_name_load(big, out), -ENOENT);
	memcpy(big, ".hib-x.git.", 10);
	EQ(vfs_name_load(big, out), -ENOENT);
}

/* All short strings over the bytes that matter. */
TEST(stored_names_are_never_equal_and_never_nested)
{
	static const char bytes[] = ".gGiItT~1\\ x:h-b";
	unsigned seed = 1;

	for (int i = 0; i < 300000; i++) {
		char name[12], stored[VFS_STORED_MAX];
		size_t n = 1 + (size_t)rand_r(&seed) % 9;

		for (size_t j = 0; j < n; j++)
			name[j] = bytes[(size_t)rand_r(&seed) %
					(sizeof(bytes) - 1)];
		if ((n == 1 && name[0] == '.') ||
		    (n == 2 && memcmp(name, "..", 2) == 0))
			continue;
		round_trip(name, n, stored);
	}
}

static void write_tree(FILE *f)
{
	char stored[VFS_STORED_MAX], name[VFS_NAME_MAX];
	unsigned seed = 7;

	fputs("blob\nmark :1\ndata 3\na\nb\n", f);
	fputs("commit refs/heads/main\ncommitter a <a@b> 0 +0000\n"
	      "data 0\n\n",
	      f);
	for (size_t i = 0; i < ARRAY_LEN(evil) + ARRAY_LEN(harmless); i++) {
		const char *s = i < ARRAY_LEN(evil)
					? evil[i]
					: harmless[i - ARRAY_LEN(evil)];
		EQ(vfs_name_store(s, strlen(s), stored), 0);
		fprintf(f, "M %s :1 \"", i % 2 ? "120000" : "100644");
		for (const char *p = stored; *p != '\0'; p++)
			fprintf(f, "\\%03o", (unsigned char)*p);
		fputs("\"\n", f);
	}
	for (int i = 0; i < 20000; i++) {
		static const char bytes[] = ".gGit~1\\ :emod7bauls";
		size_t n = 3 + (size_t)rand_r(&seed) % 10;

		for (size_t j = 0; j < n; j++)
			name[j] = bytes[(size_t)rand_r(&seed) %
					(sizeof(bytes) - 1)];
		if (rand_r(&seed) % 2)
			memcpy(name, rand_r(&seed) % 2 ? ".git" : "git~", 4);
		if (n < 4 || vfs_name_store(name, n, stored) < 0)
			continue;
		fputs("M 120000 :1 \"", f);
		for (const char *p = stored; *p != '\0'; p++)
			fprintf(f, "\\%03o", (unsigned char)*p);
		fputs("\"\n", f);
	}
}

TEST(git_fsck_strict_is_content)
{
	char dir[] = "/tmp/hib-name-XXXXXX", cmd[512];
	FILE *f;

	OK(mkdtemp(dir) != NULL);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && git init -q -b main --bare . &&"
		 " git config core.protectHFS false &&"
		 " git config core.protectNTFS false &&"
		 " git config fsck.gitignoreSymlink ignore &&"
		 " git config fsck.mailmapSymlink ignore &&"
		 " git fast-import --quiet",
		 dir);
	f = popen(cmd, "w");
	OK(f != NULL);
	write_tree(f);
	EQ(pclose(f), 0);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && git fsck --strict 2>&1 | sed 's/^/# /' >&2;"
		 " test -z \"$(git fsck --strict 2>&1)\"",
		 dir);
	EQ(system(cmd), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	EQ(system(cmd), 0);
}

TESTS(CASE(evil_names_are_escaped_and_come_back),
      CASE(other_names_are_stored_as_they_are), CASE(long_names_fit),
      CASE(what_is_no_name_is_refused),
      CASE(what_store_does_not_make_is_no_file),
      CASE(stored_names_are_never_equal_and_never_nested),
      CASE(git_fsck_strict_is_content))
