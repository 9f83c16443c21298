// SPDX-License-Identifier: Apache-2.0
/*
 * listing.c - A whole directory as bytes, in the format of `git ls-tree -lz`
 *
 * The writer keeps the finished lines and, beside them, where each begins: most
 * directories come sorted and are handed on as they are.  Git's own order
 * differs from ours where it sorts a folder as if its name ended in '/', and
 * where a name is stored escaped.
 */
#include "vfs/listing.h"

#include <stdio.h>
#include <string.h>

#define MODE_DIGITS 6
#define SIZE_CHARS  20 /* Blanks and digits, at most. */
#define HEAD_MAX    (MODE_DIGITS + sizeof(" blob ") + VFS_OID_HEX + SIZE_CHARS + 4)

struct listing_line {
	struct vfs_entry entry; /* Its name: only as long as the text stays. */
	size_t at, name_at, len;
};

int listing_read(struct listing_reader *r, const char *data, size_t n,
		 struct err *e)
{
	if (n > LISTING_BYTES_MAX)
		return err_set(e, -EMSGSIZE,
			       "a listing of %zu bytes is too long", n);
	*r = (struct listing_reader){.p = data, .end = n ? data + n : data};
	return 0;
}

/* The pieces of a line; each moves @p behind what it took, or gives false. */

static bool take_text(const char **p, const char *end, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(end - *p) < n || memcmp(*p, text, n) != 0)
		return false;
	*p += n;
	return true;
}

static bool take_mode(const char **p, const char *end, uint32_t *out)
{
	uint32_t mode = 0;

	if (end - *p < MODE_DIGITS)
		return false;
	for (int i = 0; i < MODE_DIGITS; i++, ++*p) {
		if (**p < '0' || **p > '7')
			return false;
		mode = mode << 3 | (uint32_t)(**p - '0');
	}
	*out = mode;
	return true;
}

static bool take_oid(const char **p, const char *end, struct vfs_oid *out)
{
	char hex[VFS_OID_HEX] = {0};

	if (end - *p < VFS_OID_HEX - 1)
		return false;
	memcpy(hex, *p, VFS_OID_HEX - 1);
	*p += VFS_OID_HEX - 1;
	return vfs_oid_parse(hex, out) == 0;
}

/* At most SIZE_CHARS characters, so that the number cannot overflow before it
 * is compared. */
static bool take_size(const char **p, const char *end, uint64_t *out)
{
	const char *stop = end - *p > SIZE_CHARS ? *p + SIZE_CHARS : end;
	const char *first;
	uint64_t size = 0;

	while (*p < stop && **p == ' ')
		++*p;
	first = *p;
	for (; *p < stop && **p >= '0' && **p <= '9'; ++*p) {
		size = size * 10 + (uint64_t)(**p - '0');
		if (size > VFS_SIZE_MAX)
			return false;
	}
	*out = size;
	return *p > first && (*first != '0' || *p == first + 1);
}

static bool take_dash(const char **p, const char *end)
{
	const char *stop = end - *p > SIZE_CHARS ? *p + SIZE_CHARS : end;

	while (*p < stop && **p == ' ')
		++*p;
	return take_text(p, end, "-");
}

static bool take_head(const char **p, const char *end, struct vfs_entry *out)
{
	bool is_dir;

	if (!take_mode(p, end, &out->mode))
		return false;
	is_dir = S_ISDIR(out->mode);
	if (!take_text(p, end, is_dir ? " tree " : " blob ") ||
	    !take_oid(p, end, &out->oid) || !take_text(p, end, " "))
		return false;
	if (is_dir ? !take_dash(p, end) : !take_size(p, end, &out->size))
		return false;
	return take_text(p, end, "\t");
}

static int bad_line(struct listing_reader *r, struct err *e)
{
	return err_set(e, -EINVAL, "line %zu of a listing is not one",
		       r->n + 1);
}

static int next(struct listing_reader *r, struct vfs_entry *out, struct err *e)
{
	const char *p = r->p, *nul;

	if (r->n == LISTING_ENTRIES_MAX)
		return err_set(e, -EMSGSIZE,
			       "a listing has more than %u entries",
			       LISTING_ENTRIES_MAX);
	if (!take_head(&p, r->end, out))
		return bad_line(r, e);
	nul = memchr(p, '\0', (size_t)(r->end - p));
	if (nul == NULL)
		return bad_line(r, e);
	out->name = p;
	out->name_len = (size_t)(nul - p);
	if (vfs_entry_check(out, e) < 0)
		return err_wrap(e, "line %zu of a listing", r->n + 1);
	if (r->n > 0 && vfs_entry_order(&r->last, out) >= 0)
		return err_set(e, -EINVAL,
			       "line %zu of a listing is out of order",
			       r->n + 1);
	r->p = nul + 1;
	return 1;
}

int listing_next(struct listing_reader *r, struct vfs_entry *out, struct err *e)
{
	struct vfs_entry entry = {0};
	int got;

	if (r->p == r->end)
		return 0;
	got = next(r, &entry, e);
	if (got < 0) {
		r->p = r->end;
		return got;
	}
	r->n++;
	r->last = entry;
	*out = entry;
	return 1;
}

void listing_writer_init(struct listing_writer *w)
{
	*w = (struct listing_writer){0};
}

void listing_writer_done(struct listing_writer *w)
{
	jw_done(&w->text);
	free(w->lines);
	listing_writer_init(w);
}

static struct listing_line *new_line(struct listing_writer *w)
{
	size_t cap = w->cap > 0 ? 2 * w->cap : 64;
	struct listing_line *lines;

	if (w->n == w->cap) {
		lines = realloc(w->lines, cap * sizeof(*lines));
		if (lines == NULL)
			return NULL;
		w->lines = lines;
		w->cap = cap;
	}
	return &w->lines[w->n];
}

static size_t format_head(const struct vfs_entry *entry, char head[HEAD_MAX])
{
	char hex[VFS_OID_HEX], size[SIZE_CHARS + 1] = "-";
	bool is_dir = S_ISDIR(entry->mode);
	int n;

	if (!is_dir)
		snprintf(size, sizeof(size), "%llu",
			 (unsigned long long)entry->size);
	n = snprintf(head, HEAD_MAX, "%06o %s %s %s\t", entry->mode,
		     is_dir ? "tree" : "blob", vfs_oid_format(&entry->oid, hex),
		     size);
	return (size_t)n;
}

/* Lines move when the text grows, so names are looked up each time. */
static const struct vfs_entry *entry_at(struct listing_writer *w, size_t i)
{
	w->lines[i].entry.name = w->text.buf + w->lines[i].name_at;
	return &w->lines[i].entry;
}

int listing_add(struct listing_writer *w, const struct vfs_entry *entry,
		struct err *e)
{
	struct listing_line *line;
	char head[HEAD_MAX];
	size_t head_len, len;
	int r = vfs_entry_check(entry, e);

	if (r < 0)
		return r;
	head_len = format_head(entry, head);
	len = head_len + entry->name_len + 1;
	if (w->n == LISTING_ENTRIES_MAX ||
	    len > LISTING_BYTES_MAX - w->text.len)
		return err_set(e, -EMSGSIZE,
			       "a directory is too large to list");
	line = new_line(w);
	if (line == NULL)
		return err_set(e, -ENOMEM, "listing: out of memory");

	*line = (struct listing_line){
		.entry = *entry,
		.at = w->text.len,
		.name_at = w->text.len + head_len,
		.len = len,
	};
	jw_lit(&w->text, head, head_len);
	jw_lit(&w->text, entry->name, entry->name_len);
	jw_lit(&w->text, "", 1);
	if (w->text.failed)
		return err_set(e, -ENOMEM, "listing: out of memory");
	w->n++;
	if (w->n > 1 &&
	    vfs_entry_order(entry_at(w, w->n - 2), entry_at(w, w->n - 1)) >= 0)
		w->unsorted = true;
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	const struct listing_line *x = a, *y = b;

	return vfs_entry_order(&x->entry, &y->entry);
}

/* Return: 0 or -EEXIST. */
static int write_sorted(struct listing_writer *w, struct jw *out)
{
	for (size_t i = 0; i < w->n; i++)
		(void)entry_at(w, i);
	qsort(w->lines, w->n, sizeof(*w->lines), compare_lines);
	for (size_t i = 1; i < w->n; i++)
		if (compare_lines(&w->lines[i - 1], &w->lines[i]) == 0)
			return -EEXIST;
	for (size_t i = 0; i < w->n; i++)
		jw_lit(out, w->text.buf + w->lines[i].at, w->lines[i].len);
	return 0;
}

int listing_end(struct listing_writer *w, struct jw *out, struct err *e)
{
	int r = 0;

	if (w->unsorted)
		r = write_sorted(w, out);
	else if (w->n > 0)
		jw_lit(out, w->text.buf, w->text.len);
	listing_writer_done(w);
	if (r < 0)
		return err_set(e, r, "a directory has a name twice");
	return out->failed ? err_set(e, -ENOMEM, "listing: out of memory") : 0;
}
