// SPDX-License-Identifier: Apache-2.0
/*
 * packed.c - Read a large file out of a pack, piece by piece
 *
 * gitformat-pack(5).  An index, version 2, is a head of 8 bytes; 256 numbers, how
 * many ids begin with at most that byte; the ids, sorted; a checksum for each; an
 * offset of 4 bytes for each, or, with its top bit set, the place of one of 8
 * bytes behind them.  At the offset in the pack are the kind and the size, seven
 * bits a byte, the lowest first, and then what zlib has made of the object.
 */
#include "vfs/packed.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define MAGIC	  "\377tOc\0\0\0\2"
#define HEAD	  8
#define FANOUT	  256
#define IDS_AT	  (HEAD + FANOUT * 4)
#define DISTANT	  0x80000000u
#define KIND_BLOB 3
#define IN_MAX	  (64u << 10)
#define STEM_MAX  64

struct vfs_packed {
	int fd;
	uint64_t at; /* In the pack: what is read next. */
	uint64_t left;
	z_stream z;
	unsigned char in[IN_MAX];
};

/* --- the index --- */

static bool read_at(int fd, uint64_t at, void *to, size_t n)
{
	return pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

static bool read_number(int fd, uint64_t at, uint32_t *out)
{
	bool ok = read_at(fd, at, out, sizeof(*out));

	*out = be32toh(*out);
	return ok;
}

/* The place of an id among those of the index. */
static bool find_place(int fd, const struct vfs_oid *oid, uint32_t *out)
{
	unsigned first = oid->b[0];
	uint32_t low = 0, high = 0;

	if ((first > 0 && !read_number(fd, HEAD + (first - 1) * 4ull, &low)) ||
	    !read_number(fd, HEAD + first * 4ull, &high))
		return false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct vfs_oid there;
		int order;

		if (!read_at(fd, IDS_AT + middle * (uint64_t)sizeof(there.b),
			     there.b, sizeof(there.b)))
			return false;
		order = memcmp(oid->b, there.b, sizeof(there.b));
		*out = middle;
		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* Where the blob is in the pack of this index. */
static bool find_offset(int fd, const struct vfs_oid *oid, uint64_t *out)
{
	uint64_t offsets, far;
	uint32_t place, total, offset;
	char head[HEAD];

	if (!read_at(fd, 0, head, sizeof(head)) ||
	    memcmp(head, MAGIC, sizeof(head)) != 0 ||
	    !read_number(fd, HEAD + (FANOUT - 1) * 4ull, &total) ||
	    !find_place(fd, oid, &place))
		return false;
	offsets = IDS_AT + total * (sizeof(oid->b) + 4ull);
	if (!read_number(fd, offsets + place * 4ull, &offset))
		return false;
	*out = offset;
	if ((offset & DISTANT) == 0)
		return true;
	if (!read_at(fd, offsets + total * 4ull + (offset & ~DISTANT) * 8ull,
		     &far, sizeof(far)))
		return false;
	*out = be64toh(far);
	return true;
}

/* --- the pack --- */

/* Is it a blob of p->left bytes?  p->at moves to its content. */
static bool read_kind(struct vfs_packed *p)
{
	unsigned char head[10];
	uint64_t size;
	unsigned i = 0, shift = 4;

	if (!read_at(p->fd, p->at, head, sizeof(head)))
		return false;
	size = head[0] & 15;
	for (; (head[i] & 0x80) != 0 && i + 1 < sizeof(head); shift += 7)
		size |= (uint64_t)(head[++i] & 0x7f) << shift;
	p->at += i + 1;
	return (head[0] >> 4 & 7) == KIND_BLOB && size == p->left;
}

static struct vfs_packed *begin(int pack, uint64_t offset, uint64_t size)
{
	struct vfs_packed *p = calloc(1, sizeof(*p));

	if (p == NULL || inflateInit(&p->z) != Z_OK) {
		free(p);
		close(pack);
		return NULL;
	}
	p->fd = pack;
	p->at = offset;
	p->left = size;
	if (read_kind(p))
		return p;
	vfs_packed_close(p);
	return NULL;
}

static struct vfs_packed *try_pack(int dir, const char *index,
				   const struct vfs_oid *blob, uint64_t size)
{
	autoclose int fd = openat(dir, index, O_RDONLY | O_CLOEXEC);
	size_t stem = strlen(index) - strlen(".idx");
	char name[STEM_MAX + sizeof(".pack")];
	uint64_t offset;
	int pack;

	if (fd < 0 || stem > STEM_MAX || !find_offset(fd, blob, &offset))
		return NULL;
	snprintf(name, sizeof(name), "%.*s.pack", (int)stem, index);
	pack = openat(dir, name, O_RDONLY | O_CLOEXEC);
	return pack < 0 ? NULL : begin(pack, offset, size);
}

/* --- the repository --- */

static struct vfs_packed *try_folder(const char *objects,
				     const struct vfs_oid *blob, uint64_t size)
{
	char path[PATH_MAX];
	struct vfs_packed *p = NULL;
	const struct dirent *entry;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s/pack", objects) >=
	    (int)sizeof(path))
		return NULL;
	d = opendir(path);
	while (d != NULL && p == NULL && (entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);

		if (n > 4 && strcmp(entry->d_name + n - 4, ".idx") == 0)
			p = try_pack(dirfd(d), entry->d_name, blob, size);
	}
	if (d != NULL)
		closedir(d);
	return p;
}

/* Those that it borrows from; ways are relative to its objects. */
static struct vfs_packed *
try_borrowed(const char *objects, const struct vfs_oid *blob, uint64_t size)
{
	char path[2 * PATH_MAX], line[PATH_MAX];
	struct vfs_packed *p = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/info/alternates", objects);
	f = fopen(path, "re");
	while (f != NULL && p == NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "%s/%s", objects, line);
		p = try_folder(line[0] == '/' ? line : path, blob, size);
	}
	if (f != NULL)
		fclose(f);
	return p;
}

struct vfs_packed *vfs_packed_open(const char *repo, const struct vfs_oid *blob,
				   uint64_t size)
{
	char objects[PATH_MAX];
	struct vfs_packed *p;

	if (snprintf(objects, sizeof(objects), "%s/objects", repo) >=
	    (int)sizeof(objects))
		return NULL;
	p = try_folder(objects, blob, size);
	return p != NULL ? p : try_borrowed(objects, blob, size);
}

static bool fill(struct vfs_packed *p)
{
	ssize_t n = pread(p->fd, p->in, sizeof(p->in), (off_t)p->at);

	if (n <= 0)
		return false;
	p->at += (uint64_t)n;
	p->z.next_in = p->in;
	p->z.avail_in = (uInt)n;
	return true;
}

int vfs_packed_read(struct vfs_packed *p, char *to, size_t n)
{
	uInt want = (uInt)(n < p->left ? n : p->left);
	int r = Z_OK;

	p->z.next_out = (unsigned char *)to;
	p->z.avail_out = want;
	while (r == Z_OK && p->z.avail_out > 0) {
		if (p->z.avail_in == 0 && !fill(p))
			return -EIO;
		r = inflate(&p->z, Z_NO_FLUSH);
	}
	if (p->z.avail_out > 0)
		return -EIO;
	p->left -= want;
	return (int)want;
}

void vfs_packed_close(struct vfs_packed *p)
{
	if (p == NULL)
		return;
	inflateEnd(&p->z);
	close(p->fd);
	free(p);
}
