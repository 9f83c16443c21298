// SPDX-License-Identifier: Apache-2.0
/*
 * test_passing.c - Names that files have in passing are gone after a kill
 *
 * Each case has a folder with a workspace, "ws", and records beside it.
 */
#include "vfs/passing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/tap.h"

#define SAME_SHAPE ".hib-0123456789abcdef" /* A file of the user's. */

static char top[] = "/tmp/test_passing.XXXXXX";
static int records, root;

static void teardown(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", top);
	EQ(system(command), 0);
}

static int open_folder(const char *name)
{
	int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	OK(fd >= 0);
	return fd;
}

static void setup(void)
{
	OK(mkdtemp(top) != NULL);
	atexit(teardown);
	EQ(chdir(top), 0);
	EQ(mkdir("ws", 0755), 0);
	EQ(mkdir("ws/d", 0755), 0);
	records = vfs_passing_open(open_folder("."), geteuid());
	OK(records >= 0);
	root = open_folder("ws");
}

static void make(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			0600);

	OK(fd >= 0);
	close(fd);
}

static bool is_there(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* As a guest that is killed before the rename leaves it, in the folder @dir. */
static void leave(int dir, const char *path, char name[VFS_PASSING_MAX])
{
	EQ(vfs_passing_take(records, path, name), 0);
	make(dir, name);
}

TEST(what_was_left_is_removed_and_nothing_else)
{
	char above[VFS_PASSING_MAX], below[VFS_PASSING_MAX];

	setup();
	make(root, "f");
	make(open_folder("ws/d"), "f");
	make(root, SAME_SHAPE);
	make(open_folder("ws/d"), ".hib-x");
	leave(root, "f", above);
	leave(open_folder("ws/d"), "d/f", below);
	OK(strcmp(above, below) != 0);
	OK(vfs_passing_any(records));
	vfs_passing_sweep(records, root);
	OK(!is_there(root, above) && !is_there(open_folder("ws/d"), below));
	OK(is_there(root, "f") && is_there(root, "d/f"));
	OK(is_there(root, SAME_SHAPE) && is_there(root, "d/.hib-x"));
	OK(!vfs_passing_any(records));
}

TEST(a_name_is_one_as_long_as_it_is_written_down)
{
	char name[VFS_PASSING_MAX];

	setup();
	EQ(vfs_passing_take(records, "d/f", name), 0);
	OK(vfs_passing_is(records, name));
	OK(!vfs_passing_is(records, SAME_SHAPE));
	OK(!vfs_passing_is(-1, name));
	errno = EIO;
	vfs_passing_drop(records, name);
	EQ(errno, EIO);
	OK(!vfs_passing_is(records, name));
	OK(!vfs_passing_any(records));
}

TEST(without_records_nothing_is_written_down)
{
	char name[VFS_PASSING_MAX];

	EQ(vfs_passing_take(-1, "f", name), 0);
	OK(vfs_passing_resembles(name));
	vfs_passing_drop(-1, name);
	OK(!vfs_passing_any(-1));
	vfs_passing_sweep(-1, -1);
}

TEST(only_sixteen_digits_look_like_one)
{
	static const char *const others[] = {
		".hib-",
		".hib-dir",
		".hib-0123456789abcde",
		".hib-0123456789abcdef0",
		".hib-0123456789abcdeF",
		".hib-0123456789abcdef.txt",
		"x" SAME_SHAPE,
	};

	OK(vfs_passing_resembles(SAME_SHAPE));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		OK(!vfs_passing_resembles(others[i]));
}

/* Make folders until the path is long, and go into each. */
TEST(a_path_may_be_as_long_as_paths_are)
{
	char path[4096] = "", folder[201], name[VFS_PASSING_MAX];
	int dir;

	setup();
	dir = root;
	memset(folder, 'n', sizeof(folder) - 1);
	folder[sizeof(folder) - 1] = '\0';
	for (int i = 0; i < 20; i++) {
		EQ(mkdirat(dir, folder, 0755), 0);
		dir = openat(dir, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		OK(dir >= 0);
		strcat(path, folder);
		strcat(path, "/");
	}
	strcat(path, "f");
	leave(dir, path, name);
	OK(vfs_passing_is(records, name));
	vfs_passing_sweep(records, root);
	OK(!is_there(dir, name) && !vfs_passing_any(records));
}

TEST(a_folder_that_is_gone_is_no_trouble)
{
	char name[VFS_PASSING_MAX];

	setup();
	EQ(vfs_passing_take(records, "gone/f", name), 0);
	make(records, "junk");
	vfs_passing_sweep(records, root);
	OK(!vfs_passing_any(records));
}

/* The agent has put a link in the place of the folder meanwhile. */
TEST(no_link_leads_the_sweep_out)
{
	char name[VFS_PASSING_MAX];

	setup();
	EQ(mkdir("outside", 0755), 0);
	EQ(symlink("../outside", "ws/out"), 0);
	leave(open_folder("outside"), "out/f", name);
	vfs_passing_sweep(records, root);
	OK(is_there(open_folder("outside"), name));
	OK(!vfs_passing_any(records));
}

TEST(an_absolute_path_is_followed_as_whoever_wrote_there_did)
{
	char path[128], name[VFS_PASSING_MAX];

	setup();
	make(open_folder("ws/d"), "real");
	EQ(symlink("d/real", "ws/link"), 0);
	snprintf(path, sizeof(path), "%s/ws/link", top);
	leave(open_folder("ws/d"), path, name);
	vfs_passing_sweep(records, root);
	OK(!is_there(open_folder("ws/d"), name));
	OK(is_there(open_folder("ws/d"), "real"));
	snprintf(path, sizeof(path), "%s/ws/d/new", top);
	leave(open_folder("ws/d"), path, name);
	vfs_passing_sweep(records, root);
	OK(!is_there(open_folder("ws/d"), name));
}

TEST(what_cannot_be_removed_stays_written_down)
{
	char name[VFS_PASSING_MAX];

	if (geteuid() == 0)
		SKIP("root may remove anything");
	setup();
	leave(open_folder("ws/d"), "d/f", name);
	EQ(chmod("ws/d", 0555), 0);
	vfs_passing_sweep(records, root);
	OK(vfs_passing_is(records, name));
	EQ(chmod("ws/d", 0755), 0);
	vfs_passing_sweep(records, root);
	OK(!is_there(open_folder("ws/d"), name));
}

TESTS(CASE(what_was_left_is_removed_and_nothing_else),
      CASE(a_name_is_one_as_long_as_it_is_written_down),
      CASE(without_records_nothing_is_written_down),
      CASE(only_sixteen_digits_look_like_one),
      CASE(a_path_may_be_as_long_as_paths_are),
      CASE(a_folder_that_is_gone_is_no_trouble),
      CASE(no_link_leads_the_sweep_out),
      CASE(an_absolute_path_is_followed_as_whoever_wrote_there_did),
      CASE(what_cannot_be_removed_stays_written_down))
