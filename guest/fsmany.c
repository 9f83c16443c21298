// SPDX-License-Identifier: Apache-2.0
/*
 * fsmany.c - Many small files at once; each may fail alone
 *
 *	read-files {paths: [path..]}
 *		-> {"files":[{path, content or content_b64, etag, ..} or
 *			     {path, "error":{..}}]}
 *	write-files {files: [{path, content or content_b64, mode, etag,
 *			      must_not_exist}]}
 *		-> {"files":[entry or {path, "error":{..}}]}
 *
 * A path is a string, or an object with path or path_b64.  content is text; what
 * is no UTF-8, or has a NUL, comes as content_b64.
 */
#include <fcntl.h>
#include <string.h>

#include "core/base64.h"
#include "core/utf8.h"
#include "guest/fsat.h"
#include "guest/fswrite.h"
#include "guest/limits.h"
#include "vfs/path.h"

/* An error in the place of a file.  @v: what was asked for. */
static void put_failed(struct jw *w, struct jv v, const struct err *e)
{
	struct jv path = jv_is(v, JV_OBJECT) ? jv_get(v, "path") : v;

	jw_obj(w);
	jw_kvalue(w, "path", path);
	if (jv_is(v, JV_OBJECT) && jv_has(jv_get(v, "path_b64")))
		jw_kvalue(w, "path_b64", jv_get(v, "path_b64"));
	jw_key(w, "error");
	err_write(e, w);
	jw_obj_end(w);
}

/* The list of params, bounded. */
static int get_list(struct fscall *c, const char *key, struct jv *out,
		    struct err *e)
{
	*out = jv_get(c->in, key);
	if (!jv_is(*out, JV_ARRAY) || jv_count(*out) > FS_MANY_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no list, or longer than %d", key,
			       FS_MANY_MAX);
	return 0;
}

/*
 * Read.
 */

static int read_all(int fd, char *buf, size_t n, const char *path,
		    struct err *e)
{
	size_t at = 0;

	while (at < n) {
		ssize_t r = read(fd, buf + at, n - at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return fsat_fail(errno, path, e);
		if (r == 0)
			break;
		at += (size_t)r;
	}
	return (int)at;
}

static void put_content(struct jw *w, const char *buf, size_t n)
{
	bool text = utf8_span(buf, n) == n;

	w->buf[--w->len] = '\0'; /* Open the entry again. */
	w->comma = true;
	jw_key(w, text ? "content" : "content_b64");
	if (text)
		jw_strn(w, buf, n);
	else
		base64_write(w, buf, n);
	jw_obj_end(w);
}

static int read_one(struct fscall *c, struct jv v, size_t *left, struct err *e)
{
	autofree char *text = jv_strdup(v, NULL), *buf = NULL;
	struct vfs_path p;
	struct stat st;
	autoclose int fd = -1;
	size_t mark;
	int n;

	if (jv_is(v, JV_OBJECT) ? vfs_path_get(&p, v, "path", e) < 0
				: vfs_path_read(&p, text ? text : "",
						text ? strlen(text) : 0, e) < 0)
		return e->code;
	fd = fsat_file(c->root, p.text, O_RDONLY, &st, e);
	if (fd < 0)
		return fd;
	if (st.st_size > (off_t)*left)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "more than %u bytes in one answer",
			       FS_MANY_BYTES);
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL)
		return err_set(e, -ENOMEM, "read: out of memory");
	n = read_all(fd, buf, (size_t)st.st_size, p.text, e);
	if (n < 0)
		return n;
	*left -= (size_t)n;
	mark = c->out.len;
	fsentry_put(&c->out, p.text, &st, fd, "", false);
	if (c->out.len > mark && !c->out.failed)
		put_content(&c->out, buf, (size_t)n);
	return 0;
}

int fs_read_files(struct fscall *c, struct err *e)
{
	size_t left = FS_MANY_BYTES;
	struct jv list;

	if (get_list(c, "paths", &list, e) < 0)
		return e->code;
	jw_obj(&c->out);
	jw_key(&c->out, "files");
	jw_arr(&c->out);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		struct err one = {0};

		if (read_one(c, v, &left, &one) < 0)
			put_failed(&c->out, v, &one);
	}
	jw_arr_end(&c->out);
	jw_obj_end(&c->out);
	return 0;
}

/*
 * Write.
 */

static int get_content(struct jv v, char **out, size_t *n, struct err *e)
{
	struct jv b64 = jv_get(v, "content_b64");

	*out = jv_strdup(jv_has(b64) ? b64 : jv_get(v, "content"), n);
	if (*out == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content is no string");
	if (jv_has(b64) && base64_read(*out, n) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content_b64 is no base64");
	return 0;
}

static int write_one(struct fscall *c, struct jv v, struct err *e)
{
	struct fswrite_spec spec = {.offset = -1};
	autofree char *content = NULL;
	struct fswrite *w = NULL;
	struct vfs_path p;
	size_t n;
	int r;

	if (vfs_path_get(&p, v, "path", e) < 0 ||
	    get_content(v, &content, &n, e) < 0 ||
	    fsexpect_read(&spec.expect, v, e) < 0)
		return e->code;
	spec.path = p.text;
	spec.mode = fsentry_mode(jv_get(v, "mode"), -1, e);
	if (e->code < 0)
		return e->code;
	r = fswrite_begin(c->tree, c->root, &spec, &w, e);
	if (r >= 0)
		r = fswrite_feed(w, content, n, e);
	if (r >= 0)
		r = fswrite_commit(w, &c->out, e);
	fswrite_free(w);
	return r;
}

int fs_write_files(struct fscall *c, struct err *e)
{
	struct jv list;

	if (get_list(c, "files", &list, e) < 0)
		return e->code;
	jw_obj(&c->out);
	jw_key(&c->out, "files");
	jw_arr(&c->out);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		struct err one = {0};

		if (write_one(c, v, &one) < 0)
			put_failed(&c->out, v, &one);
	}
	jw_arr_end(&c->out);
	jw_obj_end(&c->out);
	return 0;
}
