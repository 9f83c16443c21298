// SPDX-License-Identifier: Apache-2.0
/*
 * test_place.c - Files that are in an agent's home when it starts
 */
#include "guest/place.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "guest/limits.h"
#include "tests/tap.h"

static char home[64];
static struct err err;

static void setup(void)
{
	snprintf(home, sizeof(home), "/tmp/test_place.XXXXXX");
	OK(mkdtemp(home) != NULL);
}

static void teardown(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	EQ(system(command), 0);
}

static const char *in_home(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", home, name);
	return path;
}

static void content_is(const char *name, const char *want)
{
	char got[256] = "";
	FILE *f = fopen(in_home(name), "re");

	OK(f != NULL);
	OK(fread(got, 1, sizeof(got) - 1, f) < sizeof(got));
	fclose(f);
	STR_EQ(got, want);
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_home(name), "we");

	OK(f != NULL);
	OK(fputs(text, f) >= 0);
	EQ(fclose(f), 0);
}

static int read_list(const char *text, struct place *out)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), &err), 0);
	return place_read(json_root(&j), out, &err);
}

/* Read, through the bytes of a spec, write.  Return: 0 or -errno. */
static int place(const char *text)
{
	struct place p, q;
	const char *failed = NULL;
	char *bytes, *at;
	size_t n;
	int r;

	EQ(read_list(text, &p), 0);
	n = place_size(&p);
	bytes = malloc(n + 1);
	OK(bytes != NULL);
	OK(place_put(bytes, &p) == bytes + n);
	at = bytes;
	EQ(place_take(&at, bytes + n, p.n, &q), 0);
	OK(at == bytes + n);
	r = place_write(&q, home, &failed) < 0 ? -errno : 0;
	free(q.file);
	free(bytes);
	place_done(&p);
	return r;
}

static void leaves_no_other_file(const char *folder, unsigned want)
{
	DIR *d = opendir(in_home(folder));
	unsigned n = 0;

	OK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	EQ(n, want + 2);
}

#define FILE_OF(path, more) "{\"path\":\"" PLACE_HOME "/" path "\"," more "}"

/* --- cases -------------------------------------------------------------- */

TEST(a_file_and_its_folders_are_made)
{
	struct stat st;

	setup();
	EQ(place("[" FILE_OF(".a/b/c", "\"content\":\"x\\ny\"") "]"), 0);
	content_is(".a/b/c", "x\ny");
	EQ(stat(in_home(".a/b/c"), &st), 0);
	EQ(st.st_mode & 07777, 0644);
	leaves_no_other_file(".a/b", 1);
	teardown();
}

TEST(the_mode_is_as_said)
{
	struct stat st;

	setup();
	EQ(place("[" FILE_OF("k", "\"content\":\"\",\"mode\":\"0600\"") "]"),
	   0);
	EQ(stat(in_home("k"), &st), 0);
	EQ(st.st_mode & 07777, 0600);
	EQ(st.st_size, 0);
	teardown();
}

TEST(what_is_there_stays)
{
	setup();
	put("c", "mine");
	EQ(place("[" FILE_OF("c", "\"content\":\"theirs\"") "]"), 0);
	content_is("c", "mine");
	EQ(place("[" FILE_OF("c",
			     "\"content\":\"theirs\",\"replace\":true") "]"),
	   0);
	content_is("c", "theirs");
	leaves_no_other_file(".", 1);
	teardown();
}

TEST(a_link_that_dangles_is_something_there)
{
	char target[128];

	setup();
	EQ(symlink("nowhere", in_home("c")), 0);
	EQ(place("[" FILE_OF("c", "\"content\":\"x\"") "]"), 0);
	OK(readlink(in_home("c"), target, sizeof(target)) > 0);
	OK(access(in_home("nowhere"), F_OK) < 0);
	teardown();
}

TEST(a_link_is_replaced_and_not_followed)
{
	setup();
	put("target", "old");
	EQ(symlink("target", in_home("c")), 0);
	EQ(place("[" FILE_OF("c", "\"content\":\"new\",\"replace\":true") "]"),
	   0);
	content_is("target", "old");
	content_is("c", "new");
	teardown();
}

TEST(no_folder_on_the_way_is_a_link)
{
	setup();
	EQ(symlink("/tmp", in_home("out")), 0);
	EQ(mkdir(in_home("in"), 0755), 0);
	EQ(symlink("in", in_home("near")), 0);
	EQ(place("[" FILE_OF("out/c", "\"content\":\"x\"") "]"), -ELOOP);
	EQ(place("[" FILE_OF("near/c", "\"content\":\"x\"") "]"), -ELOOP);
	leaves_no_other_file("in", 0);
	teardown();
}

TEST(no_path_leads_out)
{
	setup();
	EQ(place("[" FILE_OF("../c", "\"content\":\"x\"") "]"), -EXDEV);
	EQ(place("[" FILE_OF("a/../../c", "\"content\":\"x\"") "]"), -EXDEV);
	teardown();
}

TEST(a_file_is_no_folder)
{
	setup();
	put("a", "");
	EQ(place("[" FILE_OF("a/b", "\"content\":\"x\"") "]"), -ENOTDIR);
	teardown();
}

TEST(any_bytes_are_content)
{
	char got[8] = "";
	int fd;

	setup();
	EQ(place("[" FILE_OF("n", "\"content\":\"a\\u0000b\"") "," FILE_OF(
		   "m", "\"content\":\"m\"") "]"),
	   0);
	fd = open(in_home("n"), O_RDONLY | O_CLOEXEC);
	EQ(read(fd, got, sizeof(got)), 3);
	EQ(memcmp(got, "a\0b", 3), 0);
	close(fd);
	content_is("m", "m");
	teardown();
}

TEST(none_is_nothing_to_do)
{
	struct place p;

	EQ(read_list("null", &p), 0);
	EQ(p.n, 0);
	EQ(read_list("[]", &p), 0);
	EQ(place_size(&p), 0);
	home[0] = '\0';
	EQ(place("[]"), 0);
}

static void refuses(const char *text)
{
	struct place p;

	EQ(read_list(text, &p), -FAULT_INVALID_ARGUMENT);
	EQ(p.n, 0);
}

TEST(what_is_wrong_is_refused)
{
	refuses("{\"path\":\"x\"}");
	refuses("[7]");
	refuses("[{\"path\":\"/etc/x\",\"content\":\"\"}]");
	refuses("[{\"path\":\"" PLACE_HOME "/\",\"content\":\"\"}]");
	refuses("[" FILE_OF("a\\u0000b", "\"content\":\"\"") "]");
	refuses("[" FILE_OF("a", "\"content\":7") "]");
	refuses("[" FILE_OF("a", "\"mode\":\"0644\"") "]");
	refuses("[" FILE_OF("a", "\"content\":\"\",\"mode\":\"7777\"") "]");
	refuses("[" FILE_OF("a", "\"content\":\"\",\"mode\":\"rw\"") "]");
	refuses("[" FILE_OF("a", "\"content\":\"\"") ",7]");
}

TEST(there_may_not_be_too_many)
{
	autojw struct jw w = {0};

	jw_arr(&w);
	for (int i = 0; i <= PLACE_FILES_MAX; i++)
		jw_raw(&w, FILE_OF("a", "\"content\":\"\""),
		       strlen(FILE_OF("a", "\"content\":\"\"")));
	jw_arr_end(&w);
	refuses(w.buf);
}

TEST(bytes_that_end_too_early_are_refused)
{
	struct place p, q;
	char bytes[512], *at;
	size_t n;

	EQ(read_list("[" FILE_OF("a", "\"content\":\"xyz\"") "]", &p), 0);
	n = place_size(&p);
	OK(n < sizeof(bytes));
	place_put(bytes, &p);
	for (size_t cut = 0; cut < n; cut++) {
		at = bytes;
		EQ(place_take(&at, bytes + cut, 1, &q), -1);
	}
	place_done(&p);
}

TESTS(CASE(a_file_and_its_folders_are_made), CASE(the_mode_is_as_said),
      CASE(what_is_there_stays), CASE(a_link_that_dangles_is_something_there),
      CASE(a_link_is_replaced_and_not_followed),
      CASE(no_folder_on_the_way_is_a_link), CASE(no_path_leads_out),
      CASE(a_file_is_no_folder), CASE(any_bytes_are_content),
      CASE(none_is_nothing_to_do), CASE(what_is_wrong_is_refused),
      CASE(there_may_not_be_too_many),
      CASE(bytes_that_end_too_early_are_refused))
