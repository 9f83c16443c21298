// SPDX-License-Identifier: Apache-2.0
/*
 * test_changes.c - Change sets and the quoting of their paths
 */
#include "vfs/changes.h"

#include <fcntl.h>
#include <stdarg.h>

#include "tests/tap.h"
#include "vfs/changes_write.h"
#include "vfs/entry.h"

/* What was read, as one text. */
struct story {
	char text[8192];
	size_t len;
};

static void tell(struct story *s, const char *fmt, ...) printf_like(2, 3);

static void tell(struct story *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	s->len += (size_t)vsnprintf(s->text + s->len, sizeof(s->text) - s->len,
				    fmt, args);
	va_end(args);
	OK(s->len < sizeof(s->text));
}

static int on_file(void *arg, const char *path, uint32_t mode, uint64_t size,
		   struct err *e)
{
	(void)e;
	tell(arg, "file %s %o %d:", path, mode, (int)size);
	return 0;
}

static int on_data(void *arg, const char *data, size_t n, struct err *e)
{
	(void)e;
	tell(arg, "%.*s", (int)n, data);
	return 0;
}

static int on_file_end(void *arg, struct err *e)
{
	(void)e;
	tell(arg, ";");
	return 0;
}

static int on_dir(void *arg, const char *path, uint32_t mode, struct err *e)
{
	(void)e;
	tell(arg, "dir %s %o;", path, mode);
	return 0;
}

static int on_remove(void *arg, const char *path, struct err *e)
{
	(void)e;
	tell(arg, "remove %s;", path);
	return 0;
}

static int on_clear(void *arg, struct err *e)
{
	(void)e;
	tell(arg, "clear;");
	return 0;
}

static const struct vfs_changes_ops ops = {
	.file = on_file,
	.data = on_data,
	.file_end = on_file_end,
	.dir = on_dir,
	.remove = on_remove,
	.clear = on_clear,
};

static int read_all(const char *text, size_t n, size_t step,
		    const struct vfs_changes_limits *limits, struct story *s)
{
	struct vfs_changes *c = vfs_changes_new(&ops, s, limits);
	struct err e = {0};
	int r = 0;

	*s = (struct story){.len = 0};
	OK(c != NULL);
	for (size_t i = 0; r == 0 && i < n; i += step)
		r = vfs_changes_feed(c, text + i, step < n - i ? step : n - i,
				     &e);
	if (r == 0)
		r = vfs_changes_end(c, &e);
	else
		EQ(vfs_changes_feed(c, "done\n", 5, &e), r);
	vfs_changes_free(c);
	return r;
}

static int read_text(const char *text, struct story *s)
{
	return read_all(text, strlen(text), strlen(text) + 1, NULL, s);
}

TEST(what_is_written_is_read)
{
	static const char paths[][16] = {"a", "d/b c", "\"q\n\\", "\xff/\x01",
					 "caf\xc3\xa9"};
	char all[65536], want[4096] = "";
	struct story s;
	size_t n = vfs_changes_write_clear(all);

	strcat(want, "clear;");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		n += vfs_changes_write_file(
			all + n, paths[i],
			i % 2 ? S_IFLNK | 0777 : S_IFREG | 04750, 3);
		memcpy(all + n, "x\ny\n", 4);
		n += 4;
		n += vfs_changes_write_remove(all + n, paths[i]);
		n += vfs_changes_write_dir(all + n, paths[i], S_IFDIR | 01777);
		sprintf(want + strlen(want),
			"file %s %s 3:x\ny;remove %s;dir %s 1777;", paths[i],
			i % 2 ? "120000" : "104750", paths[i], paths[i]);
	}
	n += vfs_changes_write_dir(all + n, ".", 0700);
	strcat(want, "dir  700;");
	n += vfs_changes_write_done(all + n);
	for (size_t step = 1; step<n + 2; step += step> 20 ? n : 1) {
		EQ(read_all(all, n, step, NULL, &s), 0);
		STR_EQ(s.text, want);
	}
}

TEST(what_git_writes_is_read)
{
	struct story s;

	EQ(read_text(
		   "M 100644 inline \"a\\303\\251\\t\"\ndata 0\n\nD b\ndone\n",
		   &s),
	   0);
	STR_EQ(s.text, "file a\xc3\xa9\t 100644 0:;remove b;");
}

TEST(what_is_no_change_set_is_refused)
{
	static const struct {
		const char *text;
		enum fault fault;
	} bad[] = {
		{"", FAULT_INVALID_ARGUMENT},
		{"D a\n", FAULT_INVALID_ARGUMENT},
		{"done", FAULT_INVALID_ARGUMENT},
		{"done\nD a\n", FAULT_INVALID_ARGUMENT},
		{"\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D \ndone\n", FAULT_INVALID_ARGUMENT},
		{"D .\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D a/./b\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D a//b\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D a/\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D /a\ndone\n", FAULT_PATH_ESCAPE},
		{"D ..\ndone\n", FAULT_PATH_ESCAPE},
		{"D a/../b\ndone\n", FAULT_PATH_ESCAPE},
		{"D \"..\"\ndone\n", FAULT_PATH_ESCAPE},
		{"D \"a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D \"a\\\"\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D \"a\\000\"\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D \"a\\400\"\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D \"a\"b\"\ndone\n", FAULT_INVALID_ARGUMENT},
		{"D \"\"\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 :1 a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 dir a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 040755 inline a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 160000 inline a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 020644 inline a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 7777777777777777777777 inline a\n", FAULT_INVALID_ARGUMENT},
		{"M  inline a\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 inline a\ndata -1\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 inline a\ndata 1x\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 inline a\ndata 99999999999999999999\n",
		 FAULT_INVALID_ARGUMENT},
		{"M 100644 inline a\ndata 1\nab\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 inline a\ndata 2\na", FAULT_INVALID_ARGUMENT},
		{"M 120000 inline a\ndata 0\n\ndone\n", FAULT_INVALID_ARGUMENT},
		{"M 120000 inline a\ndata 4096\n", FAULT_INVALID_ARGUMENT},
		{"M 100644 inline a\ndata 1099511627777\n",
		 FAULT_QUOTA_EXCEEDED},
	};
	struct story s;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (read_text(bad[i].text, &s) != -(int)bad[i].fault)
			FAIL("not refused: %s", bad[i].text);
	EQ(read_all("D a\0b\ndone\n", 11, 20, NULL, &s),
	   -FAULT_INVALID_ARGUMENT);
}

TEST(limits_hold)
{
	static const struct vfs_changes_limits limits = {
		.commands = 2, .file_bytes = 4, .bytes = 6};
	static char text[20000];
	struct story s;
	size_t n;

#define READ(t) read_all(t, strlen(t), 7, &limits, &s)
	EQ(READ("D a\nD a\ndone\n"), 0);
	EQ(READ("D a\nD a\nD a\ndone\n"), -FAULT_MESSAGE_TOO_LARGE);
	EQ(READ("M 100644 inline a\ndata 5\n"), -FAULT_QUOTA_EXCEEDED);
	EQ(READ("M 100644 inline a\ndata 4\naaaa\n"
		"M 100644 inline b\ndata 3\n"),
	   -FAULT_QUOTA_EXCEEDED);

	n = (size_t)sprintf(text, "D ");
	memset(text + n, 'a', 255);
	strcpy(text + n + 255, "\ndone\n");
	EQ(read_text(text, &s), 0);
	strcpy(text + n + 255, "a\ndone\n");
	EQ(read_text(text, &s), -FAULT_MESSAGE_TOO_LARGE);

	for (size_t i = 0; i < 4097; i++)
		text[2 + i] = i % 2 ? '/' : 'a';
	strcpy(text + 2 + 4095, "\ndone\n");
	EQ(read_text(text, &s), 0);
	text[2 + 4095] = '/';
	strcpy(text + 2 + 4097, "\ndone\n");
	EQ(read_text(text, &s), -FAULT_MESSAGE_TOO_LARGE);
	memset(text, 'D', sizeof(text));
	EQ(read_all(text, sizeof(text), 100, NULL, &s),
	   -FAULT_MESSAGE_TOO_LARGE);
}

TESTS(CASE(what_is_written_is_read), CASE(what_git_writes_is_read),
      CASE(what_is_no_change_set_is_refused), CASE(limits_hold))
