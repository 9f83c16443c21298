// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_serve_tools.c - hib mcp serve: VMs, files and programs
 */
#include <string.h>

#include "core/base64.h"
#include "core/utf8.h"
#include "host/cli/mcp_serve.h"

/* --- VMs ---------------------------------------------------------------- */

int serve_vm_create(struct serve_call *c)
{
	struct hib_vm_options o = {.size = sizeof(o)};
	char *json = NULL;
	int r;

	if (serve_text(c, "name", &o.name) < 0 ||
	    serve_text(c, "net", &o.net) < 0 ||
	    serve_text(c, "workspace", &o.workspace) < 0 ||
	    serve_number(c, "idle_ms", &o.idle_ms) < 0)
		return -1;
	r = hib_vm_create(c->h, &o, NULL, &json, &c->err);
	return serve_take(c, r, NULL, json);
}

int serve_vm_list(struct serve_call *c)
{
	char *json = NULL;
	int r = hib_vm_list(c->h, &json, &c->err);

	return serve_take(c, r, "vms", json);
}

int serve_vm_destroy(struct serve_call *c)
{
	const char *vm;

	if (serve_need(c, "vm", &vm) < 0 ||
	    hib_vm_destroy(c->h, vm, serve_flag(c, "force"), &c->err) < 0)
		return -1;
	jw_obj(&c->out);
	jw_kstr(&c->out, "destroyed", vm);
	jw_obj_end(&c->out);
	return 0;
}

int serve_vm_fork(struct serve_call *c)
{
	struct hib_vm_fork_options o = {.size = sizeof(o)};
	const char *vm;
	char *json = NULL;
	int r;

	if (serve_need(c, "vm", &vm) < 0 ||
	    serve_text(c, "name", &o.name) < 0 ||
	    serve_text(c, "at", &o.at) < 0)
		return -1;
	o.no_sessions = serve_flag(c, "no_sessions");
	r = hib_vm_fork(c->h, vm, &o, NULL, &json, &c->err);
	return serve_take(c, r, NULL, json);
}

/* --- programs ------------------------------------------------------------ */

static void put_result(struct jw *w, const struct hib_exec_result *x)
{
	jw_obj(w);
	jw_key(w, "exit");
	if (x->exit >= 0)
		jw_int(w, x->exit);
	else
		jw_null(w);
	jw_kstr(w, "signal", x->signal[0] != '\0' ? x->signal : NULL);
	jw_kbool(w, "timed_out", x->timed_out);
	jw_kint(w, "ms", x->ms);
	base64_kbytes(w, "stdout", "stdout_b64", x->out ? x->out : "",
		      x->out_len);
	jw_kbool(w, "stdout_truncated", x->out_truncated);
	base64_kbytes(w, "stderr", "stderr_b64", x->err ? x->err : "",
		      x->err_len);
	jw_kbool(w, "stderr_truncated", x->err_truncated);
	jw_obj_end(w);
}

int serve_exec(struct serve_call *c)
{
	struct hib_exec_result x = {.size = sizeof(x)};
	struct hib_exec_options o = {.size = sizeof(o)};
	const char *vm, *input;

	if (serve_need(c, "vm", &vm) < 0 ||
	    serve_texts(c, "argv", &o.argv) < 0 ||
	    serve_text(c, "command", &o.command) < 0 ||
	    serve_text(c, "cwd", &o.cwd) < 0 ||
	    serve_env(c, "env", &o.env) < 0 ||
	    serve_text(c, "stdin", &input) < 0 ||
	    serve_text(c, "session", &o.session) < 0 ||
	    serve_number(c, "timeout_ms", &o.timeout_ms) < 0)
		return -1;
	o.input = input;
	o.input_len = input != NULL ? strlen(input) : 0;
	if (hib_exec(c->h, vm, &o, &x, &c->err) < 0)
		return -1;
	put_result(&c->out, &x);
	hib_exec_result_done(&x);
	return 0;
}

/* --- files ---------------------------------------------------------------- */

static int take_bytes(const char *data, size_t n, void *arg)
{
	struct jw *w = arg;

	if (w->len + n > SERVE_FILE_MAX)
		return -1;
	jw_lit(w, data, n);
	return w->failed;
}

int serve_read_file(struct serve_call *c)
{
	struct hib_file_options o = {.size = sizeof(o)};
	autojw struct jw bytes = {0};
	const char *vm, *path;
	char *entry = NULL;

	if (serve_need(c, "vm", &vm) < 0 || serve_need(c, "path", &path) < 0 ||
	    serve_text(c, "at", &o.at) < 0 ||
	    serve_number(c, "offset", &o.offset) < 0 ||
	    serve_number(c, "length", &o.length) < 0)
		return -1;
	if (hib_read_file(c->h, vm, path, &o, take_bytes, &bytes, &entry,
			  &c->err) < 0) {
		if (bytes.len > 0 && !serve_is_unwanted(c))
			return serve_refuse(c,
					    "%s has more than %u bytes; read "
					    "it with offset and length",
					    path, SERVE_FILE_MAX);
		return -1;
	}
	jw_obj(&c->out);
	jw_kraw(&c->out, "entry", entry);
	base64_kbytes(&c->out, "content", "content_b64",
		      bytes.len > 0 ? bytes.buf : "", bytes.len);
	jw_obj_end(&c->out);
	hib_free(entry);
	return 0;
}

/* The bytes to be written; on the heap. */
static int take_content(struct serve_call *c, char **out, size_t *len)
{
	struct jv text = jv_get(c->args, "content");
	struct jv b64 = jv_get(c->args, "content_b64");

	*out = jv_strdup(jv_has(b64) ? b64 : text, len);
	if (*out == NULL)
		return serve_refuse(c, "content or content_b64 is missing");
	if (!jv_has(b64) || base64_read(*out, len) == 0)
		return 0;
	free(take_ptr(*out));
	return serve_refuse(c, "content_b64 is no base64");
}

int serve_write_file(struct serve_call *c)
{
	struct hib_write_options o = {.size = sizeof(o)};
	autofree char *data = NULL;
	const char *vm, *path;
	char *entry = NULL;
	size_t len = 0;
	int r;

	if (serve_need(c, "vm", &vm) < 0 || serve_need(c, "path", &path) < 0 ||
	    serve_text(c, "etag", &o.etag) < 0 ||
	    serve_text(c, "mode", &o.mode) < 0 ||
	    take_content(c, &data, &len) < 0)
		return -1;
	o.must_not_exist = serve_flag(c, "must_not_exist");
	r = hib_write_file_bytes(c->h, vm, path, &o, data, len, &entry,
				 &c->err);
	return serve_take(c, r, NULL, entry);
}

int serve_list_files(struct serve_call *c)
{
	struct hib_files_options o = {.size = sizeof(o)};
	int64_t depth = 1, limit = 1000;
	const char *vm, *path;
	char *json = NULL;
	int r;

	if (serve_need(c, "vm", &vm) < 0 || serve_text(c, "path", &path) < 0 ||
	    serve_text(c, "at", &o.at) < 0 ||
	    serve_text(c, "after", &o.after) < 0 ||
	    serve_number(c, "depth", &depth) < 0 ||
	    serve_number(c, "limit", &limit) < 0)
		return -1;
	o.depth = (unsigned)(depth < UINT32_MAX ? depth : UINT32_MAX);
	o.limit = (unsigned)(limit < UINT32_MAX ? limit : UINT32_MAX);
	r = hib_list_files(c->h, vm, path != NULL ? path : "/", &o, &json,
			   &c->err);
	return serve_take(c, r, NULL, json);
}

int serve_checkpoint(struct serve_call *c)
{
	const char *vm;
	char *json = NULL;
	int r;

	if (serve_need(c, "vm", &vm) < 0)
		return -1;
	r = hib_checkpoint(c->h, vm, &json, &c->err);
	return serve_take(c, r, NULL, json);
}

int serve_restore_files(struct serve_call *c)
{
	const char *const *paths;
	const char *vm, *to;
	char *json = NULL;
	int r;

	if (serve_need(c, "vm", &vm) < 0 || serve_need(c, "to", &to) < 0 ||
	    serve_texts(c, "paths", &paths) < 0)
		return -1;
	if (paths != NULL && paths[0] == NULL)
		return serve_refuse(c, "paths is empty; leave it out to "
				       "restore everything");
	r = hib_restore_files(c->h, vm, to, paths, serve_flag(c, "force"),
			      &json, &c->err);
	return serve_take(c, r, NULL, json);
}
