// SPDX-License-Identifier: Apache-2.0
/*
 * first_files.c - The option --file HOST[:GUEST]
 */
#include "host/cli/first_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base64.h"
#include "core/http.h"
#include "vfs/path.h"

_Static_assert(BASE64_LEN(FIRST_FILES_BYTES_MAX) < HTTP_BODY_MAX, "");

struct pair {
	char *host, *guest;
};

static void pair_done(struct pair *p)
{
	free(p->host);
	free(p->guest);
}
#define autopair cleanup(pair_done)

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int split(const char *arg, struct pair *out, struct err *e)
{
	const char *colon = strrchr(arg, ':');
	const char *guest = colon != NULL ? colon + 1 : "";
	size_t n = colon != NULL ? (size_t)(colon - arg) : strlen(arg);
	size_t guest_len = strlen(guest);
	bool folder = guest_len == 0 || guest[guest_len - 1] == '/';

	out->host = strndup(arg, n);
	if (out->host == NULL ||
	    asprintf(&out->guest, "%s%s", guest,
		     folder ? name_of(out->host) : "") < 0) {
		out->guest = NULL;
		return err_set(e, -ENOMEM, "--file: out of memory");
	}
	return 0;
}

static int fail(struct err *e, const char *path, int code)
{
	if (code == -EMSGSIZE)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "--file %.128s: more than %u MiB together; use "
			       "hib files put, or --workspace",
			       path, FIRST_FILES_BYTES_MAX >> 20);
	return err_set(e, -FAULT_INVALID_ARGUMENT, "--file %.128s: %s", path,
		       strerror(-code));
}

static void write_file(struct jw *w, const char *path, mode_t mode,
		       const char *data, size_t n)
{
	char octal[8];

	snprintf(octal, sizeof(octal), "%04o", mode & 0777);
	jw_obj(w);
	jw_key(w, "path_b64");
	base64_write(w, path, strlen(path));
	jw_kstr(w, "mode", octal);
	jw_key(w, "content_b64");
	base64_write(w, data, n);
	jw_obj_end(w);
}

/* @left: bytes that may still come. */
static int read_one(const char *arg, size_t *left, struct jw *w, struct err *e)
{
	autopair struct pair p = {0};
	autofree char *data = NULL;
	autoclose int fd = -1;
	struct vfs_path path;
	struct stat st;
	ssize_t n;
	int r = split(arg, &p, e);

	if (r == 0)
		r = vfs_path_read(&path, p.guest, strlen(p.guest), e);
	if (r < 0)
		return err_wrap(e, "--file");
	fd = open(p.host, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(e, p.host, -errno);
	n = cli_read(fd, *left, &data);
	if (n < 0)
		return fail(e, p.host, (int)n);
	*left -= (size_t)n;
	write_file(w, path.text, S_ISREG(st.st_mode) ? st.st_mode : 0644, data,
		   (size_t)n);
	return 0;
}

int first_files_read(const struct opt_list *list, struct jw *out)
{
	size_t left = FIRST_FILES_BYTES_MAX;
	struct err e = {0};

	if (list->n == 0)
		return -1;
	jw_arr(out);
	for (size_t i = 0; i < list->n; i++)
		if (read_one(list->item[i], &left, out, &e) < 0)
			return cli_fail(&e);
	jw_arr_end(out);
	if (!out->failed)
		return -1;
	err_set(&e, -ENOMEM, "--file: out of memory");
	return cli_fail(&e);
}
