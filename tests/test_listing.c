// SPDX-License-Identifier: Apache-2.0
/*
 * test_listing.c - Directories as `git ls-tree -lz` prints them
 */
#include "vfs/listing.h"

#include "tests/tap.h"

#define HEX "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
/* A string with NULs in it. */
#define TEXT(s) s, sizeof(s) - 1

static int read_all(const char *data, size_t n, int *entries)
{
	struct listing_reader r;
	struct vfs_entry entry;
	struct err e = {0};
	int got = listing_read(&r, data, n, &e);

	*entries = 0;
	if (got < 0)
		return got;
	while ((got = listing_next(&r, &entry, &e)) > 0)
		++*entries;
	EQ(e.code, got);
	EQ(listing_next(&r, &entry, NULL), 0);
	return got;
}

static struct vfs_entry file(const char *name, uint32_t mode, uint64_t size)
{
	struct vfs_entry entry = {
		.mode = mode,
		.size = size,
		.name = name,
		.name_len = strlen(name),
	};

	OK(vfs_oid_parse(HEX, &entry.oid) == 0);
	return entry;
}

TEST(a_listing_of_git_is_read)
{
	static const char text[] = "100644 blob " HEX "      12\t.git\0"
				   "100755 blob " HEX "       0\ta\nb\0"
				   "040755 tree " HEX "       -\tdir\0"
				   "120000 blob " HEX "       3\tlink\xff";
	struct listing_reader r;
	struct vfs_entry entry;
	char hex[VFS_OID_HEX];

	EQ(listing_read(&r, text, sizeof(text), NULL), 0);
	EQ(listing_next(&r, &entry, NULL), 1);
	EQ(entry.mode, 0100644);
	EQ(entry.size, 12);
	STR_EQ(entry.name, ".git");
	STR_EQ(vfs_oid_format(&entry.oid, hex), HEX);
	EQ(listing_next(&r, &entry, NULL), 1);
	STR_EQ(entry.name, "a\nb");
	EQ(entry.name_len, 3);
	EQ(listing_next(&r, &entry, NULL), 1);
	EQ(entry.mode, 040755);
	EQ(entry.size, 0);
	EQ(listing_next(&r, &entry, NULL), 1);
	EQ(entry.mode, 0120000);
	STR_EQ(entry.name, "link\xff");
	EQ(listing_next(&r, &entry, NULL), 0);
	EQ(listing_read(&r, NULL, 0, NULL), 0);
	EQ(listing_next(&r, &entry, NULL), 0);
}

TEST(what_cannot_be_in_a_directory_is_refused)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		{TEXT("100644 blob " HEX " 1\t.\0")},
		{TEXT("040755 tree " HEX " -\t..\0")},
		{TEXT("100644 blob " HEX " 1\t\0")},
		{TEXT("100644 blob " HEX " 1\ta/b\0")},
		{TEXT("100644 blob " HEX " 1\tno end")},
		{TEXT("100644 blob " HEX " 1")},
		{TEXT("100644 blob " HEX " 1 name\0")},
		{TEXT("100644 blob " HEX " -\ta\0")},
		{TEXT("100644 blob " HEX " -1\ta\0")},
		{TEXT("100644 blob " HEX " 01\ta\0")},
		{TEXT("100644 blob " HEX " \ta\0")},
		{TEXT("100644 blob " HEX " 1099511627777\ta\0")},
		{TEXT("100644 blob " HEX " 18446744073709551617\ta\0")},
		{TEXT("100644 tree " HEX " -\ta\0")},
		{TEXT("040755 blob " HEX " 1\ta\0")},
		{TEXT("040755 tree " HEX " 1\ta\0")},
		{TEXT("160000 commit " HEX " -\ta\0")},
		{TEXT("160000 blob " HEX " 1\ta\0")},
		{TEXT("020644 blob " HEX " 1\ta\0")},
		{TEXT("120777 blob " HEX " 1\ta\0")},
		{TEXT("120000 blob " HEX " 0\ta\0")},
		{TEXT("120000 blob " HEX " 4096\ta\0")},
		{TEXT("10064 blob " HEX " 1\ta\0")},
		{TEXT("100844 blob " HEX " 1\ta\0")},
		{TEXT("100644  blob " HEX " 1\ta\0")},
		{TEXT("100644 blob 4B825dc642cb6eb9a060e54bf8d69288fbee4904"
		      " 1\ta\0")},
		{TEXT("100644 blob 4b82 1\ta\0")},
		{TEXT("\n100644 blob " HEX " 1\ta\0")},
		{TEXT("\0")},
	};
	int entries;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (read_all(bad[i].text, bad[i].n, &entries) != -EINVAL)
			FAIL("taken: %s", bad[i].text);
}

TEST(names_come_in_order_and_once)
{
	int n;

	EQ(read_all(TEXT("100644 blob " HEX " 1\ta\0"
			 "100644 blob " HEX " 1\tab\0"
			 "100644 blob " HEX " 1\tb\0"
			 "100644 blob " HEX " 1\t\x80\0"),
		    &n),
	   0);
	EQ(n, 4);
	EQ(read_all(TEXT("100644 blob " HEX " 1\tb\0"
			 "100644 blob " HEX " 1\ta\0"),
		    &n),
	   -EINVAL);
	EQ(read_all(TEXT("100644 blob " HEX " 1\ta\0"
			 "040755 tree " HEX " -\ta\0"),
		    &n),
	   -EINVAL);
	EQ(n, 1);
}

TEST(a_long_name_is_a_name_up_to_255_bytes)
{
	char name[257];
	struct vfs_entry entry;
	struct listing_writer w = {0};

	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	entry = file(name, 0100644, 1);
	EQ(listing_add(&w, &entry, NULL), -EINVAL);
	name[255] = '\0';
	entry = file(name, 0100644, 1);
	EQ(listing_add(&w, &entry, NULL), 0);
	listing_writer_done(&w);
}

TEST(what_is_written_is_sorted_and_read_again)
{
	static const char *const given[] = {"dir", "dir.c", "a", "z", "dir-"};
	static const char *const want[] = {"a", "dir", "dir-", "dir.c", "z"};
	struct listing_writer w = {0};
	struct listing_reader r;
	struct vfs_entry entry;
	autojw struct jw out = {0};

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		entry = file(given[i], i == 0 ? 040700 : 0100600,
			     i == 0 ? 0 : i);
		EQ(listing_add(&w, &entry, NULL), 0);
	}
	EQ(listing_end(&w, &out, NULL), 0);
	EQ(listing_read(&r, out.buf, out.len, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		EQ(listing_next(&r, &entry, NULL), 1);
		STR_EQ(entry.name, want[i]);
		EQ(entry.mode, i == 1 ? 040700 : 0100600);
	}
	EQ(listing_next(&r, &entry, NULL), 0);
}

TEST(nothing_is_written_of_nothing)
{
	struct listing_writer w = {0};
	autojw struct jw out = {0};

	EQ(listing_end(&w, &out, NULL), 0);
	EQ(out.len, 0);
}

TEST(a_name_added_twice_is_found_out)
{
	static const char *const given[] = {"b", "a", "b"};
	struct listing_writer w = {0};
	autojw struct jw out = {0};
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		struct vfs_entry entry = file(given[i], 0100644, 1);

		EQ(listing_add(&w, &entry, &e), 0);
	}
	EQ(listing_end(&w, &out, &e), -EEXIST);
	EQ(e.code, -EEXIST);
	EQ(out.len, 0);
}

TESTS(CASE(a_listing_of_git_is_read),
      CASE(what_cannot_be_in_a_directory_is_refused),
      CASE(names_come_in_order_and_once),
      CASE(a_long_name_is_a_name_up_to_255_bytes),
      CASE(what_is_written_is_sorted_and_read_again),
      CASE(nothing_is_written_of_nothing),
      CASE(a_name_added_twice_is_found_out))
