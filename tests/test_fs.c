// SPDX-License-Identifier: Apache-2.0
/*
 * test_fs.c - What the host can do to the files of a workspace
 *
 * Each case has a folder with a root in it, and beside that a file that nobody
 * may reach: `secret`.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "guest/fsat.h"
#include "guest/fswalk.h"
#include "guest/fswrite.h"
#include "guest/limits.h"
#include "tests/tap.h"
#include "vfs/passing.h"

static char top[64], root_path[80];
static struct fstree tree = {.passing = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
static int root;
static struct json result;
static struct jw result_text;
static struct err err;

static void teardown(void)
{
	char command[192];

	json_done(&result);
	jw_done(&result_text);
	close(root);
	snprintf(command, sizeof(command), "chmod -R u+rwx '%s'; rm -rf '%s'",
		 top, top);
	EQ(system(command), 0);
}

static void setup(void)
{
	char secret[80];
	FILE *f;

	snprintf(top, sizeof(top), "/tmp/test_fs.XXXXXX");
	OK(mkdtemp(top) != NULL);
	snprintf(root_path, sizeof(root_path), "%s/root", top);
	snprintf(secret, sizeof(secret), "%s/secret", top);
	OK(mkdir(root_path, 0755) == 0);
	f = fopen(secret, "we");
	OK(f != NULL && fputs("secret", f) >= 0 && fclose(f) == 0);
	tree.root = root_path;
	root = fsat_root(root_path, &err);
	OK(root >= 0);
	atexit(teardown);
}

/* --- the calls ---------------------------------------------------------- */

/* Return: 0 or the fault; the result is in `result`. */
static int call(const char *name, const char *params)
{
	const struct fsop *op = fsops_find(name);
	struct fscall c = {.tree = &tree, .root = root};
	autojson struct json in = {0};
	int r;

	OK(op != NULL);
	EQ(json_parse(&in, params, strlen(params), &err), 0);
	c.in = json_root(&in);
	err = (struct err){0};
	r = op->run(&c, &err);
	if (r < 0) {
		jw_done(&c.out);
		return r;
	}
	jw_done(&result_text);
	result_text = c.out;
	if (json_parse(&result, c.out.buf, c.out.len, &err) < 0)
		FAIL("%s: %s", err.msg, c.out.buf);
	return 0;
}

static struct jv got(const char *key)
{
	return jv_path(json_root(&result), key);
}

static void got_is(const char *key, const char *want)
{
	autofree char *text = jv_strdup(got(key), NULL);

	STR_EQ(text, want);
}

static int spec_write(const struct fswrite_spec *spec, const char *text)
{
	autojw struct jw entry = {0};
	struct fswrite *w = NULL;
	int r;

	err = (struct err){0};
	r = fswrite_begin(&tree, root, spec, &w, &err);
	if (r >= 0)
		r = fswrite_feed(w, text, strlen(text), &err);
	if (r >= 0)
		r = fswrite_commit(w, &entry, &err);
	fswrite_free(w);
	return r < 0 ? r : 0;
}

static int write_file(const char *path, const char *text)
{
	const struct fswrite_spec spec = {
		.path = path, .mode = -1, .offset = -1};

	return spec_write(&spec, text);
}

static const char *host_path(const char *path)
{
	static char text[8192];

	snprintf(text, sizeof(text), "%s/%s", root_path, path);
	return text;
}

static void content_is(const char *path, const char *want)
{
	char text[256] = "";
	FILE *f = fopen(host_path(path), "re");

	OK(f != NULL);
	OK(fread(text, 1, sizeof(text) - 1, f) < sizeof(text));
	fclose(f);
	STR_EQ(text, want);
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(host_path(path), &st) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	EQ(lstat(host_path(path), &st), 0);
	return st.st_mode & 07777;
}

static void etag_of(const char *path, char out[FSENTRY_ETAG_MAX])
{
	struct stat st;

	EQ(lstat(host_path(path), &st), 0);
	fsentry_etag(out, &st);
}

static unsigned count_entries(const char *path)
{
	DIR *d = opendir(host_path(path));
	unsigned n = 0;

	OK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/* --- writing ------------------------------------------------------------ */

TEST(a_file_and_its_folders_are_made)
{
	setup();
	EQ(write_file("a/b/c", "hello"), 0);
	content_is("a/b/c", "hello");
	EQ(mode_of("a/b/c"), 0644);
	EQ(count_entries("a/b"), 1);
}

TEST(a_file_that_is_replaced_keeps_its_mode_unless_told)
{
	struct fswrite_spec spec = {.path = "run", .mode = 0640, .offset = -1};

	setup();
	EQ(write_file("run", "1"), 0);
	EQ(chmod(host_path("run"), 0755), 0);
	EQ(write_file("run", "2"), 0);
	content_is("run", "2");
	EQ(mode_of("run"), 0755);
	EQ(spec_write(&spec, "3"), 0);
	EQ(mode_of("run"), 0640);
	EQ(count_entries(""), 1);
}

TEST(nobody_sees_half_a_file)
{
	const struct fswrite_spec spec = {
		.path = "f", .mode = -1, .offset = -1};
	struct fswrite *w;

	setup();
	EQ(write_file("f", "old"), 0);
	EQ(fswrite_begin(&tree, root, &spec, &w, &err), 0);
	EQ(fswrite_feed(w, "ne", 2, &err), 0);
	content_is("f", "old");
	fswrite_free(w);
	content_is("f", "old");
	EQ(count_entries(""), 1);
}

/* Records beside the root. */
static void open_records(void)
{
	autoclose int dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);

	tree.passing = vfs_passing_open(dir, geteuid());
	OK(tree.passing >= 0);
}

TEST(a_name_in_passing_is_struck_out_in_the_end)
{
	const struct fswrite_spec over = {
		.path = "d/f", .mode = -1, .offset = -1, .over = true};

	setup();
	open_records();
	EQ(write_file("d/f", "one"), 0);
	EQ(write_file("d/f", "two"), 0);
	EQ(spec_write(&over, "three"), 0);
	EQ(call("symlink", "{\"path\":\"d/f\",\"target\":\"x\","
			   "\"over\":true}"),
	   0);
	EQ(call("symlink", "{\"path\":\"d\",\"target\":\"x\","
			   "\"over\":true}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(count_entries(""), 1);
	EQ(count_entries("d"), 1);
	OK(!vfs_passing_any(tree.passing));
}

/* What is listed, found or copied while another replaces d/f. */
TEST(a_name_in_passing_is_told_to_nobody)
{
	char name[VFS_PASSING_MAX], path[64];

	setup();
	open_records();
	EQ(write_file("d/f", "one"), 0);
	EQ(vfs_passing_take(tree.passing, "d/f", name), 0);
	snprintf(path, sizeof(path), "d/%s", name);
	EQ(write_file(path, "one"), 0);
	EQ(call("list", "{\"path\":\"d\"}"), 0);
	EQ(jv_count(got("entries")), 1);
	EQ(call("grep", "{\"pattern\":\"one\"}"), 0);
	EQ(jv_count(got("matches")), 1);
	EQ(call("copy", "{\"from\":\"d\",\"to\":\"e\","
			"\"recursive\":true}"),
	   0);
	EQ(count_entries("e"), 1);
	vfs_passing_drop(tree.passing, name);
	EQ(call("list", "{\"path\":\"d\"}"), 0);
	EQ(jv_count(got("entries")), 2);
}

TEST(an_offset_and_an_append_write_in_place)
{
	struct fswrite_spec spec = {.path = "f", .mode = -1, .offset = 2};

	setup();
	EQ(write_file("f", "abcdef"), 0);
	EQ(spec_write(&spec, "XY"), 0);
	content_is("f", "abXYef");
	spec.offset = -1;
	spec.append = true;
	EQ(spec_write(&spec, "!"), 0);
	content_is("f", "abXYef!");
	spec.path = "new/f";
	EQ(spec_write(&spec, "1"), 0);
	content_is("new/f", "1");
}

TEST(a_link_to_a_file_stays_one)
{
	setup();
	EQ(write_file("d/real", "1"), 0);
	OK(symlink("d/real", host_path("link")) == 0);
	EQ(write_file("link", "2"), 0);
	content_is("d/real", "2");
	EQ(call("stat", "{\"path\":\"link\"}"), 0);
	got_is("type", "link");
	got_is("target", "d/real");
	OK(symlink("nothing", host_path("dangling")) == 0);
	EQ(write_file("dangling", "3"), -FAULT_FILE_NOT_FOUND);
	OK(!is_there("nothing"));
}

TEST(what_is_in_the_place_is_replaced_if_told)
{
	struct fswrite_spec spec = {
		.path = "link", .mode = 0640, .offset = -1, .over = true};

	setup();
	EQ(write_file("real", "1"), 0);
	OK(symlink("real", host_path("link")) == 0);
	EQ(spec_write(&spec, "2"), 0);
	content_is("real", "1");
	content_is("link", "2");
	EQ(mode_of("link"), 0640);
	EQ(call("symlink", "{\"path\":\"link\",\"target\":\"a\"}"),
	   -FAULT_ALREADY_EXISTS);
	EQ(call("symlink", "{\"path\":\"link\",\"over\":true,"
			   "\"target_b64\":\"cmVhbA==\"}"),
	   0);
	got_is("target", "real");
	EQ(call("symlink", "{\"path\":\"link\",\"target_b64\":\"AA==\"}"),
	   -FAULT_INVALID_ARGUMENT);
	OK(mkdir(host_path("d"), 0755) == 0);
	spec.path = "d";
	EQ(spec_write(&spec, "3"), -FAULT_INVALID_ARGUMENT);
	EQ(call("symlink", "{\"path\":\"d\",\"over\":true,\"target\":\"a\"}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(count_entries(""), 3);
}

TEST(an_etag_lets_one_version_be_replaced_and_no_other)
{
	struct fswrite_spec spec = {.path = "f", .mode = -1, .offset = -1};

	setup();
	EQ(write_file("f", "1"), 0);
	etag_of("f", spec.expect.etag);
	EQ(spec_write(&spec, "2"), 0);
	EQ(spec_write(&spec, "3"), -FAULT_CAS_MISMATCH);
	OK(strstr(err.data, "\"etag\":\"") != NULL);
	content_is("f", "2");
	strcpy(spec.expect.etag, "*");
	EQ(spec_write(&spec, "4"), 0);
	spec.path = "d/none";
	EQ(spec_write(&spec, "5"), -FAULT_CAS_MISMATCH);
	spec.expect = (struct fsexpect){.nothing = true};
	EQ(spec_write(&spec, "6"), 0);
	EQ(spec_write(&spec, "7"), -FAULT_ALREADY_EXISTS);
	content_is("d/none", "6");
}

TEST(two_contents_written_at_once_have_two_etags)
{
	char tags[64][FSENTRY_ETAG_MAX];

	setup();
	for (int i = 0; i < 64; i++) {
		EQ(write_file("f", i % 2 ? "a" : "b"), 0);
		etag_of("f", tags[i]);
		for (int k = 0; k < i; k++)
			OK(strcmp(tags[i], tags[k]) != 0);
	}
}

static void *bump(void *arg)
{
	struct fswrite_spec spec = {.path = "n", .mode = -1, .offset = -1};
	int *done = arg;

	while (*done < 100) {
		struct fswrite *w = NULL;
		autojw struct jw out = {0};
		struct err e = {0};
		char text[16] = "";
		struct stat st;
		int fd = fsat_file(root, "n", O_RDONLY, &st, &e), r;

		OK(fd >= 0);
		OK(read(fd, text, sizeof(text) - 1) >= 0);
		OK(fstat(fd, &st) == 0);
		close(fd);
		fsentry_etag(spec.expect.etag, &st);
		snprintf(text, sizeof(text), "%d", atoi(text) + 1);
		r = fswrite_begin(&tree, root, &spec, &w, &e);
		if (r >= 0)
			r = fswrite_feed(w, text, strlen(text), &e);
		if (r >= 0)
			r = fswrite_commit(w, &out, &e);
		fswrite_free(w);
		OK(r >= 0 || r == -FAULT_CAS_MISMATCH);
		*done += r >= 0;
	}
	return NULL;
}

TEST(of_two_who_write_the_same_version_one_fails)
{
	pthread_t thread;
	int mine = 0, its = 0;

	setup();
	EQ(write_file("n", "0"), 0);
	EQ(pthread_create(&thread, NULL, bump, &its), 0);
	bump(&mine);
	EQ(pthread_join(thread, NULL), 0);
	content_is("n", "200");
}

/* --- what must not be reached ------------------------------------------- */

static const char *const ways_out[] = {
	"/etc",		  "/proc/self/root",  "..", "../secret", "/",
	"d/../../secret", "../root/../secret"};

TEST(no_link_leads_out)
{
	setup();
	OK(mkdir(host_path("d"), 0755) == 0);
	for (size_t i = 0; i < ARRAY_LEN(ways_out); i++) {
		OK(symlink(ways_out[i], host_path("out")) == 0);
		EQ(write_file("out/x", "1"), -FAULT_PATH_ESCAPE);
		EQ(write_file("out", "1"), -FAULT_PATH_ESCAPE);
		EQ(call("list", "{\"path\":\"out\"}"), -FAULT_PATH_ESCAPE);
		EQ(call("stat", "{\"path\":\"out/passwd\"}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("stat", "{\"path\":\"out\",\"follow\":true}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("stat", "{\"path\":\"out\"}"), 0);
		EQ(call("copy", "{\"from\":\"out/passwd\",\"to\":\"x\"}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("move", "{\"from\":\"d\",\"to\":\"out/x\"}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("mkdir", "{\"path\":\"out/x\",\"parents\":true}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("chmod", "{\"path\":\"out\",\"mode\":\"777\"}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("grep", "{\"pattern\":\"e\",\"path\":\"out\"}"),
		   -FAULT_PATH_ESCAPE);
		EQ(call("remove", "{\"path\":\"out/x\"}"), -FAULT_PATH_ESCAPE);
		EQ(call("grep", "{\"pattern\":\"secret\"}"), 0);
		EQ(jv_count(got("matches")), 0);
		/* The link itself goes, and nothing else. */
		EQ(call("remove", "{\"path\":\"out\",\"recursive\":true}"), 0);
	}
	EQ(access("/etc/passwd", R_OK), 0);
	EQ(access(host_path("../secret"), R_OK), 0);
}

TEST(dots_are_refused_everywhere)
{
	setup();
	EQ(call("list", "{\"path\":\"..\"}"), -FAULT_PATH_ESCAPE);
	EQ(call("stat", "{\"path\":\"/workspace/../x\"}"), -FAULT_PATH_ESCAPE);
	EQ(call("move", "{\"from\":\"a\",\"to\":\"../b\"}"),
	   -FAULT_PATH_ESCAPE);
	EQ(call("remove", "{\"path\":\"a/../..\",\"recursive\":true}"),
	   -FAULT_PATH_ESCAPE);
}

TEST(the_root_stays)
{
	setup();
	EQ(call("remove", "{\"path\":\"/\",\"recursive\":true}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(call("move", "{\"from\":\"/\",\"to\":\"a\"}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(call("copy", "{\"from\":\"/\",\"to\":\"a\",\"recursive\":true}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(write_file("", "x"), -FAULT_INVALID_ARGUMENT);
}

TEST(a_fifo_is_refused_and_nobody_waits)
{
	setup();
	OK(mkfifo(host_path("fifo"), 0644) == 0);
	EQ(write_file("fifo", "x"), -FAULT_INVALID_ARGUMENT);
	EQ(call("read-files", "{\"paths\":[\"fifo\"]}"), 0);
	OK(jv_has(jv_get(jv_first(got("files")), "error")));
	EQ(call("grep", "{\"pattern\":\"x\"}"), 0);
	EQ(call("copy", "{\"from\":\"fifo\",\"to\":\"b\"}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(call("stat", "{\"path\":\"fifo\"}"), 0);
	got_is("type", "other");
	EQ(call("remove", "{\"path\":\"fifo\"}"), 0);
}

/* --- names -------------------------------------------------------------- */

TEST(folders_are_made_moved_and_removed)
{
	setup();
	EQ(call("mkdir", "{\"path\":\"a/b\"}"), -FAULT_FILE_NOT_FOUND);
	EQ(call("mkdir", "{\"path\":\"a/b\",\"parents\":true,"
			 "\"mode\":\"750\"}"),
	   0);
	EQ(mode_of("a/b"), 0750);
	EQ(mode_of("a"), 0755);
	EQ(call("mkdir", "{\"path\":\"a/b\",\"parents\":true}"), 0);
	EQ(call("mkdir", "{\"path\":\"a/b\"}"), -FAULT_ALREADY_EXISTS);
	EQ(call("move", "{\"from\":\"a\",\"to\":\"c/d\"}"), 0);
	OK(is_there("c/d/b") && !is_there("a"));
	EQ(call("remove", "{\"path\":\"c\"}"), -FAULT_HAS_CHILDREN);
	OK(is_there("c/d/b"));
	EQ(call("remove", "{\"path\":\"c\",\"recursive\":true}"), 0);
	EQ(count_entries(""), 0);
	EQ(call("remove", "{\"path\":\"c\"}"), -FAULT_FILE_NOT_FOUND);
}

TEST(a_move_replaces_only_if_told)
{
	setup();
	EQ(write_file("a", "1"), 0);
	EQ(write_file("b", "2"), 0);
	EQ(call("move", "{\"from\":\"a\",\"to\":\"b\"}"),
	   -FAULT_ALREADY_EXISTS);
	EQ(call("move", "{\"from\":\"a\",\"to\":\"b\",\"overwrite\":true}"), 0);
	content_is("b", "1");
	EQ(call("move", "{\"from\":\"none\",\"to\":\"new/x\"}"),
	   -FAULT_FILE_NOT_FOUND);
	OK(!is_there("new"));
}

TEST(a_removal_may_expect_a_version)
{
	char params[128], etag[FSENTRY_ETAG_MAX];

	setup();
	EQ(write_file("f", "1"), 0);
	etag_of("f", etag);
	EQ(write_file("f", "2"), 0);
	snprintf(params, sizeof(params), "{\"path\":\"f\",\"etag\":\"%s\"}",
		 etag);
	EQ(call("remove", params), -FAULT_CAS_MISMATCH);
	OK(is_there("f"));
}

TEST(a_tree_is_copied_with_modes_and_links)
{
	setup();
	EQ(write_file("a/x/f", "1"), 0);
	EQ(chmod(host_path("a/x/f"), 0700), 0);
	EQ(chmod(host_path("a/x"), 0500), 0);
	OK(symlink("x/f", host_path("a/link")) == 0);
	EQ(call("copy", "{\"from\":\"a\",\"to\":\"b\"}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(call("copy", "{\"from\":\"a\",\"to\":\"a/c\",\"recursive\":true}"),
	   -FAULT_INVALID_ARGUMENT);
	EQ(call("copy", "{\"from\":\"a\",\"to\":\"b\",\"recursive\":true}"), 0);
	content_is("b/x/f", "1");
	content_is("b/link", "1");
	EQ(mode_of("b/x/f"), 0700);
	EQ(call("stat", "{\"path\":\"b/link\"}"), 0);
	got_is("target", "x/f");
	EQ(call("copy", "{\"from\":\"a\",\"to\":\"b\",\"recursive\":true}"),
	   -FAULT_ALREADY_EXISTS);
}

TEST(a_deep_and_a_wide_folder_go)
{
	char name[64];

	setup();
	OK(mkdir(host_path("deep"), 0755) == 0);
	OK(chdir(host_path("deep")) == 0);
	for (int i = 0; i < 1500; i++)
		OK(mkdir("dddd", 0755) == 0 && chdir("dddd") == 0);
	OK(chdir("/") == 0);
	EQ(call("remove", "{\"path\":\"deep\",\"recursive\":true}"), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "wide/%d/f", i);
		EQ(write_file(name, "x"), 0);
	}
	EQ(call("remove", "{\"path\":\"wide\",\"recursive\":true}"), 0);
	EQ(count_entries(""), 0);
}

/* No folder can be opened from here on. */
static int forbid_opening(const struct fswalk_entry *en, void *arg)
{
	struct rlimit none;

	(void)arg;
	EQ(getrlimit(RLIMIT_NOFILE, &none), 0);
	none.rlim_cur = 0;
	if (strcmp(en->path, "t/a") == 0)
		EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	return 0;
}

TEST(a_folder_that_cannot_be_read_is_not_taken_for_empty)
{
	struct fswalk_spec walk = {
		.passing = -1, .path = "", .depth = 9, .entry = forbid_opening};
	struct rlimit files;

	setup();
	EQ(write_file("t/a/b/f", "x"), 0);
	EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
	walk.root = root;
	EQ(fswalk(&walk, &err), -FAULT_OVERLOADED);
	EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* As the pool's threads run it. */
static void *on_small_stack(void *params)
{
	EQ(call("list", params), 0);
	EQ(call("grep", "{\"pattern\":\"nowhere\"}"), 0);
	EQ(call("copy",
		"{\"from\":\"deep\",\"to\":\"copy\",\"recursive\":true}"),
	   0);
	EQ(call("remove", "{\"path\":\"deep\",\"recursive\":true}"), 0);
	EQ(call("remove", "{\"path\":\"copy\",\"recursive\":true}"), 0);
	return NULL;
}

TEST(the_deepest_folder_fits_the_stack_of_a_thread)
{
	static char params[] = "{\"path\":\"/\",\"depth\":4096}";
	pthread_attr_t attr;
	pthread_t thread;

	setup();
	OK(mkdir(host_path("deep"), 0755) == 0);
	OK(chdir(host_path("deep")) == 0);
	for (int i = 0; i < 2040; i++)
		OK(mkdir("d", 0755) == 0 && chdir("d") == 0);
	OK(chdir("/") == 0);
	EQ(pthread_attr_init(&attr), 0);
	EQ(pthread_attr_setstacksize(&attr, FS_STACK), 0);
	EQ(pthread_create(&thread, &attr, on_small_stack, params), 0);
	EQ(pthread_join(thread, NULL), 0);
	EQ(pthread_attr_destroy(&attr), 0);
	EQ(count_entries(""), 0);
}

/* --- looking ------------------------------------------------------------ */

static void nth_path_is(size_t n, const char *want)
{
	struct jv v = jv_first(got("entries"));
	autofree char *path = NULL;

	while (n-- > 0)
		v = jv_next(got("entries"), v);
	path = jv_strdup(jv_get(v, "path"), NULL);
	STR_EQ(path, want);
}

TEST(a_list_is_in_order_and_goes_on_where_it_was_cut)
{
	setup();
	EQ(write_file("b/x", "1"), 0);
	EQ(write_file("b.c", "22"), 0);
	EQ(write_file("a", "333"), 0);
	EQ(write_file("b/y/z", "1"), 0);
	EQ(call("list", "{\"path\":\"/\"}"), 0);
	EQ(jv_count(got("entries")), 3);
	nth_path_is(0, "a");
	nth_path_is(1, "b");
	nth_path_is(2, "b.c");
	OK(!jv_bool(got("truncated"), true));
	EQ(call("list", "{\"path\":\"/\",\"depth\":9,\"limit\":3}"), 0);
	nth_path_is(2, "b/x");
	OK(jv_bool(got("truncated"), false));
	got_is("next", "b/x");
	EQ(call("list", "{\"path\":\"/\",\"depth\":9,\"after\":\"b/x\"}"), 0);
	EQ(jv_count(got("entries")), 3);
	nth_path_is(0, "b/y");
	nth_path_is(1, "b/y/z");
	nth_path_is(2, "b.c");
	EQ(call("list", "{\"path\":\"/\",\"depth\":2,\"after\":\"b/\"}"), 0);
	nth_path_is(0, "b/x");
	EQ(call("list", "{\"path\":\"a\"}"), -FAULT_INVALID_ARGUMENT);
	EQ(call("list", "{\"path\":\"none\"}"), -FAULT_FILE_NOT_FOUND);
	EQ(call("list", "{\"path\":\"/\",\"limit\":0}"),
	   -FAULT_INVALID_ARGUMENT);
}

TEST(a_list_of_any_folder_is_the_sum_of_its_pages)
{
	char params[600], last[300] = "";
	unsigned n = 0;

	setup();
	for (int i = 0; i < 500; i++) {
		snprintf(params, sizeof(params), "w/%d/%c", i / 7, 'a' + i % 7);
		EQ(write_file(params, "x"), 0);
	}
	for (;;) {
		snprintf(params, sizeof(params),
			 "{\"path\":\"/\",\"depth\":9,\"limit\":13%s%s%s}",
			 last[0] ? ",\"after\":\"" : "", last,
			 last[0] ? "\"" : "");
		EQ(call("list", params), 0);
		n += (unsigned)jv_count(got("entries"));
		if (!jv_bool(got("truncated"), false))
			break;
		OK(jv_strcpy(got("next"), last, sizeof(last)) > 0);
	}
	EQ(n, 1 + 72 + 500);
}

TEST(names_of_any_bytes_are_told_and_taken)
{
	setup();
	EQ(write_file("x\xff", "1"), 0);
	EQ(call("list", "{\"path\":\"/\"}"), 0);
	nth_path_is(0, "x\xef\xbf\xbd");
	EQ(call("stat", "{\"path_b64\":\"eP8=\"}"), 0);
	got_is("path_b64", "eP8=");
}

TEST(many_files_are_read_and_written_and_fail_alone)
{
	struct jv v;

	setup();
	EQ(call("write-files",
		"{\"files\":[{\"path\":\"a\",\"content\":\"x\"},"
		"{\"path\":\"../b\",\"content\":\"x\"},"
		"{\"path\":\"d/c\",\"content_b64\":\"AP8=\",\"mode\":\"755\"},"
		"{\"path\":\"e\"}]}"),
	   0);
	EQ(jv_count(got("files")), 4);
	v = jv_first(got("files"));
	OK(jv_has(jv_get(v, "etag")));
	v = jv_next(got("files"), v);
	EQ(jv_int(jv_path(v, "error.code"), 0), FAULT_PATH_ESCAPE);
	EQ(mode_of("d/c"), 0755);
	EQ(call("read-files",
		"{\"paths\":[\"a\",\"none\",{\"path\":\"d/c\"},7]}"),
	   0);
	v = jv_first(got("files"));
	OK(jv_eq(jv_get(v, "content"), "x"));
	v = jv_next(got("files"), v);
	EQ(jv_int(jv_path(v, "error.code"), 0), FAULT_FILE_NOT_FOUND);
	v = jv_next(got("files"), v);
	OK(jv_eq(jv_get(v, "content_b64"), "AP8="));
	v = jv_next(got("files"), v);
	EQ(jv_int(jv_path(v, "error.code"), 0), FAULT_INVALID_ARGUMENT);
}

/* --- grep --------------------------------------------------------------- */

static void match_is(size_t n, const char *path, int64_t line, int64_t column)
{
	struct jv v = jv_first(got("matches"));

	while (n-- > 0)
		v = jv_next(got("matches"), v);
	if (!jv_eq(jv_get(v, "path"), path))
		FAIL("%s", result_text.buf);
	EQ(jv_int(jv_get(v, "line"), 0), line);
	EQ(jv_int(jv_get(v, "column"), 0), column);
}

TEST(lines_are_found)
{
	setup();
	EQ(write_file("a.c", "one\ntwo needle\n\nneedle.needle"), 0);
	EQ(write_file("b.txt", "Needle\n"), 0);
	EQ(write_file(".git/x", "needle\n"), 0);
	EQ(call("grep", "{\"pattern\":\"needle\"}"), 0);
	EQ(jv_count(got("matches")), 2);
	match_is(0, "a.c", 2, 5);
	match_is(1, "a.c", 4, 1);
	EQ(call("grep", "{\"pattern\":\"needle.\",\"regex\":true}"), 0);
	EQ(jv_count(got("matches")), 1);
	EQ(call("grep", "{\"pattern\":\"^n[e]+dle$\",\"regex\":true,"
			"\"ignore_case\":true}"),
	   0);
	match_is(0, "b.txt", 1, 1);
	EQ(call("grep", "{\"pattern\":\"NEEDLE\",\"ignore_case\":true,"
			"\"include\":\"*.txt\"}"),
	   0);
	EQ(jv_count(got("matches")), 1);
	EQ(call("grep", "{\"pattern\":\"e\",\"limit\":1}"), 0);
	EQ(jv_count(got("matches")), 1);
	OK(jv_bool(got("truncated"), false));
	EQ(call("grep", "{\"pattern\":\"needle\",\"path\":\"a.c\"}"), 0);
	EQ(jv_count(got("matches")), 2);
}

TEST(binary_files_and_endless_lines_do_no_harm)
{
	const size_t n = 3u << 20;
	char *big = malloc(n + 32);
	FILE *f;

	setup();
	OK(big != NULL);
	memset(big, 'a', n);
	strcpy(big + n, "needle\nneedle\n");
	EQ(write_file("long", big), 0);
	free(big);
	f = fopen(host_path("binary"), "we");
	OK(f != NULL && fwrite("\0needle\n", 1, 8, f) == 8 && fclose(f) == 0);
	EQ(call("grep", "{\"pattern\":\"needle\"}"), 0);
	EQ(jv_count(got("matches")), 1);
	match_is(0, "long", 2, 1);
}

TEST(patterns_that_never_end_are_refused)
{
	static const char *const bad[] = {
		"(a*)*\\\\1",
		"((a{100}){100}){100}",
		"a{2000}",
		"a{1,30000}",
		"(",
		"x\\ny",
		"[[:nosuch:]]",
	};
	char params[128];

	setup();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(params, sizeof(params),
			 "{\"pattern\":\"%s\",\"regex\":true}", bad[i]);
		if (call("grep", params) != -FAULT_INVALID_ARGUMENT)
			FAIL("'%s' is taken", bad[i]);
	}
	EQ(call("grep", "{\"pattern\":\"\"}"), -FAULT_INVALID_ARGUMENT);
}

TESTS(CASE(a_file_and_its_folders_are_made),
      CASE(a_file_that_is_replaced_keeps_its_mode_unless_told),
      CASE(nobody_sees_half_a_file),
      CASE(a_name_in_passing_is_struck_out_in_the_end),
      CASE(a_name_in_passing_is_told_to_nobody),
      CASE(an_offset_and_an_append_write_in_place),
      CASE(a_link_to_a_file_stays_one),
      CASE(what_is_in_the_place_is_replaced_if_told),
      CASE(an_etag_lets_one_version_be_replaced_and_no_other),
      CASE(two_contents_written_at_once_have_two_etags),
      CASE(of_two_who_write_the_same_version_one_fails),
      CASE(no_link_leads_out), CASE(dots_are_refused_everywhere),
      CASE(the_root_stays), CASE(a_fifo_is_refused_and_nobody_waits),
      CASE(folders_are_made_moved_and_removed),
      CASE(a_move_replaces_only_if_told), CASE(a_removal_may_expect_a_version),
      CASE(a_tree_is_copied_with_modes_and_links),
      CASE(a_deep_and_a_wide_folder_go),
      CASE(a_folder_that_cannot_be_read_is_not_taken_for_empty),
      CASE(the_deepest_folder_fits_the_stack_of_a_thread),
      CASE(a_list_is_in_order_and_goes_on_where_it_was_cut),
      CASE(a_list_of_any_folder_is_the_sum_of_its_pages),
      CASE(names_of_any_bytes_are_told_and_taken),
      CASE(many_files_are_read_and_written_and_fail_alone),
      CASE(lines_are_found), CASE(binary_files_and_endless_lines_do_no_harm),
      CASE(patterns_that_never_end_are_refused))
