// SPDX-License-Identifier: Apache-2.0
/*
 * notes.c - Keys, memories and summaries of a session
 */
#include <stdio.h>
#include <string.h>

#include "core/note.h"
#include "core/utf8.h"
#include "host/lib/lib.h"

/* "/v1/sessions/ID/kv/KEY". */
static struct jw path_note(const char *session, const char *kind,
			   const char *key)
{
	struct jw path = path_session(session, "/");

	if (path.len == 0)
		return path;
	jw_lit(&path, kind, strlen(kind));
	if (key != NULL) {
		jw_lit(&path, "/", 1);
		path_encoded(&path, key);
	}
	return path;
}

static int check_key(const char *key, struct err *e)
{
	return note_check_key(key ? key : "", key ? strlen(key) : 0, e);
}

static void put_conditions(const struct hib_note_options *o, struct jw *w)
{
	if (o->etag != NULL)
		jw_kstr(w, "etag", o->etag);
	if (o->must_not_exist)
		jw_kbool(w, "must_not_exist", true);
	if (o->scope != NULL)
		jw_kstr(w, "scope", o->scope);
}

/* JSON would have other bytes in the place of those that are no UTF-8. */
static int check_value(const char *value, struct err *e)
{
	const unsigned char *p = (const unsigned char *)value;
	const unsigned char *end = p + strlen(value);
	size_t n = 1;

	while (p < end && n > 0) {
		n = utf8_len(p, end);
		p += n;
	}
	return n > 0 ? 0
		     : err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the value is no UTF-8");
}

/* PUT or DELETE; a comparison is not repeated, nor a deletion. */
static int change(struct hib *h, const char *method, struct jw path,
		  struct jw *body, bool once, char **json, struct hib_error *e)
{
	struct request q = {
		.method = method,
		.path = path.buf,
		.body = body->buf,
		.body_len = body->len,
		.once = once,
	};
	struct err err = {0};
	int r;

	if (body->failed) {
		err_set(&err, -ENOMEM, "out of memory");
		r = lib_result(err.code, &err, e);
	} else {
		r = request_json(h, &q, json, e);
	}
	jw_done(&path);
	return r;
}

static int set(struct hib *h, const char *session, const char *kind,
	       const char *key, const char *value,
	       const struct hib_note_options *options, char **json,
	       struct hib_error *e)
{
	struct hib_note_options o;
	autojw struct jw body = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = check_key(key, &err);
	if (r == 0)
		r = check_value(value, &err);
	jw_obj(&body);
	jw_kstr(&body, "value", value);
	if (r == 0)
		r = lib_put_json(&body, "meta", o.meta, &err);
	if (r < 0)
		return lib_result(r, &err, e);
	put_conditions(&o, &body);
	jw_obj_end(&body);
	return change(h, "PUT", path_note(session, kind, key), &body,
		      o.etag != NULL || o.must_not_exist, json, e);
}

static int delete_note(struct hib *h, const char *session, const char *kind,
		       const char *key, const struct hib_note_options *options,
		       struct hib_error *e)
{
	struct hib_note_options o;
	autojw struct jw body = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = check_key(key, &err);
	if (r < 0)
		return lib_result(r, &err, e);
	jw_obj(&body);
	put_conditions(&o, &body);
	jw_obj_end(&body);
	return change(h, "DELETE", path_note(session, kind, key), &body, true,
		      NULL, e);
}

static int list(struct hib *h, const char *session, const char *kind,
		const struct hib_note_list *options, char **json,
		struct hib_error *e)
{
	struct hib_note_list o;
	struct jw path;
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	path = path_note(session, kind, NULL);
	path_query(&path, "prefix", o.prefix);
	path_query(&path, "after", o.after);
	path_query(&path, "scope", o.scope);
	if (o.limit > 0)
		path_query_int(&path, "limit", o.limit);
	return request_get(h, &path, json, e);
}

static int get(struct hib *h, const char *session, const char *kind,
	       const char *key, const char *scope, char **json,
	       struct hib_error *e)
{
	struct err err = {0};
	struct jw path;
	int r = check_key(key, &err);

	if (r < 0)
		return lib_result(r, &err, e);
	path = path_note(session, kind, key);
	path_query(&path, "scope", scope);
	return request_get(h, &path, json, e);
}

/* --- keys --------------------------------------------------------------- */

int hib_kv_get(struct hib *h, const char *session, const char *key, char **json,
	       struct hib_error *e)
{
	return get(h, session, "kv", key, NULL, json, e);
}

int hib_kv_set(struct hib *h, const char *session, const char *key,
	       const char *value, const struct hib_note_options *o, char **json,
	       struct hib_error *e)
{
	return set(h, session, "kv", key, value, o, json, e);
}

int hib_kv_delete(struct hib *h, const char *session, const char *key,
		  const struct hib_note_options *o, struct hib_error *e)
{
	return delete_note(h, session, "kv", key, o, e);
}

int hib_kv_list(struct hib *h, const char *session,
		const struct hib_note_list *o, char **json, struct hib_error *e)
{
	return list(h, session, "kv", o, json, e);
}

/* --- memories ----------------------------------------------------------- */

int hib_memory_get(struct hib *h, const char *session, const char *key,
		   const char *scope, char **json, struct hib_error *e)
{
	return get(h, session, "memory", key, scope, json, e);
}

int hib_memory_set(struct hib *h, const char *session, const char *key,
		   const char *value, const struct hib_note_options *o,
		   char **json, struct hib_error *e)
{
	return set(h, session, "memory", key, value, o, json, e);
}

int hib_memory_delete(struct hib *h, const char *session, const char *key,
		      const struct hib_note_options *o, struct hib_error *e)
{
	return delete_note(h, session, "memory", key, o, e);
}

int hib_memory_list(struct hib *h, const char *session,
		    const struct hib_note_list *o, char **json,
		    struct hib_error *e)
{
	return list(h, session, "memory", o, json, e);
}

/* --- summaries ---------------------------------------------------------- */

int hib_add_summary(struct hib *h, const char *session, const char *text,
		    int64_t from_seq, int64_t to_seq, char **json,
		    struct hib_error *e)
{
	struct jw path = path_session(session, "/summaries"), body = {0};

	jw_obj(&body);
	jw_kstr(&body, "text", text);
	jw_kint(&body, "from_seq", from_seq);
	jw_kint(&body, "to_seq", to_seq);
	jw_obj_end(&body);
	return request_post(h, &path, &body, false, json, e);
}
