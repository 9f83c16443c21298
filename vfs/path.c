// SPDX-License-Identifier: Apache-2.0
/*
 * path.c - How people name files of a workspace
 */
#include "vfs/path.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/utf8.h"

#define ROOT	"workspace"
#define KEY_MAX 64 /* Of a JSON member, with "_b64". */

static int wrong(struct err *e, const char *why)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "path: %s", why);
}

/* Append one component.  Return: 0 or the fault. */
static int add(struct vfs_path *p, const char *name, size_t n, struct err *e)
{
	if (n > VFS_PATH_NAME_MAX)
		return wrong(e, "a name has more than 255 bytes");
	if (n == 2 && memcmp(name, "..", 2) == 0)
		return err_set(e, -FAULT_PATH_ESCAPE, "path: '..' in it");
	if (n == 0 || (n == 1 && name[0] == '.'))
		return 0;
	if (p->len + (p->len > 0) + n > VFS_PATH_MAX)
		return wrong(e, "it has more than 4095 bytes");
	if (p->len > 0)
		p->text[p->len++] = '/';
	memcpy(p->text + p->len, name, n);
	p->len += n;
	return 0;
}

/* Is the text, as far as it goes, the absolute name of the root? */
static bool is_root(const struct vfs_path *p)
{
	return p->len == strlen(ROOT) && memcmp(p->text, ROOT, p->len) == 0;
}

int vfs_path_read(struct vfs_path *p, const char *in, size_t n, struct err *e)
{
	struct vfs_path out = {0};
	bool prefix = n > 0 && in[0] == '/';
	const char *end = in + n;

	if (n == 0 || n > VFS_PATH_INPUT_MAX)
		return wrong(e, n == 0 ? "it is empty" : "it is too long");
	if (memchr(in, '\0', n) != NULL)
		return wrong(e, "it has a NUL");
	while (in < end) {
		const char *slash = memchr(in, '/', (size_t)(end - in));
		const char *stop = slash != NULL ? slash : end;
		int r = add(&out, in, (size_t)(stop - in), e);

		if (r < 0)
			return r;
		if (prefix && out.len > 0) {
			prefix = false;
			if (is_root(&out))
				out.len = 0;
		}
		in = stop + 1;
	}
	out.text[out.len] = '\0';
	out.folder = out.len == 0 || end[-1] == '/' ||
		     (end[-1] == '.' && end[-2] == '/');
	*p = out;
	return 0;
}

int vfs_path_get(struct vfs_path *p, struct jv object, const char *key,
		 struct err *e)
{
	struct jv v = jv_get(object, key);
	autofree char *text = NULL;
	char name[KEY_MAX];
	size_t n;

	snprintf(name, sizeof(name), "%s_b64", key);
	if (jv_has(jv_get(object, name)))
		v = jv_get(object, name);
	else
		name[0] = '\0';
	text = jv_strdup(v, &n);
	if (text == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no string",
			       key);
	if (name[0] != '\0' && base64_read(text, &n) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no base64",
			       name);
	return vfs_path_read(p, text, n, e);
}

static bool is_utf8(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + n;

	while (p < end) {
		size_t len = utf8_len(p, end);

		if (len == 0)
			return false;
		p += len;
	}
	return true;
}

void vfs_path_put(struct jw *w, const char *key, const char *path, size_t n)
{
	char name[KEY_MAX];

	jw_key(w, key);
	jw_strn(w, path, n);
	if (is_utf8(path, n))
		return;
	snprintf(name, sizeof(name), "%s_b64", key);
	jw_key(w, name);
	base64_write(w, path, n);
}

int vfs_path_cmp(const char *a, const char *b)
{
	while (*a == *b && *a != '\0')
		a++, b++;
	if (*a == *b)
		return 0;
	if (*a == '\0' || *b == '\0')
		return *a == '\0' ? -1 : 1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}
