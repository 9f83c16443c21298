// SPDX-License-Identifier: Apache-2.0
/*
 * test_ignore.c - What is left out of a commit, with git as the reference
 *
 * Random rules are written into many folders, each with the same files below,
 * and `git check-ignore --no-index` is asked about all of them at once.
 */
#include "vfs/ignore.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>

#include "tests/tap.h"

#define N_FOLDERS 400
#define RULES_MAX 5
#define RULE_MAX  40

extern char **environ;

/* Paths in every folder, each behind the folder it is in; / ends a folder. */
static const char *const paths[] = {
	"a",	   "b",	      "ab",	  "abc",     "a.c",	  "b.o",
	"A",	   "-",	      "]",	  "a b",     "a\\",	  "!a",
	"#a",	   "x*y",     "\xc3\xa9", "foo",     "foobar",	  "d/",
	"d/a",	   "d/b",     "d/abc",	  "d/foo",   "d/e/",	  "d/e/a",
	"d/e/b.o", "d/e/foo", "d/e/f/",	  "d/e/f/a", "d/e/f/abc", "d/e/f/ab",
	"foo2/",   "foo2/a",  "foo2/bar", "foo2/d/", "foo2/d/a",  "foo2/d/bar",
};

static struct vfs_ignore *new_ignore(void)
{
	struct vfs_ignore *ig = NULL;

	EQ(vfs_ignore_new(&ig), 0);
	return ig;
}

/* With every folder above, as a walk would. */
static bool ignored(const struct vfs_ignore *ig, const char *path)
{
	char part[256];

	for (const char *slash = strchr(path, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (vfs_ignore_ask(ig, part, true) == VFS_IGNORE_SKIP)
			return true;
		if (slash[1] == '\0')
			return false;
	}
	return vfs_ignore_ask(ig, path, false) == VFS_IGNORE_SKIP;
}

static void check_one(const char *rules, const char *path, bool want)
{
	struct vfs_ignore *ig = new_ignore();

	EQ(vfs_ignore_enter(ig, "", rules, strlen(rules)), 0);
	if (ignored(ig, path) != want)
		FAIL("rules '%s': %s is%s ignored", rules, path,
		     want ? " not" : "");
	vfs_ignore_free(ig);
}

TEST(the_manual_page_holds)
{
	static const struct {
		const char *rules, *path;
		bool ignored;
	} cases[] = {
		{"foo", "foo", true},	     {"foo", "d/e/foo", true},
		{"foo", "foobar", false},    {"/foo", "d/foo", false},
		{"foo/", "foo", false},	     {"foo/", "d/foo/x", true},
		{"d/e", "d/e/f", true},	     {"d/e", "x/d/e", false},
		{"**/d/e", "x/d/e", true},   {"d/**", "d", false},
		{"d/**", "d/x/y", true},     {"d/**/y", "d/y", true},
		{"d/**/y", "d/a/b/y", true}, {"d/*/y", "d/a/b/y", false},
		{"*.o", "d/x.o", true},	     {"*.o\n!x.o", "d/x.o", false},
		{"d/\n!d/x", "d/x", true},   {"d/*\n!d/x", "d/x", false},
		{"\\!x", "!x", true},	     {"\\#x", "#x", true},
		{"#x", "#x", false},	     {"x  ", "x", true},
		{"x\\ ", "x ", true},	     {"x\r\n", "x", true},
		{"[a-c]x", "bx", true},	     {"[!a-c]x", "bx", false},
		{"[[:digit:]]", "7", true},  {"x\\", "x\\", false},
		{"[ab", "[ab", false},	     {"", "x", false},
		{"/", "x", false},	     {"\xef\xbb\xbfx", "x", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_one(cases[i].rules, cases[i].path, cases[i].ignored);
}

TEST(what_can_be_made_again_is_ignored_until_it_is_taken_back)
{
	check_one("", "web/node_modules/x/index.js", true);
	check_one("", "node_modules", false);
	check_one("", "src/__pycache__/x.pyc", true);
	check_one("", "target/debug/x", false);
	check_one("!node_modules/", "web/node_modules/x/index.js", false);
	check_one("!node_modules/\nnode_modules/x/", "node_modules/x/y", true);
}

TEST(rules_of_a_folder_end_with_it)
{
	struct vfs_ignore *ig = new_ignore();

	EQ(vfs_ignore_enter(ig, "", "*.o", 3), 0);
	EQ(vfs_ignore_enter(ig, "d", "!x.o\n/y", 7), 0);
	EQ(vfs_ignore_ask(ig, "d/x.o", false), VFS_IGNORE_KEEP);
	EQ(vfs_ignore_ask(ig, "d/y", false), VFS_IGNORE_SKIP);
	EQ(vfs_ignore_enter(ig, "d/e", NULL, 0), 0);
	EQ(vfs_ignore_ask(ig, "d/e/x.o", false), VFS_IGNORE_KEEP);
	EQ(vfs_ignore_ask(ig, "d/e/y", false), VFS_IGNORE_UNSAID);
	EQ(vfs_ignore_enter(ig, "dd", NULL, 0), 0);
	EQ(vfs_ignore_ask(ig, "dd/x.o", false), VFS_IGNORE_SKIP);
	vfs_ignore_free(ig);
}

TEST(no_pattern_takes_long)
{
	char rules[4096] = "", path[4096] = "";

	for (int i = 0; i < 300; i++)
		strcat(rules, "a*");
	strcat(rules, "b");
	memset(path, 'a', 255);
	check_one(rules, path, false);
	rules[0] = path[0] = '\0';
	for (int i = 0; i < 300; i++) {
		strcat(rules, "**/a/");
		strcat(path, i ? "/a" : "a");
	}
	strcat(rules, "b");
	check_one(rules, path, false);
}

TEST(a_nul_ends_its_line_only)
{
	static const char rules[] = "a\0b\nc\n";
	struct vfs_ignore *ig = new_ignore();

	EQ(vfs_ignore_enter(ig, "", rules, sizeof(rules) - 1), 0);
	EQ(vfs_ignore_ask(ig, "a", false), VFS_IGNORE_SKIP);
	EQ(vfs_ignore_ask(ig, "b", false), VFS_IGNORE_UNSAID);
	EQ(vfs_ignore_ask(ig, "c", false), VFS_IGNORE_SKIP);
	vfs_ignore_free(ig);
}

TEST(too_many_rules_have_no_effect)
{
	struct vfs_ignore *ig = new_ignore();
	char *text = calloc(VFS_IGNORE_BYTES_MAX, 3);

	for (size_t i = 0; i < VFS_IGNORE_BYTES_MAX; i++)
		memcpy(text + 2 * i, "x\n", 2);
	memcpy(text + VFS_IGNORE_BYTES_MAX + 100, "y\n", 2);
	EQ(vfs_ignore_enter(ig, "", text, 2 * VFS_IGNORE_BYTES_MAX), 0);
	EQ(vfs_ignore_ask(ig, "x", false), VFS_IGNORE_SKIP);
	EQ(vfs_ignore_ask(ig, "y", false), VFS_IGNORE_UNSAID);
	free(text);
	vfs_ignore_free(ig);
}

/*
 * Against git.
 */

static unsigned pick(unsigned n)
{
	return (unsigned)random() % n;
}

static void random_rule(char *out)
{
	static const char *const pieces[] = {
		"a",
		"b",
		"c",
		"d",
		"e",
		"f",
		"foo",
		"bar",
		"/",
		"/",
		"/",
		"*",
		"*",
		"*",
		"**",
		"**/",
		"/**",
		"/**/",
		"?",
		"?",
		"[ab]",
		"[!a]",
		"[^b]",
		"[a-c]",
		"[]-]",
		"[a-",
		"[[:alpha:]]",
		"[[:alnum:]_]",
		"[[:x:]]",
		"[\\]a]",
		"\\",
		"\\a",
		"\\*",
		" ",
		"\\ ",
		".",
		".o",
		"-",
		"!",
		"#",
		"\r",
		"\xc3\xa9",
		"foo2/",
		"d/e",
		"***",
		"[a/b]",
		"**\\/",
		"A",
		"[[:a]",
		"[c-a]",
		"[--a]",
		"[!]a]",
		"[[:upper:]a-c]",
	};
	unsigned n = 1 + pick(5);

	out[0] = '\0';
	if (pick(6) == 0)
		strcat(out, "!");
	if (pick(6) == 0)
		strcat(out, "/");
	while (n-- > 0) {
		const char *piece = pieces[pick(ARRAY_LEN(pieces))];

		if (strlen(out) + strlen(piece) + 2 < RULE_MAX)
			strcat(out, piece);
	}
	if (pick(6) == 0)
		strcat(out, "/");
	strcat(out, "\n");
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	OK(f != NULL);
	OK(fputs(text, f) >= 0);
	EQ(fclose(f), 0);
}

/* What is not there is a file to git. */
static void make_folder(const char *name, const char *rules)
{
	char path[256];

	EQ(mkdir(name, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		snprintf(path, sizeof(path), "%s/%s", name, paths[i]);
		if (path[strlen(path) - 1] == '/')
			EQ(mkdir(path, 0755), 0);
	}
	snprintf(path, sizeof(path), "%s/.gitignore", name);
	write_file(path, rules);
}

static void run(const char *const argv[], const char *in, const char *out)
{
	posix_spawn_file_actions_t files;
	int status;
	pid_t pid;

	EQ(posix_spawn_file_actions_init(&files), 0);
	EQ(posix_spawn_file_actions_addopen(&files, 0, in, O_RDONLY, 0), 0);
	EQ(posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT,
					    0600),
	   0);
	if (posix_spawnp(&pid, argv[0], &files, NULL,
			 (char *const *)(uintptr_t)argv, environ) != 0)
		SKIP("no git");
	EQ(waitpid(pid, &status, 0), pid);
	OK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
	posix_spawn_file_actions_destroy(&files);
}

/* A folder without other rules than those of the test. */
static void enter_repository(char *dir)
{
	static const char *const init[] = {"git", "init", "-q", NULL};

	OK(mkdtemp(dir) != NULL);
	EQ(chdir(dir), 0);
	setenv("HOME", dir, 1);
	setenv("XDG_CONFIG_HOME", dir, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	run(init, "/dev/null", "/dev/null");
}

static void ask_git(char *answers, size_t cap, size_t *len)
{
	static const char *const ask[] = {"git", "check-ignore", "--no-index",
					  "-z",	 "--stdin",	 NULL};
	FILE *f;

	run(ask, "questions", "answers");
	f = fopen("answers", "r");
	OK(f != NULL);
	*len = fread(answers, 1, cap, f);
	OK(*len < cap);
	fclose(f);
}

static bool git_ignores(const char *answers, size_t len, const char *path)
{
	for (size_t i = 0; i < len; i += strlen(answers + i) + 1)
		if (strcmp(answers + i, path) == 0)
			return true;
	return false;
}

/* One folder's part of the answers: they come in the order of the questions. */
static size_t compare(const char *folder, const char *rules,
		      const char *answers, size_t len)
{
	struct vfs_ignore *ig = new_ignore();
	size_t n = 0;
	char path[256];

	while (n < len && strncmp(answers + n, folder, 5) == 0)
		n += strlen(answers + n) + 1;
	EQ(vfs_ignore_enter(ig, folder, rules, strlen(rules)), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		bool want;

		snprintf(path, sizeof(path), "%s/%s", folder, paths[i]);
		if (path[strlen(path) - 1] == '/')
			path[strlen(path) - 1] = '\0';
		want = git_ignores(answers, n, path);
		if (paths[i][strlen(paths[i]) - 1] == '/')
			strcat(path, "/");
		if (ignored(ig, path) != want)
			FAIL("%s is%s ignored by git; rules:\n%s", path,
			     want ? "" : " not", rules);
	}
	vfs_ignore_free(ig);
	return n;
}

static void random_rules_mean_what_git_means(unsigned seed)
{
	static char rules[N_FOLDERS][RULES_MAX * RULE_MAX + 1];
	static char answers[1 << 20];
	char dir[] = "/tmp/test_ignore.XXXXXX", name[16];
	const char *const rm[] = {"rm", "-rf", dir, NULL};
	FILE *questions;
	size_t len, at = 0;

	srandom(seed);
	enter_repository(dir);
	questions = fopen("questions", "w");
	OK(questions != NULL);
	for (int i = 0; i < N_FOLDERS; i++) {
		for (unsigned n = 1 + pick(RULES_MAX); n > 0; n--)
			random_rule(rules[i] + strlen(rules[i]));
		snprintf(name, sizeof(name), "t%04d", i);
		make_folder(name, rules[i]);
		for (size_t k = 0; k < ARRAY_LEN(paths); k++) {
			size_t n = strlen(paths[k]);

			n -= paths[k][n - 1] == '/';
			fprintf(questions, "%s/%.*s%c", name, (int)n, paths[k],
				'\0');
		}
	}
	EQ(fclose(questions), 0);
	ask_git(answers, sizeof(answers), &len);
	for (int i = 0; i < N_FOLDERS; i++) {
		snprintf(name, sizeof(name), "t%04d", i);
		at += compare(name, rules[i], answers + at, len - at);
	}
	EQ(at, len);
	OK(at > 0);
	EQ(chdir("/"), 0);
	run(rm, "/dev/null", "/dev/null");
}

TEST(random_rules_mean_what_git_means_1)
{
	random_rules_mean_what_git_means(1);
}

TEST(random_rules_mean_what_git_means_2)
{
	random_rules_mean_what_git_means(2);
}

TEST(random_rules_mean_what_git_means_3)
{
	random_rules_mean_what_git_means((unsigned)getpid());
}

TESTS(CASE(the_manual_page_holds),
      CASE(what_can_be_made_again_is_ignored_until_it_is_taken_back),
      CASE(rules_of_a_folder_end_with_it), CASE(no_pattern_takes_long),
      CASE(a_nul_ends_its_line_only), CASE(too_many_rules_have_no_effect),
      CASE(random_rules_mean_what_git_means_1),
      CASE(random_rules_mean_what_git_means_2),
      CASE(random_rules_mean_what_git_means_3))
