// SPDX-License-Identifier: Apache-2.0
/*
 * test_objcache.c - Objects on disk that are what they are called, or not there
 */
#include "vfs/objcache.h"

#include <dirent.h>
#include <fcntl.h>
#include <git2.h>
#include <sys/stat.h>

#include "tests/tap.h"

#define LARGE (3u << 20)

static char dir[64];

static void tear_down(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	(void)!system(command);
}

static struct objcache *set_up(uint64_t max_bytes)
{
	struct objcache *c;
	struct err e;

	if (dir[0] == '\0') {
		snprintf(dir, sizeof(dir), "/tmp/test_objcache.XXXXXX");
		OK(mkdtemp(dir) != NULL);
		(void)atexit(tear_down);
		EQ(git_libgit2_init(), 1);
	}
	if (objcache_open(dir, max_bytes, &c, &e) < 0)
		FAIL("%s", e.msg);
	return c;
}

static struct vfs_oid hash(const void *data, size_t n)
{
	struct vfs_oid oid;
	git_oid id;

	EQ(git_odb_hash(&id, data, n, GIT_OBJECT_BLOB), 0);
	memcpy(oid.b, id.id, sizeof(oid.b));
	return oid;
}

/* A small object of @n bytes whose content follows from @seed. */
static struct vfs_oid put(struct objcache *c, unsigned seed, size_t n)
{
	autofree char *data = calloc(1, n);
	struct vfs_oid oid;

	OK(data != NULL);
	memcpy(data, &seed, sizeof(seed));
	oid = hash(data, n);
	EQ(objcache_put(c, &oid, data, n), 0);
	return oid;
}

static int get(struct objcache *c, const struct vfs_oid *oid, size_t n)
{
	autofree char *data = malloc(n);

	return objcache_get(c, oid, data, n);
}

static void path_of(const struct vfs_oid *oid, char out[128])
{
	char hex[VFS_OID_HEX];

	vfs_oid_format(oid, hex);
	snprintf(out, 128, "%s/%.2s/%s", dir, hex, hex + 2);
}

static unsigned files_in_tmp(void)
{
	const struct dirent *entry;
	unsigned n = 0;
	char path[96];
	DIR *d;

	snprintf(path, sizeof(path), "%s/tmp", dir);
	d = opendir(path);
	OK(d != NULL);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

TEST(ids_are_those_of_git)
{
	static const char text[] = "some content\n";
	struct vfs_oid oid;

	(void)git_libgit2_init();
	oid = hash(text, sizeof(text) - 1);
	OK(objcache_is_blob(&oid, text, sizeof(text) - 1));
	OK(!objcache_is_blob(&oid, text, sizeof(text) - 2));
	EQ(vfs_oid_parse("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", &oid), 0);
	OK(objcache_is_blob(&oid, "", 0));
}

TEST(what_was_put_is_got_also_later)
{
	struct objcache *c = set_up(0);
	struct vfs_oid oid = put(c, 1, 100), other = hash("x", 1);

	EQ(get(c, &oid, 100), 0);
	EQ(get(c, &oid, 99), -ENOENT);
	EQ(get(c, &other, 1), -ENOENT);
	oid = put(c, 1, 100);
	(void)put(c, 1, 100);
	objcache_close(c);
	c = set_up(0);
	EQ(get(c, &oid, 100), 0);
	EQ(files_in_tmp(), 0);
	objcache_close(c);
}

TEST(a_damaged_object_is_not_there)
{
	struct objcache *c = set_up(0);
	struct vfs_oid oid = put(c, 1, 100);
	char path[128];
	int fd;

	path_of(&oid, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	EQ(pwrite(fd, "!", 1, 50), 1);
	close(fd);
	EQ(get(c, &oid, 100), -ENOENT);
	EQ(access(path, F_OK), -1);

	oid = put(c, 1, 100);
	EQ(truncate(path, 10), 0);
	EQ(get(c, &oid, 100), -ENOENT);
	EQ(symlink("/etc/passwd", path), 0);
	EQ(get(c, &oid, 100), -ENOENT);
	objcache_close(c);
}

TEST(a_large_object_is_whole_or_not_there)
{
	autofree char *data = calloc(1, LARGE);
	struct objcache *c = set_up(0);
	struct vfs_oid oid = hash(data, LARGE);
	struct objcache_part p;
	int fd;

	EQ(objcache_part_begin(c, &oid, LARGE, &p), 0);
	EQ(pwrite(p.fd, "x", 1, 5), 1);
	EQ(objcache_part_keep(c, &p), -EBADMSG);
	EQ(objcache_read(c, &oid, LARGE), -ENOENT);
	EQ(pwrite(p.fd, "", 1, 5), 1);
	EQ(objcache_part_keep(c, &p), 0);
	EQ(pread(p.fd, data, 1, 5), 1);
	objcache_part_end(c, &p);
	EQ(files_in_tmp(), 0);
	fd = objcache_read(c, &oid, LARGE);
	OK(fd >= 0);
	close(fd);
	objcache_close(c);
}

TEST(a_directory_has_a_checksum)
{
	static const char text[] = "100644 blob ...";
	struct objcache *c = set_up(0);
	struct vfs_oid oid = hash("x", 1);
	char path[128 + 2], *got;
	size_t n;
	int fd;

	EQ(objcache_get_dir(c, &oid, &got, &n), -ENOENT);
	EQ(objcache_put_dir(c, &oid, text, sizeof(text)), 0);
	EQ(objcache_get_dir(c, &oid, &got, &n), 0);
	EQ(n, sizeof(text));
	STR_EQ(got, text);
	free(got);
	EQ(get(c, &oid, 1), -ENOENT);

	path_of(&oid, path);
	strcat(path, ".d");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	EQ(pwrite(fd, "2", 1, 0), 1);
	close(fd);
	EQ(objcache_get_dir(c, &oid, &got, &n), -ENOENT);
	EQ(access(path, F_OK), -1);
	EQ(objcache_put_dir(c, &oid, NULL, 0), 0);
	EQ(objcache_get_dir(c, &oid, &got, &n), 0);
	EQ(n, 0);
	free(got);
	objcache_close(c);
}

TEST(what_a_kill_left_is_removed)
{
	struct objcache *c = set_up(0);
	struct vfs_oid oid = hash("x", 1);
	struct objcache_part p;

	EQ(objcache_part_begin(c, &oid, LARGE, &p), 0);
	EQ(files_in_tmp(), 1);
	close(p.fd);
	objcache_close(c);
	c = set_up(0);
	EQ(files_in_tmp(), 0);
	objcache_close(c);
}

TEST(the_oldest_go_when_it_is_full)
{
	struct objcache *c = set_up(100000);
	struct vfs_oid first, last;
	unsigned left = 0;
	char path[128];

	first = put(c, 0, 10000);
	for (unsigned i = 1; i < 10; i++) {
		const struct timespec old[] = {{.tv_sec = i}, {.tv_sec = i}};

		last = put(c, i, 10000);
		path_of(&last, path);
		EQ(utimensat(AT_FDCWD, path, old, 0), 0);
	}
	path_of(&first, path);
	EQ(utimensat(AT_FDCWD, path, (struct timespec[2]){{0}}, 0), 0);
	EQ(get(c, &first, 10000), 0);
	last = put(c, 10, 10000);
	EQ(get(c, &first, 10000), -ENOENT);
	EQ(get(c, &last, 10000), 0);
	for (unsigned i = 1; i <= 10; i++) {
		autofree char *data = calloc(1, 10000);
		struct vfs_oid oid;

		memcpy(data, &i, sizeof(i));
		oid = hash(data, 10000);
		left += get(c, &oid, 10000) == 0;
	}
	EQ(left, 7);
	objcache_close(c);
}

TEST(large_objects_under_way_are_bounded)
{
	struct objcache *c = set_up(2 * LARGE);
	struct vfs_oid oid = hash("x", 1);
	struct objcache_part p, q;

	EQ(objcache_part_begin(c, &oid, LARGE, &p), 0);
	EQ(objcache_part_begin(c, &oid, 1, &q), -EFBIG);
	objcache_part_end(c, &p);
	EQ(objcache_part_begin(c, &oid, 1, &q), 0);
	objcache_part_end(c, &q);
	EQ(files_in_tmp(), 0);
	objcache_close(c);
}

TESTS(CASE(ids_are_those_of_git), CASE(what_was_put_is_got_also_later),
      CASE(a_damaged_object_is_not_there),
      CASE(a_large_object_is_whole_or_not_there),
      CASE(a_directory_has_a_checksum), CASE(what_a_kill_left_is_removed),
      CASE(the_oldest_go_when_it_is_full),
      CASE(large_objects_under_way_are_bounded))
