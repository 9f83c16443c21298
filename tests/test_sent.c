// SPDX-License-Identifier: Apache-2.0
/*
 * test_sent.c - What the host has of a workspace
 */
#include "vfs/sent.h"

#include <fcntl.h>
#include <signal.h>

#include "core/err.h"
#include "core/json.h"
#include "tests/tap.h"

static char dir[] = "/tmp/test_sent.XXXXXX";
static char path[64];

static struct vfs_sent *reopen(void)
{
	struct vfs_sent *s = NULL;
	struct err e = {0};

	if (path[0] == '\0') {
		OK(mkdtemp(dir) != NULL);
		snprintf(path, sizeof(path), "%s/vfs.db", dir);
	}
	if (vfs_sent_open(path, &s, &e) < 0)
		FAIL("%s", e.msg);
	return s;
}

static void finish(struct vfs_sent *s)
{
	char command[128];

	vfs_sent_close(s);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	EQ(system(command), 0);
}

static void put(struct vfs_sent *s, const char *in, const char *name)
{
	struct vfs_sent_row row = {.kind = VFS_SENT_FILE,
				   .mode = 0100644,
				   .size = 7,
				   .mtime_ns = -3,
				   .ctime_ns = 1763683200123456789,
				   .ino = UINT64_MAX,
				   .racy = true};
	struct err e = {0};

	if (vfs_sent_put(s, in, name, &row, &e) < 0)
		FAIL("%s", e.msg);
}

static int add_name(const char *name, const struct vfs_sent_row *row, void *arg)
{
	(void)row;
	jw_lit(arg, name, strlen(name));
	jw_lit(arg, " ", 1);
	return 0;
}

static void expect(struct vfs_sent *s, const char *in, const char *names)
{
	autojw struct jw w = {0};
	struct err e = {0};

	EQ(vfs_sent_list(s, in, add_name, &w, &e), 0);
	STR_EQ(w.buf == NULL ? "" : w.buf, names);
}

static int same_row(const char *name, const struct vfs_sent_row *row, void *arg)
{
	(void)arg;
	STR_EQ(name, "a");
	EQ(row->kind, VFS_SENT_FILE);
	EQ(row->mode, 0100644);
	EQ(row->size, 7);
	EQ(row->mtime_ns, -3);
	EQ(row->ctime_ns, 1763683200123456789);
	OK(row->ino == UINT64_MAX);
	OK(row->racy && !row->opaque);
	return 3;
}

TEST(what_was_committed_is_there)
{
	struct vfs_sent *s = reopen();
	struct vfs_oid head = {{1, 2, 3}}, got;
	struct err e = {0};

	EQ(vfs_sent_head(s, &got, &e), -ENOENT);
	OK(!vfs_sent_is_dirty(s));
	put(s, "", "a");
	OK(vfs_sent_is_dirty(s));
	EQ(vfs_sent_commit(s, &head, &e), 0);
	OK(!vfs_sent_is_dirty(s));
	vfs_sent_close(s);
	s = reopen();
	EQ(vfs_sent_list(s, "", same_row, NULL, &e), 3);
	EQ(vfs_sent_head(s, &got, &e), 0);
	OK(vfs_oid_eq(&got, &head));
	finish(s);
}

TEST(another_tree_has_no_rows)
{
	struct vfs_sent *s = reopen();
	struct vfs_oid head = {{1}};
	struct err e = {0};
	int64_t n = -1;

	EQ(vfs_sent_generation(s, &n, &e), 0);
	EQ(n, 0);
	put(s, "", "a");
	EQ(vfs_sent_commit(s, &head, &e), 0);
	EQ(vfs_sent_reset(s, 7, &e), 0);
	vfs_sent_close(s);
	s = reopen();
	EQ(vfs_sent_generation(s, &n, &e), 0);
	EQ(n, 7);
	EQ(vfs_sent_head(s, &head, &e), -ENOENT);
	expect(s, "", "");
	finish(s);
}

TEST(what_was_not_committed_never_happened)
{
	struct vfs_sent *s = reopen();
	struct err e = {0};

	put(s, "", "a");
	EQ(vfs_sent_commit(s, NULL, &e), 0);
	put(s, "", "b");
	EQ(vfs_sent_drop(s, "", "a", &e), 0);
	expect(s, "", "b ");
	vfs_sent_rollback(s);
	expect(s, "", "a ");
	put(s, "", "b");
	vfs_sent_close(s);
	s = reopen();
	expect(s, "", "a ");
	finish(s);
}

TEST(a_folder_goes_with_all_below_it_and_nothing_else)
{
	struct vfs_sent *s = reopen();
	struct err e = {0};

	put(s, "", "d");
	put(s, "", "d.x");
	put(s, "", "d0");
	put(s, "d", "a");
	put(s, "d/e", "\xff");
	put(s, "d/e/f", "b");
	put(s, "d.x", "c");
	put(s, "d0", "c");
	EQ(vfs_sent_drop_below(s, "d/e", &e), 0);
	expect(s, "d/e", "");
	expect(s, "d/e/f", "");
	expect(s, "d", "a ");
	put(s, "d/e", "g");
	EQ(vfs_sent_drop(s, "", "d", &e), 0);
	expect(s, "", "d.x d0 ");
	expect(s, "d", "");
	expect(s, "d/e", "");
	expect(s, "d.x", "c ");
	expect(s, "d0", "c ");
	EQ(vfs_sent_drop_below(s, "", &e), 0);
	expect(s, "d0", "");
	finish(s);
}

TEST(ignored_paths_are_listed_whole)
{
	struct vfs_sent *s = reopen();
	struct vfs_sent_row row = {.kind = VFS_SENT_IGNORED};
	autojw struct jw w = {0};
	struct err e = {0};

	EQ(vfs_sent_put(s, "web", "node_modules", &row, &e), 0);
	EQ(vfs_sent_put(s, "", ".venv", &row, &e), 0);
	put(s, "", "a");
	EQ(vfs_sent_ignored(s, add_name, &w, &e), 0);
	STR_EQ(w.buf, ".venv web/node_modules ");
	finish(s);
}

/* Is what sqlite3(1) shows of it what a person can read? */
TEST(people_can_read_it)
{
	struct vfs_sent *s = reopen();
	struct err e = {0};
	char command[256], line[256];
	FILE *f;

	put(s, "", "a");
	put(s, "d/e", "b c");
	EQ(vfs_sent_commit(s, NULL, &e), 0);
	snprintf(command, sizeof(command),
		 "sqlite3 %s 'SELECT path, is_directory, permissions, size "
		 "FROM session_files; PRAGMA integrity_check'",
		 path);
	f = popen(command, "r");
	OK(f != NULL && fgets(line, sizeof(line), f) != NULL);
	STR_EQ(line, "/a|0|0644|7\n");
	OK(fgets(line, sizeof(line), f) != NULL);
	STR_EQ(line, "/d/e/b c|0|0644|7\n");
	OK(fgets(line, sizeof(line), f) != NULL);
	STR_EQ(line, "ok\n");
	EQ(pclose(f), 0);
	finish(s);
}

static void spoil(off_t at, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char junk[4096];

	OK(fd >= 0);
	memset(junk, 0x5a, sizeof(junk));
	for (; n > 0; n -= sizeof(junk), at += (off_t)sizeof(junk))
		EQ(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	close(fd);
}

TEST(what_is_damaged_or_lost_is_made_anew)
{
	struct vfs_sent *s = reopen();
	struct err e = {0};
	char name[16];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(s, "d", name);
	}
	EQ(vfs_sent_commit(s, NULL, &e), 0);
	vfs_sent_close(s);
	spoil(16384, 65536);
	s = reopen();
	expect(s, "d", "");
	put(s, "", "a");
	EQ(vfs_sent_commit(s, NULL, &e), 0);
	vfs_sent_close(s);
	spoil(0, 8192);
	s = reopen();
	expect(s, "", "");
	vfs_sent_close(s);
	EQ(unlink(path), 0);
	s = reopen();
	expect(s, "", "");
	finish(s);
}

/* Each commit has one generation of rows; any kill leaves one of them whole. */
TEST(a_kill_leaves_a_commit_whole)
{
	struct vfs_sent *s = reopen();
	struct err e = {0};

	vfs_sent_close(s);
	for (int round = 0; round < 20; round++) {
		autojw struct jw want = {0};
		pid_t pid = fork();
		struct vfs_oid head;
		char name[16];
		int status, n;

		OK(pid >= 0);
		if (pid == 0) {
			s = reopen();
			for (int i = 0;; i++) {
				vfs_sent_drop_below(s, "", &e);
				for (int k = 0; k <= i % 50; k++) {
					snprintf(name, sizeof(name), "%02d", k);
					put(s, "", name);
				}
				head = (struct vfs_oid){{(uint8_t)(i % 50)}};
				vfs_sent_commit(s, &head, &e);
			}
		}
		usleep(3000 + (useconds_t)(random() % 20000));
		kill(pid, SIGKILL);
		EQ(waitpid(pid, &status, 0), pid);
		s = reopen();
		n = vfs_sent_head(s, &head, &e) == 0 ? head.b[0] + 1 : 0;
		for (int k = 0; k < n; k++) {
			snprintf(name, sizeof(name), "%02d ", k);
			jw_lit(&want, name, 3);
		}
		expect(s, "", n > 0 ? want.buf : "");
		vfs_sent_close(s);
	}
	finish(NULL);
}

TESTS(CASE(what_was_committed_is_there), CASE(another_tree_has_no_rows),
      CASE(what_was_not_committed_never_happened),
      CASE(a_folder_goes_with_all_below_it_and_nothing_else),
      CASE(ignored_paths_are_listed_whole), CASE(people_can_read_it),
      CASE(what_is_damaged_or_lost_is_made_anew),
      CASE(a_kill_leaves_a_commit_whole))
