// SPDX-License-Identifier: Apache-2.0
/*
 * test_vault.c - Secrets come back whole, and from nowhere else
 */
#include "host/daemon/vault.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/tap.h"

#define SES    "ses_0123456789abcdef0123456789abcdef"
#define SES2   "ses_00000000000000000000000000000000"
#define SECRET "{\"TOKEN\":\"correct horse battery staple\"}"

static struct {
	uv_loop_t loop;
	char dir[64], db[96], key[96];
	struct store *store;
	struct reader *reader;
	struct vault *vault;
	int changed; /* Result of the last change; 1 while it is under way. */
} t;

static void setup(void)
{
	struct err e = {0};

	snprintf(t.dir, sizeof(t.dir), "/tmp/test_vault.XXXXXX");
	OK(mkdtemp(t.dir) != NULL);
	snprintf(t.db, sizeof(t.db), "%s/hib.db", t.dir);
	snprintf(t.key, sizeof(t.key), "%s/key", t.dir);
	EQ(uv_loop_init(&t.loop), 0);
	EQ(store_open(&t.loop, t.db, STORE_HOST, &t.store, &e), 0);
	EQ(reader_open(t.db, &t.reader, &e), 0);
	EQ(vault_open(t.key, &t.vault, &e), 0);
}

static void close_store(void)
{
	store_close(take_ptr(t.store));
	uv_run(&t.loop, UV_RUN_DEFAULT);
	reader_close(take_ptr(t.reader));
	EQ(uv_loop_close(&t.loop), 0);
}

static void teardown(void)
{
	char command[128];

	vault_close(t.vault);
	if (t.store != NULL)
		close_store();
	snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	EQ(system(command), 0);
}

static void on_changed(const struct err *e, void *arg)
{
	(void)arg;
	t.changed = e->code;
}

static void submit(struct change *c)
{
	t.changed = 1;
	change_submit(t.store, c, on_changed, NULL);
	while (t.changed == 1)
		uv_run(&t.loop, UV_RUN_ONCE);
	EQ(t.changed, 0);
}

static void put(const char *scope, const char *value)
{
	struct change *c = change_new();

	EQ(vault_put(t.vault, c, scope, "env", value, NULL), 0);
	submit(c);
}

static void gets(const char *scope, const char *want)
{
	char *value = NULL;
	struct err e = {0};

	EQ(vault_get(t.vault, t.reader, scope, "env", &value, &e), 1);
	STR_EQ(value, want);
	vault_wipe(value);
}

static void is_corrupt(const char *scope)
{
	char *value = NULL;
	struct err e = {0};

	EQ(vault_get(t.vault, t.reader, scope, "env", &value, &e),
	   -FAULT_STORE_CORRUPT);
	OK(value == NULL);
	OK(strstr(e.msg, "correct horse") == NULL);
}

/* Change the hex digit at @at (from 1) of a column by one bit. */
static void flip(const char *sql, int at)
{
	struct change *c = change_new();

	change_add(c, sql, 2, SES, int_text(at));
	submit(c);
}

/* instr() counts from 1: "1032547698badcfe" holds each digit's neighbour. */
#define FLIP(column)                                            \
	"UPDATE secret SET " column "=CAST("                    \
	"substr(CAST(" column " AS TEXT),1,?2-1)"               \
	"||substr('1032547698badcfe',instr('0123456789abcdef'," \
	"substr(CAST(" column " AS TEXT),?2,1)),1)"             \
	"||substr(CAST(" column " AS TEXT),?2+1) AS BLOB) WHERE scope=?1"

static void put_key(const char *bytes, size_t n, mode_t mode)
{
	int fd = open(t.key, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	OK(fd >= 0);
	EQ(write(fd, bytes, n), n);
	EQ(fchmod(fd, mode), 0);
	close(fd);
}

static int reopen(struct err *e)
{
	vault_close(take_ptr(t.vault));
	return vault_open(t.key, &t.vault, e);
}

/* --- cases -------------------------------------------------------------- */

TEST(what_is_put_can_be_got)
{
	setup();
	put(SES, SECRET);
	put(SES2, "");
	gets(SES, SECRET);
	gets(SES2, "");
	teardown();
}

TEST(the_last_value_counts)
{
	setup();
	put(SES, "{}");
	put(SES, SECRET);
	gets(SES, SECRET);
	teardown();
}

TEST(what_was_not_put_is_not_there)
{
	char *value = NULL;

	setup();
	put(SES, SECRET);
	EQ(vault_get(t.vault, t.reader, SES2, "env", &value, NULL), 0);
	EQ(vault_get(t.vault, t.reader, SES, "other", &value, NULL), 0);
	OK(value == NULL);
	teardown();
}

TEST(the_key_outlives_the_daemon)
{
	struct err e = {0};

	setup();
	put(SES, SECRET);
	EQ(reopen(&e), 0);
	gets(SES, SECRET);
	teardown();
}

TEST(a_flipped_bit_is_store_corrupt)
{
	int digits = 2 * (16 + (int)strlen(SECRET)); /* MAC and text. */

	setup();
	put(SES, SECRET);
	for (int at = 1; at <= digits; at += 7) {
		flip(FLIP("box"), at);
		is_corrupt(SES);
		flip(FLIP("box"), at);
		gets(SES, SECRET);
	}
	flip(FLIP("nonce"), 1);
	is_corrupt(SES);
	teardown();
}

TEST(a_box_that_is_cut_is_store_corrupt)
{
	setup();
	put(SES, SECRET);
	for (int at = 0; at <= 33; at += 3) {
		flip("UPDATE secret SET box=CAST(substr(CAST(box AS TEXT),1,?2)"
		     " AS BLOB) WHERE scope=?1",
		     33 - at);
		is_corrupt(SES);
	}
	teardown();
}

TEST(another_key_is_store_corrupt)
{
	struct err e = {0};

	setup();
	put(SES, SECRET);
	put_key("0123456789abcdef0123456789abcdef", 32, 0600);
	EQ(reopen(&e), 0);
	is_corrupt(SES);
	teardown();
}

TEST(the_key_file_is_private)
{
	struct stat st;

	setup();
	EQ(stat(t.key, &st), 0);
	EQ(st.st_mode & 07777, 0600);
	EQ(st.st_size, 32);
	teardown();
}

TEST(a_key_that_others_may_read_is_refused)
{
	static const mode_t modes[] = {0644, 0640, 0604, 0602, 0610};
	struct err e = {0};

	setup();
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		EQ(chmod(t.key, modes[i]), 0);
		EQ(reopen(&e), -EACCES);
		OK(t.vault == NULL && strstr(e.msg, t.key) != NULL);
	}
	EQ(chmod(t.key, 0600), 0);
	EQ(reopen(&e), 0);
	teardown();
}

TEST(a_short_key_is_refused_and_kept)
{
	struct err e = {0};
	struct stat st;

	setup();
	put_key("0123456789abcdef", 16, 0600);
	EQ(reopen(&e), -EUCLEAN);
	EQ(stat(t.key, &st), 0);
	EQ(st.st_size, 16);
	teardown();
}

TEST(a_key_behind_a_symlink_is_refused)
{
	char real[128];
	struct err e = {0};

	setup();
	snprintf(real, sizeof(real), "%s/real", t.dir);
	EQ(rename(t.key, real), 0);
	EQ(symlink(real, t.key), 0);
	EQ(reopen(&e), -ELOOP);
	teardown();
}

/* Of one that was killed while it made its key. */
TEST(half_a_key_is_in_nobodys_way)
{
	char half[128];
	struct err e = {0};
	FILE *f;

	setup();
	snprintf(half, sizeof(half), "%s.new", t.key);
	f = fopen(half, "we");
	OK(f != NULL && fputs("half", f) >= 0 && fclose(f) == 0);
	EQ(unlink(t.key), 0);
	EQ(reopen(&e), 0);
	OK(access(half, F_OK) < 0);
	teardown();
}

TEST(a_folder_that_is_not_there_is_told)
{
	struct vault *v = NULL;
	struct err e = {0};

	EQ(vault_open("/nonexistent/key", &v, &e), -ENOENT);
	OK(v == NULL && strstr(e.msg, "/nonexistent/key") != NULL);
}

TEST(too_large_a_value_is_refused)
{
	enum { LEN = (256 << 10) + 1 };
	char *value = malloc(LEN + 1);
	struct change *c = change_new();
	struct err e = {0};

	setup();
	memset(value, 'x', LEN);
	value[LEN] = '\0';
	EQ(vault_put(t.vault, c, SES, "env", value, &e),
	   -FAULT_MESSAGE_TOO_LARGE);
	value[LEN - 1] = '\0';
	EQ(vault_put(t.vault, c, SES, "env", value, &e), 0);
	submit(c);
	gets(SES, value);
	free(value);
	teardown();
}

/* Is @needle in the bytes of the file? */
static bool file_has(const char *path, const char *needle)
{
	FILE *f = fopen(path, "re");
	char *bytes;
	size_t n;
	bool has;

	OK(f != NULL);
	fseek(f, 0, SEEK_END);
	n = (size_t)ftell(f);
	rewind(f);
	bytes = malloc(n + 1);
	EQ(fread(bytes, 1, n, f), n);
	has = memmem(bytes, n, needle, strlen(needle)) != NULL;
	free(bytes);
	fclose(f);
	return has;
}

static int files_with(const char *needle)
{
	DIR *d = opendir(t.dir);
	const struct dirent *ent;
	char path[400];
	int n = 0;

	OK(d != NULL);
	while ((ent = readdir(d)) != NULL) {
		if (ent->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", t.dir, ent->d_name);
		n += file_has(path, needle);
	}
	closedir(d);
	return n;
}

TEST(values_appear_in_no_file_of_the_store)
{
	setup();
	put(SES, SECRET);
	OK(files_with(SES) > 0); /* The search finds what is there. */
	EQ(files_with("correct horse"), 0);
	EQ(files_with("636f727265637420686f727365"), 0); /* In hex. */
	close_store();
	OK(files_with(SES) > 0);
	EQ(files_with("correct horse"), 0);
	teardown();
}

TEST(the_same_value_is_never_sealed_the_same)
{
	const char *args[] = {NULL};
	autofree char *n = NULL;

	setup();
	put(SES, SECRET);
	put(SES2, SECRET);
	EQ(reader_value(t.reader, "SELECT count(DISTINCT box) FROM secret",
			args, &n, NULL),
	   1);
	STR_EQ(n, "2");
	teardown();
}

TEST(hashes_are_sha256)
{
	char hex[SHA256_HEX_MAX];

	sha256_hex(hex, "abc", 3);
	STR_EQ(hex, "ba7816bf8f01cfea414140de5dae2223"
		    "b00361a396177a9cb410ff61f20015ad");
}

TESTS(CASE(what_is_put_can_be_got), CASE(the_last_value_counts),
      CASE(what_was_not_put_is_not_there), CASE(the_key_outlives_the_daemon),
      CASE(a_flipped_bit_is_store_corrupt),
      CASE(a_box_that_is_cut_is_store_corrupt),
      CASE(another_key_is_store_corrupt), CASE(the_key_file_is_private),
      CASE(a_key_that_others_may_read_is_refused),
      CASE(a_short_key_is_refused_and_kept),
      CASE(a_key_behind_a_symlink_is_refused),
      CASE(half_a_key_is_in_nobodys_way),
      CASE(a_folder_that_is_not_there_is_told),
      CASE(too_large_a_value_is_refused),
      CASE(values_appear_in_no_file_of_the_store),
      CASE(the_same_value_is_never_sealed_the_same), CASE(hashes_are_sha256))
