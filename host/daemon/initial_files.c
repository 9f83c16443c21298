// SPDX-License-Identifier: Apache-2.0
/*
 * initial_files.c - Files that are in /workspace before the first turn
 *
 * The guest writes them, as its user, by the operation that serves the API of
 * files; so they follow its rules.
 */
#include "host/daemon/initial_files.h"

#include "host/daemon/link.h"
#include "vfs/path.h"

struct put {
	void (*cb)(const struct err *e, void *arg);
	void *arg;
};

static bool has_content(struct jv file)
{
	struct jv text = jv_get(file, "content");
	struct jv b64 = jv_get(file, "content_b64");

	return jv_is(jv_has(b64) ? b64 : text, JV_STRING);
}

int initial_files_check(struct jv files, struct err *e)
{
	struct vfs_path path;

	if (!jv_has(files) || jv_is(files, JV_NULL))
		return 0;
	if (!jv_is(files, JV_ARRAY) || jv_count(files) > INITIAL_FILES_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "initialFiles: no list of at most %d",
			       INITIAL_FILES_MAX);
	for (struct jv v = jv_first(files); jv_has(v); v = jv_next(files, v)) {
		if (!jv_is(v, JV_OBJECT) || !has_content(v))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "initialFiles: a file without content "
				       "or content_b64");
		if (vfs_path_get(&path, v, "path", e) < 0)
			return err_wrap(e, "initialFiles");
	}
	return 0;
}

/* The answer tells of each file, in order. */
static int find_failure(const char *body, size_t len, struct err *e)
{
	autojson struct json j = {0};
	struct jv files;

	if (json_parse(&j, body, len, e) < 0)
		return e->code;
	files = jv_get(json_root(&j), "files");
	for (struct jv v = jv_first(files); jv_has(v); v = jv_next(files, v)) {
		struct jv error = jv_get(v, "error");

		if (jv_has(error)) {
			(void)err_read(e, error);
			return err_wrap(e, "initialFiles");
		}
	}
	return 0;
}

static void put_on_answer(const char *body, size_t len, const struct err *e,
			  void *arg)
{
	struct put p = *(struct put *)arg;
	struct err why = *e;

	free(arg);
	if (why.code == 0)
		(void)find_failure(body, len, &why);
	p.cb(&why, p.arg);
}

void initial_files_put(struct vm *vm, struct jv files,
		       void (*cb)(const struct err *e, void *arg), void *arg)
{
	static const struct err none;
	struct put *p = NULL;
	autojw struct jw w = {0};
	struct err e = {0};

	if (jv_count(files) == 0) {
		cb(&none, arg);
		return;
	}
	jw_obj(&w);
	jw_kvalue(&w, "files", files);
	jw_obj_end(&w);
	p = w.failed ? NULL : malloc(sizeof(*p));
	if (p == NULL) {
		err_set(&e, -ENOMEM, "initialFiles: out of memory");
		cb(&e, arg);
		return;
	}
	*p = (struct put){.cb = cb, .arg = arg};
	link_files(vm_link(vm), "write-files", w.buf, put_on_answer, p);
}
