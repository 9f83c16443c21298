// SPDX-License-Identifier: Apache-2.0
/*
 * api_files.c - The files of a VM: read, write, list, search, watch
 *
 * A VM that runs answers from its own /workspace.  One that is off is woken by
 * what changes files and by nothing else: its last commit is read instead, as is
 * any other that `at` names.  A token that is for one session is for no file.
 */
#include <stdio.h>
#include <string.h>

#include "host/daemon/files.h"
#include "host/daemon/routes.h"

/* --- who and where ------------------------------------------------------ */

/* The VM, or the op was answered. */
static struct vm *files_vm(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (op->only[0] != '\0') {
		op_refuse(op, -FAULT_FORBIDDEN,
			  "the token is for one session, not for files");
		return NULL;
	}
	if (vm == NULL) {
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is not here", op->vm);
		return NULL;
	}
	memmove(op->vm, vm_id(vm), strlen(vm_id(vm)) + 1);
	return vm;
}

/* Does it run, or is it about to without us? */
static bool answers(const struct vm *vm)
{
	return !vm_is_asleep(vm) && vm_state(vm) != VM_SUSPENDING;
}

/* --- query strings ------------------------------------------------------ */

static bool query_path(struct op *op, const char *name, struct vfs_path *out)
{
	const char *text = http_query(op->r, name);
	struct err e = {0};

	if (text == NULL)
		text = "/";
	if (vfs_path_read(out, text, strlen(text), &e) == 0)
		return true;
	op_fail(op, &e);
	return false;
}

/* A path as it was given: whether it ended in a slash matters to some. */
static void put_path(struct jw *w, const char *key, const struct vfs_path *p)
{
	char text[VFS_PATH_MAX + 3];
	int n = snprintf(text, sizeof(text), "%s%s",
			 p->len == 0 ? "." : p->text,
			 p->folder && p->len < VFS_PATH_MAX ? "/" : "");

	vfs_path_put(w, key, text, (size_t)n);
}

/* "tag" without its quotes, or what else a header says ("*"). */
void op_put_etag(struct jw *w, const char *header)
{
	size_t n = header != NULL ? strlen(header) : 0;

	if (header == NULL)
		return;
	if (n >= 2 && header[0] == '"' && header[n - 1] == '"') {
		header++;
		n -= 2;
	}
	jw_key(w, "etag");
	jw_strn(w, header, n);
}

static bool read_query(struct op *op, struct files_query *q)
{
	const char *at = http_query(op->r, "at");

	q->depth = 1;
	q->limit = FILES_LIST;
	q->length = INT64_MAX;
	q->has_after = http_query(op->r, "after") != NULL;
	if (!query_path(op, "path", &q->path) ||
	    !query_path(op, "after", &q->after) ||
	    !op_query_number(op, "depth", &q->depth) ||
	    !op_query_number(op, "limit", &q->limit) ||
	    !op_query_number(op, "offset", &q->offset) ||
	    !op_query_number(op, "length", &q->length) ||
	    !op_query_flag(op, "follow", &q->follow) ||
	    !op_query_flag(op, "recursive", &q->recursive))
		return false;
	if (q->depth < 1 || q->limit < 1 ||
	    (at != NULL && strlen(at) > VFS_REV_MAX)) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "depth and limit begin at 1; at is a turn or a "
			  "commit");
		return false;
	}
	if (q->limit > FILES_LIST_MAX)
		q->limit = FILES_LIST_MAX;
	strncat(q->at, at != NULL ? at : "", VFS_REV_MAX);
	return true;
}

static void put_query(struct op *op, const struct files_query *q)
{
	struct jw *w = &op->params;

	jw_obj(w);
	put_path(w, "path", &q->path);
	if (q->has_after)
		put_path(w, "after", &q->after);
	jw_kint(w, "depth", q->depth);
	jw_kint(w, "limit", q->limit);
	jw_kint(w, "offset", q->offset);
	jw_kint(w, "length", q->length);
	jw_kbool(w, "follow", q->follow);
	jw_kbool(w, "recursive", q->recursive);
	jw_obj_end(w);
}

/* --- one object each way ------------------------------------------------ */

static void call_on_done(const char *body, size_t len, const struct err *e,
			 void *arg)
{
	autojson struct json j = {0};
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else if (json_parse(&j, body, len, NULL) < 0)
		op_refuse(op, -FAULT_BAD_FRAME,
			  "the guest's answer is no JSON");
	else
		op_reply(op, body, len);
}

/* op->what, the guest's name of the operation, with op->params. */
static void call(struct op *op)
{
	struct vm *vm = vm_find(op->d, op->vm);

	if (op->params.failed) {
		op_refuse(op, -ENOMEM, "files: out of memory");
		return;
	}
	link_files(vm ? vm_link(vm) : NULL, op->what, op->params.buf,
		   call_on_done, op);
}

/* The body as it is. */
static void pass_body(struct op *op)
{
	jw_value(&op->params, op->in);
	if (strcmp(op->what, "read") == 0 || strcmp(op->what, "write") == 0)
		strcat(op->what, "-files");
	op_wake(op, call);
}

void files_change_route(struct op *op)
{
	if (files_vm(op) != NULL)
		pass_body(op);
}

/* What only a VM that runs can tell. */
void files_ask_route(struct op *op)
{
	struct vm *vm = files_vm(op);

	if (vm == NULL)
		return;
	if (answers(vm))
		pass_body(op);
	else
		op_refuse(op, -FAULT_VM_UNAVAILABLE,
			  "the VM is off, and a search does not wake it");
}

/* --- reading ------------------------------------------------------------ */

static void look(struct op *op, int kind, void (*live)(struct op *op))
{
	struct vm *vm = files_vm(op);
	struct files_query *q;

	if (vm == NULL)
		return;
	q = calloc(1, sizeof(*q));
	if (q == NULL) {
		op_refuse(op, -ENOMEM, "files: out of memory");
		return;
	}
	q->kind = kind;
	if (!read_query(op, q)) {
		free(q);
		return;
	}
	if (q->at[0] != '\0' || !answers(vm)) {
		files_committed(op, q);
	} else {
		put_query(op, q);
		op_wake(op, live);
	}
	free(q);
}

void files_list_route(struct op *op)
{
	look(op, FILES_LISTING, call);
}

void files_stat_route(struct op *op)
{
	look(op, FILES_STAT, call);
}

void files_read_route(struct op *op)
{
	look(op, FILES_CONTENT, files_relay_content);
}

void files_watch_route(struct op *op)
{
	struct vm *vm = files_vm(op);
	struct vfs_path path;
	struct jw *w = &op->params;
	bool recursive = false;

	if (vm == NULL || !query_path(op, "path", &path) ||
	    !op_query_flag(op, "recursive", &recursive))
		return;
	if (!answers(vm)) {
		op_refuse(op, -FAULT_VM_UNAVAILABLE,
			  "the VM is off: its files do not change");
		return;
	}
	jw_obj(w);
	put_path(w, "path", &path);
	jw_kbool(w, "recursive", recursive);
	jw_obj_end(w);
	op_wake(op, files_relay_changes);
}

/* --- writing ------------------------------------------------------------ */

void files_delete_route(struct op *op)
{
	struct vfs_path path;
	struct jw *w = &op->params;
	bool recursive = false;

	if (files_vm(op) == NULL || !query_path(op, "path", &path) ||
	    !op_query_flag(op, "recursive", &recursive))
		return;
	jw_obj(w);
	put_path(w, "path", &path);
	jw_kbool(w, "recursive", recursive);
	op_put_etag(w, http_header(op->r, "If-Match"));
	jw_obj_end(w);
	strcpy(op->what, "remove");
	op_wake(op, call);
}

static bool put_write(struct op *op)
{
	const char *none = http_header(op->r, "If-None-Match");
	const char *mode = http_query(op->r, "mode");
	struct jw *w = &op->params;
	struct vfs_path path;
	int64_t offset = -1;
	bool append = false;

	if (!query_path(op, "path", &path) ||
	    !op_query_number(op, "offset", &offset) ||
	    !op_query_flag(op, "append", &append))
		return false;
	if (none != NULL && strcmp(none, "*") != 0) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "If-None-Match: only * is known");
		return false;
	}
	jw_obj(w);
	put_path(w, "path", &path);
	if (mode != NULL)
		jw_kstr(w, "mode", mode);
	if (offset >= 0)
		jw_kint(w, "offset", offset);
	jw_kbool(w, "append", append);
	jw_kbool(w, "must_not_exist", none != NULL);
	op_put_etag(w, http_header(op->r, "If-Match"));
	jw_obj_end(w);
	return true;
}

bool files_put_begin(struct op *op)
{
	return files_vm(op) != NULL && put_write(op) && files_upload_begin(op);
}

/* --- headers ------------------------------------------------------------ */

/* RFC 8187: the last name of a path, of any bytes, as a parameter. */
static void put_file_name(struct jw *w, const char *path)
{
	const char *p = strrchr(path, '/');
	char code[4];

	for (p = p != NULL ? p + 1 : path; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		bool plain = (c >= '0' && c <= '9') ||
			     ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
			     c == '.' || c == '-' || c == '_';

		snprintf(code, sizeof(code), plain ? "%c" : "%%%02X", c);
		jw_lit(w, code, strlen(code));
	}
}

void files_put_headers(struct http_req *r, const char *entry)
{
	autojson struct json j = {0};
	autojw struct jw name = {0};
	struct vfs_path path;
	char etag[128];

	if (json_parse(&j, entry, strlen(entry), NULL) < 0 ||
	    vfs_path_get(&path, json_root(&j), "path", NULL) < 0)
		return;
	etag[0] = '"';
	if (jv_strcpy(jv_get(json_root(&j), "etag"), etag + 1, 120) > 0 &&
	    strcspn(etag + 1, "\"\r\n") == strlen(etag + 1))
		http_answer_header(r, "ETag", strcat(etag, "\""));
	jw_lit(&name, "attachment; filename*=UTF-8''", 29);
	put_file_name(&name, path.text);
	if (!name.failed)
		http_answer_header(r, "Content-Disposition", name.buf);
	http_answer_header(r, "X-Content-Type-Options", "nosniff");
	if (strpbrk(entry, "\r\n") == NULL)
		http_answer_header(r, "Hib-Entry", entry);
}
