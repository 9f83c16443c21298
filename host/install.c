// SPDX-License-Identifier: Apache-2.0
/*
 * install.c - Which packages of an agent are there
 */
#include "host/install.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "host/manifest.h"
#include "host/tree.h"

#define STAMP_MAX 8192

/* The pins in one form, whatever the layout of the manifest. */
static char *stamp_of(struct jv manifest)
{
	struct jv pins = jv_get(manifest, "npm");
	autojw struct jw w = {0};

	jw_arr(&w);
	for (struct jv v = jv_first(pins); jv_has(v); v = jv_next(pins, v)) {
		autofree char *pin = jv_strdup(v, NULL);

		jw_str(&w, pin);
	}
	jw_arr_end(&w);
	jw_lit(&w, "\n", 1);
	return jw_take(&w, NULL);
}

int install_dir(const struct home *h, struct jv manifest,
		char out[INSTALL_PATH_MAX], struct err *e)
{
	char name[MANIFEST_NAME_MAX + 1], version[MANIFEST_NAME_MAX + 1];

	if (!jv_has(jv_get(manifest, "npm")) ||
	    jv_strcpy(jv_get(manifest, "name"), name, sizeof(name)) < 0 ||
	    jv_strcpy(jv_get(manifest, "version"), version, sizeof(version)) <
		    0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the manifest names no packages");
	snprintf(out, INSTALL_PATH_MAX, "%s/%s/%s", h->agents, name, version);
	return 0;
}

static bool stamp_is(const char *dir, const char *want)
{
	char path[INSTALL_PATH_MAX + sizeof(INSTALL_STAMP) + 1];
	char got[STAMP_MAX + 1];
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, INSTALL_STAMP);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	n = read(fd, got, STAMP_MAX);
	return n == (ssize_t)strlen(want) && memcmp(got, want, (size_t)n) == 0;
}

bool install_is_done(const struct home *h, struct jv manifest)
{
	char dir[INSTALL_PATH_MAX];
	autofree char *want = NULL;

	if (install_dir(h, manifest, dir, NULL) < 0)
		return true;
	want = stamp_of(manifest);
	return want != NULL && stamp_is(dir, want);
}

int install_stamp(const char *dir, struct jv manifest, struct err *e)
{
	char path[INSTALL_PATH_MAX + sizeof(INSTALL_STAMP) + 1];
	autofree char *text = stamp_of(manifest);
	autoclose int fd = -1;
	size_t n;

	if (text == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", dir);
	n = strlen(text);
	snprintf(path, sizeof(path), "%s/%s", dir, INSTALL_STAMP);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	errno = EIO; /* Of a short write. */
	if (write(fd, text, n) != (ssize_t)n || fsync(fd) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int sweep_agent(const char *agents, const char *name)
{
	static const char *const left[] = {INSTALL_NEW, INSTALL_GONE};
	char path[INSTALL_PATH_MAX];
	struct stat st;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", agents, name);
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", agents, name, left[i]);
		n += access(path, F_OK) == 0 && tree_remove(path) == 0;
	}
	snprintf(path, sizeof(path), "%s/%s", agents, name);
	if (n > 0)
		(void)rmdir(path); /* When nothing else is in it. */
	return n;
}

int install_sweep(const struct home *h)
{
	DIR *all = opendir(h->agents);
	const struct dirent *d;
	int n = 0;

	if (all == NULL)
		return 0;
	if (flock(dirfd(all), LOCK_EX | LOCK_NB) == 0)
		while ((d = readdir(all)) != NULL)
			if (manifest_name_is_good(d->d_name))
				n += sweep_agent(h->agents, d->d_name);
	closedir(all);
	return n;
}
