// SPDX-License-Identifier: Apache-2.0
/*
 * dirmeta.c - What git cannot hold of a directory: its entry `.hib-dir`
 *
 * A repository may have been changed by anyone, so a text is taken only in the
 * one form that it is written in: then entries can be found by halving.
 */
#include "vfs/dirmeta.h"

#include <string.h>

static int corrupt(struct err *e)
{
	return err_set(e, -FAULT_STORE_CORRUPT,
		       "a " VFS_DIRMETA_NAME " of a commit is damaged");
}

static bool is_name(const char *name, size_t n)
{
	return n > 0 && n <= VFS_NAME_MAX && memchr(name, '/', n) == NULL &&
	       !(n == 2 && memcmp(name, "..", 2) == 0);
}

/* Read a line of @n bytes; its name goes to @name, NUL-terminated. */
static int read_line(const char *line, size_t n, char *name, uint32_t *mode)
{
	uint32_t m = 0;
	int len;

	if (n < 6 || n > VFS_DIRMETA_LINE_MAX || line[4] != ' ')
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		if (line[i] < '0' || line[i] > '7')
			return -EINVAL;
		m = m << 3 | (uint32_t)(line[i] - '0');
	}
	len = vfs_unquote(line + 5, n - 5, name);
	if (len < 0 || !is_name(name, (size_t)len))
		return -EINVAL;
	name[len] = '\0';
	*mode = m;
	return len;
}

static size_t count_lines(const char *text, size_t n)
{
	size_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

static int read_all(struct vfs_dirmeta *m, const char *text, size_t n)
{
	char *name = m->names;
	const char *end = text + n;

	while (text < end) {
		const char *lf = memchr(text, '\n', (size_t)(end - text));
		struct vfs_dirmeta_entry *entry = &m->entries[m->n];
		int len;

		if (lf == NULL)
			return -EINVAL;
		len = read_line(text, (size_t)(lf - text), name, &entry->mode);
		if (len < 0 || (m->n > 0 && strcmp(entry[-1].name, name) >= 0))
			return -EINVAL;
		entry->name = name;
		m->n++;
		name += len + 1;
		text = lf + 1;
	}
	return 0;
}

int vfs_dirmeta_load(const char *text, size_t n, struct vfs_dirmeta *out,
		     struct err *e)
{
	struct vfs_dirmeta m = {0};

	if (n > VFS_DIRMETA_MAX)
		return corrupt(e);
	m.entries = calloc(count_lines(text, n) + 1, sizeof(*m.entries));
	m.names = malloc(n + 1);
	if (m.entries == NULL || m.names == NULL) {
		vfs_dirmeta_free(&m);
		return err_set(e, -FAULT_INTERNAL, "out of memory");
	}
	if (read_all(&m, text, n) < 0) {
		vfs_dirmeta_free(&m);
		return corrupt(e);
	}
	*out = m;
	return 0;
}

void vfs_dirmeta_free(struct vfs_dirmeta *m)
{
	free(m->entries);
	free(m->names);
	*m = (struct vfs_dirmeta){0};
}

static int compare(const void *name, const void *entry)
{
	return strcmp(name, ((const struct vfs_dirmeta_entry *)entry)->name);
}

uint32_t vfs_dirmeta_mode(const struct vfs_dirmeta *m, const char *name,
			  uint32_t otherwise)
{
	const struct vfs_dirmeta_entry *found = NULL;

	if (m->n > 0)
		found = bsearch(name, m->entries, m->n, sizeof(*m->entries),
				compare);
	return found != NULL ? found->mode : otherwise;
}

size_t vfs_dirmeta_line(char out[VFS_DIRMETA_LINE_MAX], const char *name,
			uint32_t mode)
{
	size_t n = 5;

	for (unsigned i = 0; i < 4; i++)
		out[i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
	out[4] = ' ';
	n += vfs_quote(name, strlen(name), out + n);
	out[n++] = '\n';
	return n;
}
