// SPDX-License-Identifier: Apache-2.0
/*
 * files.c - Files of a VM: contents, entries, names
 *
 * Paths go out as base64 where they stand in JSON: they may have any bytes.
 */
#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "host/lib/lib.h"

static void put_path(struct jw *w, const char *key, const char *path)
{
	char name[32];

	snprintf(name, sizeof(name), "%s_b64", key);
	jw_key(w, name);
	base64_write(w, path ? path : "", path ? strlen(path) : 0);
}

/* "/v1/vms/VM/files/WHAT?path=PATH" */
static struct jw path_files(const char *vm, const char *what, const char *path)
{
	char rest[32];
	struct jw w;

	snprintf(rest, sizeof(rest), "/files/%s", what);
	w = path_vm(vm, rest);
	path_query(&w, "path", path);
	return w;
}

/* An operation: its params, but for the end of the object. */
static int run(struct hib *h, const char *vm, const char *what, struct jw *body,
	       char **json, struct hib_error *e)
{
	struct jw path = path_files(vm, what, NULL);

	jw_obj_end(body);
	return request_post(h, &path, body, true, json, e);
}

/* --- contents ----------------------------------------------------------- */

struct reading {
	struct request q;
	hib_write_cb write;
	void *arg;
	char *entry; /* As the answer's head tells it. */
};

static void take_entry(struct reading *r)
{
	const char *entry = http_call_header(r->q.call, "Hib-Entry");

	if (r->entry == NULL && entry != NULL)
		r->entry = strdup(entry);
}

static void reading_on_head(struct request *q)
{
	take_entry(container_of(q, struct reading, q));
}

static int reading_on_data(struct request *q, char *data, size_t n)
{
	struct reading *r = container_of(q, struct reading, q);

	return r->write(data, n, r->arg) != 0 ? -ECANCELED : 0;
}

int hib_read_file(struct hib *h, const char *vm, const char *path,
		  const struct hib_file_options *options, hib_write_cb write,
		  void *arg, char **entry, struct hib_error *e)
{
	struct hib_file_options o;
	struct jw url = path_files(vm, "content", path);
	struct reading r = {
		.q = {.method = "GET",
		      .on_head = reading_on_head,
		      .on_data = reading_on_data,
		      .once = true},
		.write = write,
		.arg = arg,
	};
	struct err err = {0};
	int code = lib_options(&o, sizeof(o), options, &err);

	if (code < 0) {
		jw_done(&url);
		return lib_result(code, &err, e);
	}
	path_query(&url, "at", o.at);
	if (o.offset > 0)
		path_query_int(&url, "offset", o.offset);
	if (o.length > 0)
		path_query_int(&url, "length", o.length);
	r.q.path = url.buf;
	code = request_json(h, &r.q, NULL, e);
	jw_done(&url);
	if (code == 0 && entry != NULL)
		*entry = take_ptr(r.entry);
	free(r.entry);
	return code;
}

/* Header lines of a write.  @cap bytes of @out; what does not fit is no etag. */
static int write_headers(const struct hib_write_options *o, char *out,
			 size_t cap, struct err *e)
{
	bool any = o->etag != NULL && strcmp(o->etag, "*") == 0;

	if (o->etag != NULL &&
	    (strpbrk(o->etag, "\"\r\n") != NULL || strlen(o->etag) > cap - 64))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "that is no etag");
	snprintf(out, cap, "%s%s%s%s%s", o->etag ? "If-Match: " : "",
		 o->etag && !any ? "\"" : "", o->etag ? o->etag : "",
		 o->etag ? any ? "\r\n" : "\"\r\n" : "",
		 o->must_not_exist ? "If-None-Match: *\r\n" : "");
	return 0;
}

/* A stream cannot be sent twice: see that somebody is there. */
static int say_hello(struct hib *h, struct err *e)
{
	struct request hello = {.method = "GET", .path = "/v1/health"};
	int r = request_run(h, &hello, e);

	jw_done(&hello.out);
	return r;
}

/* @q: with the body. */
static int write_file(struct hib *h, const char *vm, const char *path,
		      const struct hib_write_options *options,
		      struct request *q, char **entry, struct hib_error *e)
{
	struct hib_write_options o;
	char headers[256];
	struct err err = {0};
	struct jw url = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = write_headers(&o, headers, sizeof(headers), &err);
	if (r == 0 && q->read != NULL)
		r = say_hello(h, &err);
	if (r < 0)
		return lib_result(r, &err, e);
	url = path_files(vm, "content", path);
	path_query(&url, "mode", o.mode);
	path_query(&url, "append", o.append ? "1" : NULL);
	q->method = "PUT";
	q->path = url.buf;
	q->headers = headers;
	q->content_type = "application/octet-stream";
	/* The same again is the same, unless it is added or compared. */
	q->once = o.append || o.etag != NULL || o.must_not_exist;
	r = request_json(h, q, entry, e);
	jw_done(&url);
	return r;
}

int hib_write_file(struct hib *h, const char *vm, const char *path,
		   const struct hib_write_options *o, hib_read_cb read,
		   void *arg, char **entry, struct hib_error *e)
{
	struct request q = {.read = read, .arg = arg};

	return write_file(h, vm, path, o, &q, entry, e);
}

int hib_write_file_bytes(struct hib *h, const char *vm, const char *path,
			 const struct hib_write_options *o, const void *data,
			 size_t len, char **entry, struct hib_error *e)
{
	struct request q = {.body = data, .body_len = len};

	return write_file(h, vm, path, o, &q, entry, e);
}

/* --- entries ------------------------------------------------------------ */

int hib_list_files(struct hib *h, const char *vm, const char *path,
		   const struct hib_files_options *options, char **json,
		   struct hib_error *e)
{
	struct hib_files_options o;
	struct err err = {0};
	struct jw url;
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	url = path_files(vm, "list", path);
	path_query(&url, "at", o.at);
	path_query(&url, "after", o.after);
	if (o.depth > 0)
		path_query_int(&url, "depth", o.depth);
	if (o.limit > 0)
		path_query_int(&url, "limit", o.limit);
	return request_get(h, &url, json, e);
}

int hib_stat_file(struct hib *h, const char *vm, const char *path,
		  const char *at, char **json, struct hib_error *e)
{
	struct jw url = path_files(vm, "stat", path);

	path_query(&url, "at", at);
	return request_get(h, &url, json, e);
}

int hib_file_exists(struct hib *h, const char *vm, const char *path,
		    struct hib_error *e)
{
	struct hib_error none;
	int r = hib_stat_file(h, vm, path, NULL, NULL, e ? e : &none);

	return r == -HIB_FILE_NOT_FOUND ? 0 : r < 0 ? r : 1;
}

/* A JSON object of the caller's. */
static int run_text(struct hib *h, const char *vm, const char *what,
		    const char *text, char **json, struct hib_error *e)
{
	struct jw path = path_files(vm, what, NULL), body = {0};

	jw_lit(&body, text, strlen(text));
	return request_post(h, &path, &body, true, json, e);
}

int hib_read_files(struct hib *h, const char *vm, const char *paths,
		   char **json, struct hib_error *e)
{
	return run_text(h, vm, "read", paths, json, e);
}

int hib_write_files(struct hib *h, const char *vm, const char *files,
		    char **json, struct hib_error *e)
{
	return run_text(h, vm, "write", files, json, e);
}

int hib_grep_files(struct hib *h, const char *vm, const char *pattern,
		   const struct hib_grep_options *options, char **json,
		   struct hib_error *e)
{
	struct hib_grep_options o;
	struct jw body = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	jw_obj(&body);
	jw_kstr(&body, "pattern", pattern);
	if (o.path != NULL)
		put_path(&body, "path", o.path);
	if (o.include != NULL)
		jw_kstr(&body, "include", o.include);
	jw_kbool(&body, "regex", o.regex);
	jw_kbool(&body, "ignore_case", o.ignore_case);
	if (o.limit > 0)
		jw_kint(&body, "limit", o.limit);
	return run(h, vm, "grep", &body, json, e);
}

/* --- names -------------------------------------------------------------- */

int hib_make_dir(struct hib *h, const char *vm, const char *path, bool parents,
		 char **entry, struct hib_error *e)
{
	struct jw body = {0};

	jw_obj(&body);
	put_path(&body, "path", path);
	jw_kbool(&body, "parents", parents);
	return run(h, vm, "mkdir", &body, entry, e);
}

int hib_change_mode(struct hib *h, const char *vm, const char *path,
		    const char *mode, char **entry, struct hib_error *e)
{
	struct jw body = {0};

	jw_obj(&body);
	put_path(&body, "path", path);
	jw_kstr(&body, "mode", mode);
	return run(h, vm, "chmod", &body, entry, e);
}

int hib_make_link(struct hib *h, const char *vm, const char *path,
		  const char *target, bool over, char **entry,
		  struct hib_error *e)
{
	struct jw body = {0};

	jw_obj(&body);
	put_path(&body, "path", path);
	put_path(&body, "target", target);
	jw_kbool(&body, "over", over);
	return run(h, vm, "symlink", &body, entry, e);
}

static struct jw from_to(const char *from, const char *to, bool overwrite)
{
	struct jw body = {0};

	jw_obj(&body);
	put_path(&body, "from", from);
	put_path(&body, "to", to);
	jw_kbool(&body, "overwrite", overwrite);
	return body;
}

int hib_move_file(struct hib *h, const char *vm, const char *from,
		  const char *to, bool overwrite, char **entry,
		  struct hib_error *e)
{
	struct jw body = from_to(from, to, overwrite);

	return run(h, vm, "move", &body, entry, e);
}

int hib_copy_file(struct hib *h, const char *vm, const char *from,
		  const char *to, bool recursive, bool overwrite, char **entry,
		  struct hib_error *e)
{
	struct jw body = from_to(from, to, overwrite);

	jw_kbool(&body, "recursive", recursive);
	return run(h, vm, "copy", &body, entry, e);
}

int hib_remove_file(struct hib *h, const char *vm, const char *path,
		    bool recursive, struct hib_error *e)
{
	struct jw body = {0};

	jw_obj(&body);
	put_path(&body, "path", path);
	jw_kbool(&body, "recursive", recursive);
	return run(h, vm, "remove", &body, NULL, e);
}
