// SPDX-License-Identifier: Apache-2.0
/*
 * test_hib_files.c - libhib and the files of a VM, with the real daemon
 */
#include "host/hib.h"

#include "tests/tap.h"

static char home[64], hibd[512];
static struct hib *h;
static struct hib_error e;
static char *json;

static void teardown(void)
{
	char cmd[128];

	hib_free(json);
	if (h != NULL) {
		(void)hib_vm_destroy(h, "box", true, NULL);
		(void)hib_shutdown(h, true, NULL);
		hib_close(h);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", home);
	EQ(system(cmd), 0);
}

static void setup(void)
{
	struct hib_options o = {.size = sizeof(o), .home = home};
	struct hib_vm_options vm = {.size = sizeof(vm), .name = "box"};
	const char *out = getenv("O");

	snprintf(hibd, sizeof(hibd), "%s/bin/hibd", out ? out : "o/dev");
	if (access(hibd, X_OK) < 0)
		SKIP("no hibd here");
	setenv("HIB_HIBD", hibd, 1);
	strcpy(home, "/tmp/hib-files-XXXXXX");
	OK(mkdtemp(home) != NULL);
	EQ(hib_open(&o, &h, &e), 0);
	atexit(teardown);
	if (hib_vm_create(h, &vm, NULL, NULL, &e) < 0)
		FAIL("%s", e.message);
}

static void good(int r)
{
	if (r < 0)
		FAIL("%s: %s", e.name, e.message);
}

static void json_has(const char *text)
{
	if (strstr(json, text) == NULL)
		FAIL("%s is not in %s", text, json);
	hib_free(json);
	json = NULL;
}

/* --- bytes -------------------------------------------------------------- */

struct bytes {
	char data[1 << 20];
	size_t len, at;
};

static int take(const char *data, size_t n, void *arg)
{
	struct bytes *b = arg;

	OK(b->len + n <= sizeof(b->data));
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

static long give(char *buf, size_t cap, void *arg)
{
	struct bytes *b = arg;
	size_t n = b->len - b->at;

	if (n > cap)
		n = cap;
	memcpy(buf, b->data + b->at, n);
	b->at += n;
	return (long)n;
}

static void put(const char *path, const char *text)
{
	good(hib_write_file_bytes(h, "box", path, NULL, text, strlen(text),
				  NULL, &e));
}

static void content_is(const char *path, const char *want)
{
	struct bytes *b = calloc(1, sizeof(*b));

	OK(b != NULL);
	good(hib_read_file(h, "box", path, NULL, take, b, NULL, &e));
	EQ(b->len, strlen(want));
	OK(memcmp(b->data, want, b->len) == 0);
	free(b);
}

TEST(bytes_come_back_as_they_went)
{
	struct bytes *in = calloc(1, sizeof(*in)),
		     *out = calloc(1, sizeof(*out));
	struct hib_file_options part = {
		.size = sizeof(part), .offset = 3, .length = 5};

	setup();
	OK(in != NULL && out != NULL);
	in->len = sizeof(in->data);
	for (size_t i = 0; i < in->len; i++)
		in->data[i] = (char)(i * 31 >> 3);
	good(hib_write_file(h, "box", "/d/f\xff", NULL, give, in, &json, &e));
	json_has("\"size\":1048576");
	good(hib_read_file(h, "box", "d/f\xff", NULL, take, out, &json, &e));
	json_has("\"path_b64\":");
	EQ(out->len, in->len);
	OK(memcmp(out->data, in->data, in->len) == 0);
	out->len = 0;
	good(hib_read_file(h, "box", "d/f\xff", &part, take, out, NULL, &e));
	EQ(out->len, 5);
	OK(memcmp(out->data, in->data + 3, 5) == 0);
	EQ(hib_read_file(h, "box", "none", NULL, take, out, NULL, &e),
	   -HIB_FILE_NOT_FOUND);
	EQ(hib_read_file(h, "box", "../x", NULL, take, out, NULL, &e),
	   -HIB_PATH_ESCAPE);
	free(in);
	free(out);
}

TEST(an_etag_says_which_version_may_be_replaced)
{
	struct hib_write_options o = {.size = sizeof(o)};
	struct hib_write_options fresh = {.size = sizeof(fresh),
					  .must_not_exist = true};
	struct bytes *big = calloc(1, sizeof(*big));
	char *etag, *end;

	setup();
	OK(big != NULL);
	put("f", "1");
	good(hib_stat_file(h, "box", "f", NULL, &json, &e));
	etag = strstr(json, "\"etag\":\"");
	OK(etag != NULL);
	etag += 8;
	end = strchr(etag, '"');
	OK(end != NULL);
	*end = '\0';
	o.etag = etag;
	good(hib_write_file_bytes(h, "box", "f", &o, "2", 1, NULL, &e));
	EQ(hib_write_file_bytes(h, "box", "f", &o, "3", 1, NULL, &e),
	   -HIB_CAS_MISMATCH);
	/* Refused before the bytes are there. */
	big->len = sizeof(big->data);
	EQ(hib_write_file(h, "box", "f", &o, give, big, NULL, &e),
	   -HIB_CAS_MISMATCH);
	EQ(hib_write_file_bytes(h, "box", "f", &fresh, "3", 1, NULL, &e),
	   -HIB_ALREADY_EXISTS);
	content_is("f", "2");
	free(big);
}

TEST(names_are_listed_moved_copied_and_removed)
{
	struct hib_files_options deep = {.size = sizeof(deep), .depth = 9};
	struct hib_grep_options c_files = {
		.size = sizeof(c_files), .include = "*.c", .regex = true};

	setup();
	good(hib_make_dir(h, "box", "a/b", true, NULL, &e));
	put("a/b/f.c", "int main;\n");
	good(hib_copy_file(h, "box", "a", "c", true, false, NULL, &e));
	good(hib_move_file(h, "box", "c/b/f.c", "c/g.c", false, NULL, &e));
	good(hib_list_files(h, "box", "c", &deep, &json, &e));
	json_has("\"path\":\"c/g.c\"");
	good(hib_grep_files(h, "box", "^int", &c_files, &json, &e));
	json_has("\"path\":\"a/b/f.c\",\"line\":1");
	EQ(hib_file_exists(h, "box", "c/g.c", &e), 1);
	good(hib_remove_file(h, "box", "c", true, &e));
	EQ(hib_file_exists(h, "box", "c/g.c", &e), 0);
	EQ(hib_file_exists(h, "box", "..", &e), -HIB_PATH_ESCAPE);
	good(hib_write_files(h, "box",
			     "{\"files\":[{\"path\":\"m\",\"content\":\"x\"}]}",
			     NULL, &e));
	good(hib_read_files(h, "box", "{\"paths\":[\"m\"]}", &json, &e));
	json_has("\"content\":\"x\"");
}

/* --- watch -------------------------------------------------------------- */

struct seen {
	char types[256];
	int ends, code;
};

static void on_change(const struct hib_file_change *c, void *arg)
{
	struct seen *s = arg;
	size_t n = strlen(s->types);

	snprintf(s->types + n, sizeof(s->types) - n, "%s:%s ", c->type,
		 c->path);
}

static void on_end(const struct hib_error *why, void *arg)
{
	struct seen *s = arg;

	s->ends++;
	s->code = why->code;
}

static void await(const char *text, struct seen *s)
{
	for (int i = 0; i < 100 && strstr(s->types, text) == NULL; i++)
		EQ(hib_wait(h, 100), 0);
	if (strstr(s->types, text) == NULL)
		FAIL("no '%s' in '%s'", text, s->types);
}

TEST(changes_are_told_until_what_is_watched_is_gone)
{
	struct seen s = {0};
	struct hib_watch *w;
	struct hib_watch_options o = {
		.size = sizeof(o),
		.path = "d",
		.on_change = on_change,
		.on_end = on_end,
		.arg = &s,
	};

	setup();
	EQ(hib_watch_files(h, "box", &o, &w, &e), -HIB_FILE_NOT_FOUND);
	good(hib_make_dir(h, "box", "d", false, NULL, &e));
	good(hib_watch_files(h, "box", &o, &w, &e));
	put("d/f", "1");
	put("d/f", "2");
	await("create:d/f modify:d/f ", &s);
	good(hib_move_file(h, "box", "d/f", "d/g", false, NULL, &e));
	await("rename:d/g ", &s);
	good(hib_remove_file(h, "box", "d", true, &e));
	await("delete:d ", &s);
	for (int i = 0; i < 100 && s.ends == 0; i++)
		EQ(hib_wait(h, 100), 0);
	EQ(s.ends, 1);
	EQ(s.code, 0);
}

TEST(a_watch_can_be_left_and_ends_with_its_handle)
{
	struct seen s = {0};
	struct hib_watch *one, *two;
	struct hib_watch_options o = {
		.size = sizeof(o),
		.recursive = true,
		.on_change = on_change,
		.on_end = on_end,
		.arg = &s,
	};

	setup();
	good(hib_watch_files(h, "box", &o, &one, &e));
	good(hib_watch_files(h, "box", &o, &two, &e));
	hib_unwatch(one);
	put("f", "1");
	await("create:f ", &s);
	EQ(hib_wait(h, 50), 0);
	STR_EQ(s.types, "create:f ");
	hib_close(h);
	h = NULL;
	EQ(s.ends, 0);
	struct hib_options again = {.size = sizeof(again), .home = home};

	EQ(hib_open(&again, &h, &e), 0);
}

TESTS(CASE(bytes_come_back_as_they_went),
      CASE(an_etag_says_which_version_may_be_replaced),
      CASE(names_are_listed_moved_copied_and_removed),
      CASE(changes_are_told_until_what_is_watched_is_gone),
      CASE(a_watch_can_be_left_and_ends_with_its_handle))
