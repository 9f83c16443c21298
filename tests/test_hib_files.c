// SPDX-License-Identifier: Apache-2.0
/*
 * test_hib_files.c - libhib and the files of a VM, with the real daemon
 */
#include "host/hib.h"

#include <sys/stat.h>

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
	good(hib_change_mode(h, "box", "c/g.c", "750", &json, &e));
	json_has("\"mode\":\"100750\"");
	EQ(hib_change_mode(h, "box", "c/g.c", "x", NULL, &e),
	   -HIB_INVALID_ARGUMENT);
	good(hib_make_link(h, "box", "l/n", "../c/g.c", false, &json, &e));
	json_has("\"target\":\"../c/g.c\"");
	EQ(hib_make_link(h, "box", "l/n", "x", false, NULL, &e),
	   -HIB_ALREADY_EXISTS);
	good(hib_make_link(h, "box", "l/n", "x", true, NULL, &e));
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
	int n_create, n_modify;
	int ends, code;
};

static void on_change(const struct hib_file_change *c, void *arg)
{
	struct seen *s = arg;
	size_t n = strlen(s->types);

	s->n_create += strcmp(c->type, "create") == 0;
	s->n_modify += strcmp(c->type, "modify") == 0;
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

/* Each write is a move, of which the kernel tells in two events. */
TEST(a_file_that_is_written_again_is_never_a_new_one)
{
	enum { WRITES = 300 };
	struct seen s = {0};
	struct hib_watch *w;
	struct hib_watch_options o = {
		.size = sizeof(o),
		.path = "again",
		.on_change = on_change,
		.on_end = on_end,
		.arg = &s,
	};

	setup();
	good(hib_make_dir(h, "box", "again", false, NULL, &e));
	good(hib_watch_files(h, "box", &o, &w, &e));
	for (int i = 0; i <= WRITES; i++)
		put("again/f", "x");
	for (int i = 0; i < 100 && s.n_create + s.n_modify <= WRITES; i++)
		EQ(hib_wait(h, 100), 0);
	EQ(s.n_create, 1);
	EQ(s.n_modify, WRITES);
	hib_unwatch(w);
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

/* --- what is committed -------------------------------------------------- */

/* A session of the echo agent. */
static void session_new(struct hib_session_options *o, char id[HIB_ID_MAX])
{
	o->size = sizeof(*o);
	o->agent = "echo";
	o->vm = "box";
	good(hib_create_session(h, o, id, NULL, &e));
}

/* A turn in which the agent runs a command. */
static void run(const char *session, const char *command,
		struct hib_reply *reply)
{
	char text[256];

	snprintf(text, sizeof(text), "!run %s", command);
	reply->size = sizeof(*reply);
	good(hib_send_prompt(h, session, HIB_TEXT(text), reply, &e));
	STR_EQ(reply->state, "completed");
	if (strstr(reply->text, "exit: 0") == NULL)
		FAIL("%s: %s", command, reply->text);
}

/* The value of a member that is a string, or "" for null. */
static void get_text(const char *row, const char *key, char *out, size_t size)
{
	char name[64];
	const char *at;

	snprintf(name, sizeof(name), "\"%s\":", key);
	at = strstr(row, name);
	OK(at != NULL);
	at += strlen(name);
	out[0] = '\0';
	if (*at == '"')
		snprintf(out, size, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
}

static void member_is(const char *key, const char *want)
{
	char value[64];

	get_text(json, key, value, sizeof(value));
	STR_EQ(value, want);
}

TEST(a_checkpoint_is_made_and_taken_back)
{
	const char *paths[] = {"kept", NULL};
	char first[64], second[64], now[64];

	setup();
	good(hib_checkpoint(h, "box", &json, &e));
	json_has("\"head\":null");
	put("kept", "one");
	put("gone", "one");
	good(hib_checkpoint(h, "box", &json, &e));
	get_text(json, "head", first, sizeof(first));
	EQ(strlen(first), 40);
	json_has("\"changed\":true");
	put("kept", "two");
	put("gone", "two");
	good(hib_restore_files(h, "box", first, paths, false, &json, &e));
	get_text(json, "was", second, sizeof(second));
	get_text(json, "head", now, sizeof(now));
	member_is("from", first);
	json_has("\"n\":1"); /* The VM goes on as it is. */
	OK(strcmp(first, second) != 0 && strcmp(second, now) != 0);
	content_is("kept", "one");
	content_is("gone", "two");
	good(hib_restore_files(h, "box", second, NULL, false, &json, &e));
	member_is("head", second);
	member_is("was", now);
	json_has("\"n\":2");
	content_is("kept", "two");

	paths[0] = "none";
	EQ(hib_restore_files(h, "box", first, paths, false, NULL, &e),
	   -HIB_FILE_NOT_FOUND);
	EQ(hib_restore_files(h, "box", "trn_0", NULL, false, NULL, &e),
	   -HIB_SNAPSHOT_NOT_FOUND);
	EQ(hib_restore_files(h, "none", first, NULL, false, NULL, &e),
	   -HIB_VM_NOT_FOUND);
	EQ(hib_checkpoint(h, "none", NULL, &e), -HIB_VM_NOT_FOUND);
}

TEST(a_restore_interrupts_only_by_force)
{
	struct hib_prompt p = {
		.size = sizeof(p), .text = "!sleep 60000", .no_wait = true};
	struct hib_session_options o = {0};
	struct hib_reply reply = {0};
	char id[HIB_ID_MAX], turn[HIB_ID_MAX];

	setup();
	session_new(&o, id);
	run(id, "echo one >a", &reply);
	strcpy(turn, reply.turn);
	hib_reply_done(&reply);
	put("a", "two");
	good(hib_send_prompt(h, id, &p, &reply, &e));
	hib_reply_done(&reply);
	EQ(hib_restore_files(h, "box", turn, NULL, false, NULL, &e),
	   -HIB_TURN_ACTIVE);
	content_is("a", "two");
	good(hib_restore_files(h, "box", turn, NULL, true, NULL, &e));
	content_is("a", "one\n");
}

/* The agent of a session sees files with these contents, and no more. */
static void agent_sees(const char *session, const char *command)
{
	struct hib_reply reply = {0};

	run(session, command, &reply);
	hib_reply_done(&reply);
}

TEST(a_vm_is_forked_with_its_sessions)
{
	struct hib_vm_fork_options f = {.size = sizeof(f), .name = "twin"};
	struct hib_session_options o = {.title = "first"};
	struct hib_reply reply = {0};
	char id[HIB_ID_MAX], vm[HIB_ID_MAX], twin[HIB_ID_MAX];

	setup();
	session_new(&o, id);
	run(id, "echo one >a", &reply);
	put("b", "two");
	good(hib_vm_fork(h, "box", &f, vm, &json, &e));
	member_is("vm", vm);
	get_text(strstr(json, "\"sessions\""), "id", twin, sizeof(twin));
	json_has(id);
	OK(strcmp(twin, id) != 0);
	good(hib_get_session(h, twin, false, &json, &e));
	member_is("vm_id", vm);
	json_has("\"title\":\"first\"");
	agent_sees(twin, "grep -qx one a && grep -q two b && rm a");
	content_is("a", "one\n");
	EQ(hib_vm_fork(h, "box", &f, NULL, NULL, &e), -HIB_ALREADY_EXISTS);

	f.name = NULL;
	f.at = reply.turn;
	f.no_sessions = true;
	good(hib_vm_fork(h, "box", &f, vm, &json, &e));
	json_has("\"sessions\":[]");
	EQ(hib_stat_file(h, vm, "b", NULL, NULL, &e), -HIB_FILE_NOT_FOUND);
	f.at = "trn_0";
	EQ(hib_vm_fork(h, "box", &f, NULL, NULL, &e), -HIB_SNAPSHOT_NOT_FOUND);
	EQ(hib_vm_fork(h, "none", NULL, NULL, NULL, &e), -HIB_VM_NOT_FOUND);
	hib_reply_done(&reply);
}

TEST(a_session_is_forked_with_files_of_its_own)
{
	struct hib_fork_options f = {.size = sizeof(f), .workspace = "copy"};
	struct hib_session_options o = {0};
	struct hib_reply reply = {0};
	char id[HIB_ID_MAX], fork[HIB_ID_MAX], vm[HIB_ID_MAX];

	setup();
	session_new(&o, id);
	run(id, "echo one >a", &reply);
	agent_sees(id, "echo two >a");
	put("b", "late");
	good(hib_fork_session(h, id, &f, fork, &json, &e));
	get_text(json, "vm_id", vm, sizeof(vm));
	json_has(fork);
	agent_sees(fork, "grep -qx two a && grep -q late b && echo mine >a");
	content_is("a", "two\n");

	f.at = reply.turn;
	good(hib_fork_session(h, id, &f, fork, NULL, &e));
	agent_sees(fork, "grep -qx one a && test ! -e b");
	f.workspace = "none";
	good(hib_fork_session(h, id, &f, fork, NULL, &e));
	agent_sees(fork, "test -z \"$(ls -A)\"");
	f.workspace = "both";
	EQ(hib_fork_session(h, id, &f, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	f.workspace = "copy";
	f.vm = vm;
	EQ(hib_fork_session(h, id, &f, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	f.workspace = NULL;
	good(hib_fork_session(h, id, &f, fork, &json, &e));
	member_is("vm_id", vm);
	hib_reply_done(&reply);
}

TEST(what_a_session_has_made_is_had_by_its_id)
{
	struct hib_session_options o = {.config =
						"{\"artifacts\":[\"out/**\"]}"};
	struct bytes *b = calloc(1, sizeof(*b));
	char id[HIB_ID_MAX], artifact[HIB_ID_MAX];

	setup();
	OK(b != NULL);
	session_new(&o, id);
	agent_sees(id, "mkdir out && printf abc >out/a && echo no >b");
	good(hib_get_view(h, id, "artifacts", &json, &e));
	get_text(json, "id", artifact, sizeof(artifact));
	member_is("path", "out/a");
	good(hib_get_artifact(h, id, artifact, take, b, &e));
	EQ(b->len, 3);
	OK(memcmp(b->data, "abc", 3) == 0);
	good(hib_vm_sleep(h, "box", NULL, &e));
	good(hib_get_artifact(h, id, artifact, take, b, &e));
	EQ(b->len, 6);
	artifact[HIB_ID_MAX - 2] = artifact[HIB_ID_MAX - 2] == '0' ? '1' : '0';
	EQ(hib_get_artifact(h, id, artifact, take, b, &e), -HIB_FILE_NOT_FOUND);
	EQ(hib_get_artifact(h, id, id, take, b, &e), -HIB_INVALID_ID);
	free(b);
}

/* --- what a VM begins with ---------------------------------------------- */

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	OK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST(folders_of_this_machine_are_seen_in_a_vm)
{
	char folder[] = "/tmp/hib:shelf-XXXXXX", file[128], rw[256], ro[256];
	const char *mounts[] = {rw, ro, NULL}, *bad[] = {"/nowhere", NULL};
	struct hib_vm_options v = {
		.size = sizeof(v), .name = "shelf", .mounts = mounts};
	struct hib_session_options o = {0};
	char id[HIB_ID_MAX];

	setup();
	OK(mkdtemp(folder) != NULL);
	snprintf(file, sizeof(file), "%s/f", folder);
	snprintf(rw, sizeof(rw), "%s:/workspace/rw", folder);
	snprintf(ro, sizeof(ro), "%s:/workspace/ro:ro", folder);
	EQ(chmod(folder, 0777), 0);
	write_text(file, "here");
	good(hib_vm_create(h, &v, NULL, NULL, &e));
	o.size = sizeof(o);
	o.agent = "echo";
	o.vm = "shelf";
	good(hib_create_session(h, &o, id, NULL, &e));
	agent_sees(id, "grep -q here rw/f && grep -q here ro/f && echo x >rw/x "
		       "&& ! echo y >ro/y");
	snprintf(file, sizeof(file), "%s/x", folder);
	EQ(access(file, R_OK), 0);
	good(hib_vm_destroy(h, "shelf", true, &e));
	EQ(unlink(file), 0);
	snprintf(file, sizeof(file), "%s/f", folder);
	EQ(unlink(file), 0);
	EQ(rmdir(folder), 0);
	v.mounts = bad;
	EQ(hib_vm_create(h, &v, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	bad[0] = "/nowhere:/workspace/x";
	OK(hib_vm_create(h, &v, NULL, NULL, &e) < 0);
	EQ(hib_vm_get(h, "shelf", NULL, &e), -HIB_VM_NOT_FOUND);
}

TEST(files_are_there_before_the_first_turn)
{
	struct hib_vm_options v = {
		.size = sizeof(v),
		.name = "first",
		.initial_files =
			"[{\"path\":\"d/s\",\"content\":\"#!/bin/sh\\n\","
			"\"mode\":\"0755\"},"
			"{\"path\":\"b\",\"content_b64\":\"AP8=\"}]"};
	struct hib_session_options o = {.initial_files =
						"[{\"path\":\"/workspace/t\","
						"\"content\":\"text\"}]"};
	char id[HIB_ID_MAX];

	setup();
	session_new(&o, id);
	content_is("t", "text");
	agent_sees(id, "test -w t");
	o.initial_files = "[{\"path\":\"../t\",\"content\":\"\"}]";
	EQ(hib_create_session(h, &o, NULL, NULL, &e), -HIB_PATH_ESCAPE);
	o.initial_files = "[{\"path\":\"t\"}]";
	EQ(hib_create_session(h, &o, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	o.initial_files = "no JSON";
	EQ(hib_create_session(h, &o, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);

	good(hib_vm_create(h, &v, NULL, NULL, &e));
	good(hib_stat_file(h, "first", "d/s", NULL, &json, &e));
	json_has("\"mode\":\"100755\"");
	good(hib_stat_file(h, "first", "b", NULL, &json, &e));
	json_has("\"size\":2");
	good(hib_vm_destroy(h, "first", true, &e));
	v.initial_files = "[{\"path\":\"a\",\"content\":\"\"},"
			  "{\"path\":\"a/b\",\"content\":\"\"}]";
	OK(hib_vm_create(h, &v, NULL, NULL, &e) < 0);
	EQ(hib_vm_get(h, "first", NULL, &e), -HIB_VM_NOT_FOUND);
}

struct imported {
	unsigned n;
	int64_t bytes;
};

static void on_import(const struct hib_import_progress *p, void *arg)
{
	struct imported *i = arg;

	STR_EQ(p->stage, "read");
	OK(p->bytes >= i->bytes);
	i->n++;
	i->bytes = p->bytes;
}

TEST(an_import_tells_how_far_it_is)
{
	char folder[] = "/tmp/hib-import-XXXXXX", file[64];
	struct imported i = {0};
	struct hib_vm_options v = {.size = sizeof(v),
				   .name = "import",
				   .workspace = folder,
				   .no_boot = true,
				   .on_import = on_import,
				   .arg = &i};

	setup();
	OK(mkdtemp(folder) != NULL);
	EQ(hib_vm_create(h, &v, NULL, NULL, &e), -HIB_INVALID_ARGUMENT);
	OK(strstr(e.message, "no files") != NULL);
	snprintf(file, sizeof(file), "%s/large", folder);
	write_text(file, "");
	EQ(truncate(file, 64 << 20), 0);
	good(hib_vm_create(h, &v, NULL, &json, &e));
	json_has("\"name\":\"import\"");
	OK(i.n > 0 && i.bytes > 0 && i.bytes <= 64 << 20);
	EQ(hib_vm_create(h, &v, NULL, NULL, &e), -HIB_ALREADY_EXISTS);
	EQ(unlink(file), 0);
	EQ(rmdir(folder), 0);
}

/* The end of the last answer. */
static void power_is(const char *kind, const char *memory)
{
	char end[64];

	snprintf(end, sizeof(end),
		 "\"kind\":\"%s\",\"memory\":%s,\"ms\":", kind, memory);
	json_has(end);
}

TEST(a_vm_sleeps_with_its_memory_and_without)
{
	setup();
	good(hib_vm_suspend(h, "box", false, &json, &e));
	member_is("sleep", "warm");
	power_is("warm", "\"ram\"");
	good(hib_vm_resume(h, "box", &json, &e));
	power_is("warm", "null");
	good(hib_vm_resume(h, "box", &json, &e));
	power_is("none", "null");
	good(hib_vm_sleep(h, "box", &json, &e));
	member_is("sleep", "cold");
	hib_free(json);
	good(hib_vm_suspend(h, "box", false, &json, &e)); /* It sleeps. */
	power_is("cold", "null");
	good(hib_vm_resume(h, "box", &json, &e));
	power_is("cold", "null");
	EQ(hib_vm_suspend(h, "none", true, NULL, &e), -HIB_VM_NOT_FOUND);
}

TESTS(CASE(bytes_come_back_as_they_went),
      CASE(an_etag_says_which_version_may_be_replaced),
      CASE(names_are_listed_moved_copied_and_removed),
      CASE(a_file_that_is_written_again_is_never_a_new_one),
      CASE(changes_are_told_until_what_is_watched_is_gone),
      CASE(a_watch_can_be_left_and_ends_with_its_handle),
      CASE(a_checkpoint_is_made_and_taken_back),
      CASE(a_restore_interrupts_only_by_force),
      CASE(a_vm_is_forked_with_its_sessions),
      CASE(a_session_is_forked_with_files_of_its_own),
      CASE(what_a_session_has_made_is_had_by_its_id),
      CASE(folders_of_this_machine_are_seen_in_a_vm),
      CASE(files_are_there_before_the_first_turn),
      CASE(an_import_tells_how_far_it_is),
      CASE(a_vm_sleeps_with_its_memory_and_without))
