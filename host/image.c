// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - What VMs boot
 */
#include "host/image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MANIFEST_MAX (256u << 10)

bool image_name_is_good(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(name);

	return n <= IMAGE_NAME_MAX && strspn(name, letters) > 0 &&
	       strspn(name, rest) == n;
}

static bool find_in(const char *root, const char *name,
		    char out[IMAGE_PATH_MAX])
{
	char path[IMAGE_PATH_MAX + 16];
	struct stat st;

	snprintf(out, IMAGE_PATH_MAX, "%s/%.*s", root, IMAGE_NAME_MAX, name);
	snprintf(path, sizeof(path), "%s/manifest.json", out);
	return image_name_is_good(name) && stat(path, &st) == 0;
}

int image_dir(const struct home *h, const char *name, char out[IMAGE_PATH_MAX],
	      struct err *e)
{
	if (find_in(h->images, name, out) ||
	    find_in(h->shared_images, name, out))
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "there is no image '%.80s': 'hib image list' names "
		       "those that there are, 'hib image build' makes one",
		       name);
}

static int path_files(const char *path, char out[IMAGE_PATH_MAX], struct err *e)
{
	struct stat st;

	if ((size_t)snprintf(out, IMAGE_PATH_MAX, "%s", path) >= IMAGE_PATH_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the path of the image is too long");
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "image '%.200s' is no folder", path);
	return 0;
}

int image_files(const struct home *h, const char *image,
		char out[IMAGE_PATH_MAX], struct err *e)
{
	char dir[IMAGE_PATH_MAX];
	int r;

	if (image[0] == '/')
		return path_files(image, out, e);
	if (strcmp(image, IMAGE_HOST) == 0) {
		strcpy(out, IMAGE_HOST);
		return 0;
	}
	r = image_dir(h, image, dir, e);
	snprintf(out, IMAGE_PATH_MAX, "%.*s/rootfs",
		 (int)(IMAGE_PATH_MAX - sizeof("/rootfs")), dir);
	return r;
}

/* The text of a manifest.  Return: NULL when it cannot be read. */
static char *read_manifest(const char *dir, size_t *len)
{
	char path[IMAGE_PATH_MAX + 16];
	autoclose int fd = -1;
	char *text = malloc(MANIFEST_MAX);
	ssize_t n = -1;

	snprintf(path, sizeof(path), "%s/manifest.json", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && text != NULL)
		n = read(fd, text, MANIFEST_MAX);
	if (n <= 0) {
		free(text);
		return NULL;
	}
	*len = (size_t)n;
	return text;
}

bool image_needs_acpi(const char *dir)
{
	autojson struct json j = {0};
	size_t len = 0;
	autofree char *text = read_manifest(dir, &len);

	if (text == NULL || json_parse(&j, text, len, NULL) < 0)
		return true;
	return jv_bool(jv_path(json_root(&j), "kernel.acpi"), true);
}

int image_write(const struct home *h, const char *name, struct jw *w,
		struct err *e)
{
	char dir[IMAGE_PATH_MAX];
	autojson struct json j = {0};
	autofree char *text = NULL;
	size_t len = 0;
	int r = image_dir(h, name, dir, e);

	if (r < 0)
		return r;
	text = read_manifest(dir, &len);
	if (text == NULL || json_parse(&j, text, len, NULL) < 0 ||
	    !jv_is(json_root(&j), JV_OBJECT))
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "%s/manifest.json cannot be read", dir);
	jw_obj(w);
	jw_kstr(w, "name", name);
	jw_kstr(w, "path", dir);
	for (struct jv k = jv_first(json_root(&j)); jv_has(k);
	     k = jv_next(json_root(&j), k)) {
		if (jv_eq(k, "name") || jv_eq(k, "path"))
			continue;
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
	jw_obj_end(w);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **name;
	size_t n;
};

static bool has_name(const struct names *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->name[i], name) == 0)
			return true;
	return false;
}

static int add_name(struct names *l, const char *name)
{
	char **grown = reallocarray(l->name, l->n + 1, sizeof(*grown));

	if (grown == NULL)
		return -ENOMEM;
	l->name = grown;
	l->name[l->n] = strdup(name);
	return l->name[l->n++] == NULL ? -ENOMEM : 0;
}

static int collect(const char *root, struct names *l)
{
	DIR *d = opendir(root);
	struct dirent *en;
	int r = 0;

	while (d != NULL && r == 0 && (en = readdir(d)) != NULL)
		if (image_name_is_good(en->d_name) && !has_name(l, en->d_name))
			r = add_name(l, en->d_name);
	if (d != NULL)
		closedir(d);
	return r;
}

int image_list(const struct home *h, struct jw *w, struct err *e)
{
	struct names l = {0};
	int r = collect(h->images, &l);

	if (r == 0)
		r = collect(h->shared_images, &l);
	if (r < 0)
		err_set(e, r, "images: out of memory");
	if (l.n > 0)
		qsort(l.name, l.n, sizeof(*l.name), by_name);
	jw_arr(w);
	for (size_t i = 0; i < l.n; i++) {
		if (r == 0 && l.name[i] != NULL)
			(void)image_write(h, l.name[i], w, NULL);
		free(l.name[i]);
	}
	jw_arr_end(w);
	free(l.name);
	return r;
}
