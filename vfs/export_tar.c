// SPDX-License-Identifier: Apache-2.0
/*
 * export_tar.c - The files of a commit as a tar file (POSIX pax)
 *
 * Each entry is a block of 512 bytes and its content, filled up to full blocks.
 * What does not fit into the block (names of more than 100 bytes, sizes of 8
 * GiB) is said in an extended header before it, in records of the form
 * "<length> <key>=<value>\n".  Two empty blocks are the end.
 */
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/utf8.h"
#include "vfs/export.h"
#include "vfs/history.h"
#include "vfs/walk.h"

#define BLOCK	   512
#define SIZE_FIELD ((1ull << 33) - 1) /* The largest that fits: 11 digits. */

/* POSIX ustar. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
	char type, target[100], magic[6], version[2], uname[32], gname[32];
	char major[8], minor[8], prefix[155], fill[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "one block");

struct tar {
	struct vfs_repo *repo;
	vfs_data_cb write;
	void *arg;
	uint64_t mtime;
	struct err *e;
};

static const char zeros[BLOCK];

static int fill_up(struct tar *t, uint64_t size)
{
	size_t rest = size % BLOCK;

	return rest == 0 ? 0 : t->write(zeros, BLOCK - rest, t->arg);
}

/* --- headers ------------------------------------------------------------ */

static void put_number(char *field, size_t width, uint64_t n)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%0*llo", (int)width - 1,
		 (unsigned long long)n);
	memcpy(field, digits, width);
}

static void put_text(char *field, size_t width, const char *text, size_t n)
{
	memcpy(field, text, n < width ? n : width);
}

static void put_sum(struct header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	put_number(h->sum, 7, sum);
}

struct entry {
	char type;
	const char *path, *target; /* target: of a link; else "". */
	size_t path_len, target_len;
	uint32_t mode;
	uint64_t size;
};

static int write_header(struct tar *t, const struct entry *en)
{
	struct header h = {
		.type = en->type,
		.magic = "ustar",
		.version = {'0', '0'},
	};

	put_text(h.name, sizeof(h.name), en->path, en->path_len);
	put_text(h.target, sizeof(h.target), en->target, en->target_len);
	put_number(h.mode, sizeof(h.mode), en->mode & 07777);
	put_number(h.uid, sizeof(h.uid), 0);
	put_number(h.gid, sizeof(h.gid), 0);
	put_number(h.size, sizeof(h.size),
		   en->size <= SIZE_FIELD ? en->size : 0);
	put_number(h.mtime, sizeof(h.mtime), t->mtime);
	put_number(h.major, sizeof(h.major), 0);
	put_number(h.minor, sizeof(h.minor), 0);
	put_sum(&h);
	return t->write(&h, sizeof(h), t->arg);
}

/* --- extended headers --------------------------------------------------- */

/* The length of a record counts its own digits. */
static void put_record(struct jw *w, const char *key, const char *value,
		       size_t n)
{
	size_t rest = strlen(key) + n + 3, len = rest + 1;
	char digits[24];

	while (rest + (size_t)snprintf(digits, sizeof(digits), "%zu", len) !=
	       len)
		len = rest + strlen(digits);
	jw_lit(w, digits, strlen(digits));
	jw_lit(w, " ", 1);
	jw_lit(w, key, strlen(key));
	jw_lit(w, "=", 1);
	jw_lit(w, value, n);
	jw_lit(w, "\n", 1);
}

static bool is_utf8(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + n;
	size_t len = 1;

	for (; p < end && len > 0; p += len)
		len = utf8_len(p, end);
	return p == end;
}

static void put_records(struct jw *w, const struct entry *en)
{
	bool long_path = en->path_len > sizeof(((struct header *)0)->name);
	bool long_target =
		en->target_len > sizeof(((struct header *)0)->target);
	char size[24];

	if ((long_path && !is_utf8(en->path, en->path_len)) ||
	    (long_target && !is_utf8(en->target, en->target_len)))
		put_record(w, "hdrcharset", "BINARY", 6);
	if (long_path)
		put_record(w, "path", en->path, en->path_len);
	if (long_target)
		put_record(w, "linkpath", en->target, en->target_len);
	if (en->size > SIZE_FIELD)
		put_record(w, "size", size,
			   (size_t)snprintf(size, sizeof(size), "%llu",
					    (unsigned long long)en->size));
}

static int write_entry(struct tar *t, const struct entry *en)
{
	autojw struct jw records = {0};
	struct entry x = {
		.type = 'x',
		.path = "././@PaxHeader",
		.path_len = sizeof("././@PaxHeader") - 1,
		.target = "",
		.mode = 0644,
	};
	int r = 0;

	put_records(&records, en);
	if (records.failed)
		return err_set(t->e, -ENOMEM, "tar: out of memory");
	if (records.len > 0) {
		x.size = records.len;
		r = write_header(t, &x);
		if (r == 0)
			r = t->write(records.buf, records.len, t->arg);
		if (r == 0)
			r = fill_up(t, records.len);
	}
	return r != 0 ? r : write_header(t, en);
}

/* --- entries ------------------------------------------------------------ */

static int append(const void *data, size_t n, void *arg)
{
	jw_lit(arg, data, n);
	return 0;
}

static int put_link(struct tar *t, struct entry *en, const struct vfs_oid *oid,
		    uint64_t size)
{
	autojw struct jw target = {0};
	int r = vfs_browse_read(t->repo, oid, 0, size, append, &target, t->e);

	if (r == 0 && target.failed)
		return err_set(t->e, -ENOMEM, "tar: out of memory");
	if (r != 0)
		return r;
	en->type = '2';
	en->mode = 0777;
	en->target = target.buf;
	en->target_len = target.len;
	return write_entry(t, en);
}

static int put_folder(struct tar *t, struct entry *en)
{
	char path[VFS_PATH_MAX + 2];

	en->path_len = (size_t)snprintf(path, sizeof(path), "%s/", en->path);
	en->path = path;
	en->type = '5';
	return write_entry(t, en);
}

static int put_file(struct tar *t, struct entry *en, const struct vfs_oid *oid)
{
	int r = write_entry(t, en);

	if (r == 0)
		r = vfs_browse_read(t->repo, oid, 0, en->size, t->write, t->arg,
				    t->e);
	return r != 0 ? r : fill_up(t, en->size);
}

static int on_entry(const char *path, const struct vfs_entry *entry, void *arg)
{
	struct entry en = {
		.type = '0',
		.path = path,
		.path_len = strlen(path),
		.target = "",
		.mode = entry->mode,
	};

	if (S_ISDIR(entry->mode))
		return put_folder(arg, &en);
	if (S_ISLNK(entry->mode))
		return put_link(arg, &en, &entry->oid, entry->size);
	en.size = entry->size;
	return put_file(arg, &en, &entry->oid);
}

int vfs_export_tar(struct vfs_repo *repo, const struct vfs_oid *commit,
		   vfs_data_cb write, void *arg, struct err *e)
{
	struct tar t = {.repo = repo, .write = write, .arg = arg, .e = e};
	struct vfs_history_commit c;
	int r;

	if (vfs_history_get(repo, commit, &c, NULL) == 0)
		t.mtime = (uint64_t)(c.time_ms / 1000);
	r = vfs_walk(repo, commit, on_entry, &t, e);
	if (r == 0)
		r = write(zeros, BLOCK, arg);
	return r != 0 ? r : write(zeros, BLOCK, arg);
}
