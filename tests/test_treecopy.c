// SPDX-License-Identifier: Apache-2.0
/*
 * test_treecopy.c - A copy of a folder is that folder, whoever has filled it
 */
#include "host/treecopy.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "host/acl.h"
#include "host/snapshot.h"
#include "host/tree.h"
#include "host/treewalk.h"
#include "tests/tap.h"

static char top[] = "/tmp/treecopy.XXXXXX";

static void leave(void)
{
	(void)tree_remove(top);
}

static void enter(void)
{
	OK(mkdtemp(top) != NULL);
	atexit(leave);
	OK(chdir(top) == 0 && mkdir("a", 0755) == 0);
}

static void fill(const char *path, const char *text, mode_t mode)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	OK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	OK(fchmod(fd, mode) == 0);
}

static int copy(const char *to)
{
	struct treecopy c = {
		.from_at = AT_FDCWD, .from = "a", .to_at = AT_FDCWD, .to = to};
	struct err e = {0};
	int r = treecopy(&c, &e);

	if (r < 0)
		fprintf(stderr, "# %s\n", e.msg);
	return r;
}

static void hash(const char *name, uint8_t out[TREE_HASH_LEN])
{
	uint64_t bytes = 0;

	EQ(treecopy_hash(AT_FDCWD, name, out, &bytes, NULL), 0);
}

static bool same(const char *x, const char *y)
{
	uint8_t one[TREE_HASH_LEN], two[TREE_HASH_LEN];

	hash(x, one);
	hash(y, two);
	return memcmp(one, two, sizeof(one)) == 0;
}

TEST(a_copy_has_the_same_hash)
{
	struct stat st, first;

	enter();
	fill("a/plain", "text", 0640);
	OK(mkdir("a/\n -rf \xff", 0711) == 0);
	fill("a/\n -rf \xff/x", "y", 04755);
	OK(symlink("/etc/passwd", "a/link") == 0);
	OK(link("a/plain", "a/second") == 0);
	OK(mkfifo("a/fifo", 0600) == 0);
	EQ(copy("b"), 0);
	OK(same("a", "b"));
	OK(lstat("b/link", &st) == 0 && S_ISLNK(st.st_mode));
	OK(stat("b/second", &st) == 0 && stat("b/plain", &first) == 0);
	EQ(st.st_ino, first.st_ino);
	OK(stat("a/plain", &st) == 0);
	EQ(st.st_mtim.tv_nsec, first.st_mtim.tv_nsec);
}

TEST(a_byte_a_name_and_a_mode_change_the_hash)
{
	enter();
	fill("a/x", "text", 0644);
	EQ(copy("b"), 0);
	fill("b/x", "texT", 0644);
	OK(!same("a", "b"));
	fill("b/x", "text", 0644);
	OK(same("a", "b"));
	OK(chmod("b/x", 0755) == 0);
	OK(!same("a", "b"));
	OK(chmod("b/x", 0644) == 0 && rename("b/x", "b/y") == 0);
	OK(!same("a", "b"));
}

TEST(a_hole_is_as_zeros)
{
	static char zeros[1 << 20];
	autoclose int fd = -1;
	struct stat st;

	enter();
	fd = open("a/x", O_RDWR | O_CREAT, 0600);
	OK(fd >= 0 && write(fd, zeros, sizeof(zeros)) == sizeof(zeros) &&
	   pwrite(fd, "end", 3, 64 << 20) == 3);
	EQ(copy("b"), 0);
	OK(same("a", "b"));
	OK(stat("b/x", &st) == 0);
	EQ(st.st_size, (64 << 20) + 3);
	OK(st.st_blocks * 512 < 256 << 10);
}

TEST(what_its_owner_has_closed_is_copied)
{
	struct stat st;

	enter();
	OK(mkdir("a/shut", 0700) == 0);
	fill("a/shut/x", "secret", 0);
	OK(chmod("a/shut", 0) == 0);
	if (geteuid() == 0)
		OK(lchown(top, 65534, 65534) == 0 &&
		   lchown("a", 65534, 65534) == 0 &&
		   chmod("a/shut", 0700) == 0 &&
		   lchown("a/shut/x", 65534, 65534) == 0 &&
		   lchown("a/shut", 65534, 65534) == 0 &&
		   chmod("a/shut", 0) == 0 && setgid(65534) == 0 &&
		   setuid(65534) == 0);
	EQ(copy("b"), 0);
	OK(stat("a/shut", &st) == 0 && (st.st_mode & 07777) == 0);
	OK(stat("b/shut", &st) == 0 && (st.st_mode & 07777) == 0);
	OK(same("a", "b"));
	OK(chmod("a/shut", 0700) == 0 && chmod("b/shut", 0700) == 0);
}

/* An ACL: rwx for the owner, r for user @id, nothing for the others. */
static size_t make_acl(uint8_t out[64], uint32_t id)
{
	const struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[] = {{1, 7, UINT32_MAX},
		       {2, 4, id},
		       {4, 0, UINT32_MAX},
		       {16, 4, UINT32_MAX},
		       {32, 0, UINT32_MAX}};
	const uint32_t version = 2;

	memcpy(out, &version, 4);
	memcpy(out + 4, entries, sizeof(entries));
	return 4 + sizeof(entries);
}

static bool has_acl(const char *path, const char *name, uint32_t id)
{
	uint8_t want[64], got[64];
	size_t n = make_acl(want, id);

	return getxattr(path, name, got, sizeof(got)) == (ssize_t)n &&
	       memcmp(want, got, n) == 0;
}

/* Does the file system have ACLs? */
static bool put_acl(const char *path, const char *name, uint32_t id)
{
	uint8_t acl[64];
	size_t n = make_acl(acl, id);

	return setxattr(path, name, acl, n, 0) == 0 || errno != ENOTSUP;
}

TEST(acls_and_capabilities_go_along_with_their_ids)
{
	struct treecopy c = {.from_at = AT_FDCWD,
			     .from = "a",
			     .to_at = AT_FDCWD,
			     .to = "b",
			     .first = 1000,
			     .becomes = 2000,
			     .n = 10};
	/* Revision 3, effective: net_bind_service; of the user 1000's root. */
	const uint32_t caps[] = {0x03000001, 1u << 10, 0, 0, 0, 1000};
	uint32_t got[6] = {0};
	struct stat st;

	enter();
	OK(mkdir("a/d", 0755) == 0);
	fill("a/d/x", "x", 0640);
	fill("a/y", "y", 0755);
	if (geteuid() != 0 || !put_acl("a/d", ACL_DEFAULT, 1001))
		return;
	OK(put_acl("a/d/x", ACL_ACCESS, 1002) &&
	   put_acl("a/y", ACL_ACCESS, 5000));
	OK(setxattr("a/y", ACL_CAPABILITY, caps, sizeof(caps), 0) == 0);
	EQ(treecopy(&c, NULL), 0);
	OK(has_acl("b/d", ACL_DEFAULT, 2001));
	OK(has_acl("b/d/x", ACL_ACCESS, 2002));
	OK(has_acl("b/y", ACL_ACCESS, 5000));
	EQ(getxattr("b/y", ACL_CAPABILITY, got, sizeof(got)), sizeof(got));
	EQ(got[5], 2000);
	OK(stat("b/d/x", &st) == 0 && (st.st_mode & 07777) == 0740);
}

TEST(too_deep_is_refused)
{
	enter();
	OK(chdir("a") == 0);
	for (int i = 0; i < TREEWALK_DEPTH_MAX + 8; i++)
		OK(mkdir("d", 0700) == 0 && chdir("d") == 0);
	OK(chdir(top) == 0);
	EQ(copy("b"), -FAULT_QUOTA_EXCEEDED);
}

static bool wants(const char *path)
{
	return strncmp(path, "no", 2) != 0;
}

TEST(what_is_not_wanted_stays)
{
	struct treecopy c = {.from_at = AT_FDCWD,
			     .from = "a",
			     .to_at = AT_FDCWD,
			     .to = "b",
			     .wants = wants};

	enter();
	OK(mkdir("a/no", 0700) == 0 && mkdir("a/yes", 0700) == 0);
	fill("a/no/x", "x", 0600);
	fill("a/yes/x", "x", 0600);
	fill("a/nothing", "x", 0600);
	EQ(treecopy(&c, NULL), 0);
	OK(access("b/no", F_OK) < 0 && access("b/nothing", F_OK) < 0);
	OK(access("b/yes/x", F_OK) == 0);
}

static int read_text(const char *text)
{
	autosnapshot struct snapshot s = {0};

	return snapshot_read(&s, text, strlen(text), NULL);
}

#define GOOD                                                               \
	"\"hibernacle\":1,\"kind\":\"snapshot\",\"of\":\"disk\","          \
	"\"snapshot\":\"snp_0192e4a7c07b7e8f8a2b3c4d5e6f7081\","           \
	"\"vm\":\"vm_0192e4a7c07b7e8f8a2b3c4d5e6f7081\",\"created_ms\":1," \
	"\"config\":{\"backend\":\"sandbox\",\"image\":\"host\"},"         \
	"\"workspace\":{\"n\":1}"

TEST(a_manifest_that_makes_no_sense_is_refused)
{
	const int bad = -FAULT_INVALID_ARGUMENT;

	EQ(read_text("{" GOOD ",\"cursors\":{}}"), 0);
	EQ(read_text("{" GOOD "}"), bad);
	EQ(read_text("{" GOOD ",\"cursors\":{\"x\":1}}"), bad);
	EQ(read_text("{" GOOD ",\"cursors\":{},\"parent\":\"../x\"}"), bad);
	EQ(read_text("{" GOOD ",\"cursors\":{},\"vm\":\"../../x\"}"), bad);
	EQ(read_text("{" GOOD ",\"cursors\":{},\"hibernacle\":2}"), bad);
	EQ(read_text("{" GOOD ",\"cursors\":{},\"workspace\":{\"n\":0}}"), bad);
	EQ(read_text("{" GOOD ",\"cursors\":{},\"config\":{\"backend\":\"/\","
		     "\"image\":\"host\"}}"),
	   bad);
	EQ(read_text("[]"), bad);
	EQ(read_text("{"), bad);
}

TESTS(CASE(a_copy_has_the_same_hash),
      CASE(a_byte_a_name_and_a_mode_change_the_hash), CASE(a_hole_is_as_zeros),
      CASE(what_its_owner_has_closed_is_copied),
      CASE(acls_and_capabilities_go_along_with_their_ids),
      CASE(too_deep_is_refused), CASE(what_is_not_wanted_stays),
      CASE(a_manifest_that_makes_no_sense_is_refused))
