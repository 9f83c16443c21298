// SPDX-License-Identifier: Apache-2.0
/*
 * test_sparse.c - Copies that leave out holes and zeros
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "host/sparse.h"
#include "tests/tap.h"

#define MIB	 (1 << 20)
#define SIZE	 (8 * MIB + 123) /* No multiple of a page. */
#define N_WRITES 200

static char dir_name[] = "/tmp/hib-test-XXXXXX";
static int dir;

static void tear_down(void)
{
	static const char *const names[] = {"a", "b", "c"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlinkat(dir, names[i], 0);
	(void)rmdir(dir_name);
}

static int make(const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	OK(fd >= 0);
	return fd;
}

static void set_up(void)
{
	OK(mkdtemp(dir_name) != NULL);
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OK(dir >= 0);
	(void)atexit(tear_down);
}

/* Bytes here and there, some of them zero. */
static void scribble(int fd, unsigned seed)
{
	static char data[3 * SPARSE_PAGE];

	EQ(ftruncate(fd, SIZE), 0);
	for (int i = 0; i < N_WRITES; i++) {
		size_t n = (size_t)rand_r(&seed) % sizeof(data);
		off_t at = rand_r(&seed) % (SIZE - (int)n);

		memset(data, rand_r(&seed) % 3, n);
		EQ(pwrite(fd, data, n, at), n);
	}
}

static char *read_whole(int fd)
{
	char *p = malloc(SIZE);

	OK(p != NULL);
	EQ(pread(fd, p, SIZE, 0), SIZE);
	return p;
}

static int64_t bytes_of(int fd)
{
	struct stat st;

	EQ(fsync(fd), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, SIZE);
	return st.st_blocks * 512;
}

static void same_content(int a, int b)
{
	char *x = read_whole(a), *y = read_whole(b);

	EQ(memcmp(x, y, SIZE), 0);
	free(x);
	free(y);
}

static void a_copy_is_the_same(void)
{
	for (unsigned seed = 1; seed < 20; seed++) {
		int a, b;

		if (seed == 1)
			set_up();
		a = make("a");
		b = make("b");
		scribble(a, seed);
		EQ(sparse_copy(a, b), 0);
		same_content(a, b);
		close(a);
		close(b);
		(void)unlinkat(dir, "a", 0);
		(void)unlinkat(dir, "b", 0);
	}
}

static void zeros_take_no_room(void)
{
	static char zeros[MIB];
	int a, b;

	set_up();
	a = make("a");
	b = make("b");
	EQ(ftruncate(a, SIZE), 0);
	for (off_t at = 0; at < 4 * MIB; at += MIB)
		EQ(pwrite(a, zeros, MIB, at), MIB);
	EQ(pwrite(a, "x", 1, 5 * MIB), 1);
	OK(bytes_of(a) >= 4 * MIB);
	EQ(sparse_copy(a, b), 0);
	same_content(a, b);
	OK(bytes_of(b) <= 16 * SPARSE_PAGE);
}

static void a_copy_stands_whole_or_not_at_all(void)
{
	struct err e;
	struct stat st;
	int a;

	set_up();
	a = make("a");
	scribble(a, 7);
	EQ(sparse_copy_file(dir, "a", dir, "b", &e), 0);
	EQ(sparse_copy_file(dir, "a", dir, "b", &e), -EEXIST);
	EQ(sparse_copy_file(dir, "none", dir, "c", &e), -ENOENT);
	EQ(fstatat(dir, "c", &st, 0), -1);
	EQ(sparse_link_file(dir, "a", dir, "c", &e), 0);
	EQ(fstatat(dir, "c", &st, 0), 0);
	EQ(st.st_nlink, 2);
}

static void another_file_system_gets_a_copy_of_the_same_mode(void)
{
	char name[] = "/dev/shm/hib-test-XXXXXX";
	int fd = mkstemp(name);
	struct err e;
	struct stat st;
	int r;

	set_up();
	if (fd < 0)
		SKIP("no /dev/shm");
	OK(write(fd, "x", 1) == 1 && fchmod(fd, 0644) == 0);
	r = sparse_link_file(AT_FDCWD, name, dir, "c", &e);
	(void)unlink(name);
	close(fd);
	EQ(r, 0);
	EQ(fstatat(dir, "c", &st, 0), 0);
	EQ(st.st_mode & 0777, 0644);
	EQ(st.st_size, 1);
}

TESTS(CASE(a_copy_is_the_same), CASE(zeros_take_no_room),
      CASE(a_copy_stands_whole_or_not_at_all),
      CASE(another_file_system_gets_a_copy_of_the_same_mode))
