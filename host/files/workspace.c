// SPDX-License-Identifier: Apache-2.0
/*
 * workspace.c - hib files ls, cat, stat: the files of a VM
 */
#include "host/files/workspace.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "host/cli/commands.h"
#include "host/files/workspace_live.h"
#include "host/views.h"
#include "vfs/repo.h"

struct ls_options {
	const char *at;
	bool json, recursive, long_;
};

/* --- the repository of a VM --------------------------------------------- */

int workspace_find(struct workspace *ws, struct cli *c, const char *vm)
{
	autojson struct json j = {0};
	autojw struct jw row = {0};
	struct err e = {0};
	int r = cli_reader(c);

	if (r >= 0)
		return r;
	if (c->reader == NULL) {
		err_set(&e, -FAULT_VM_NOT_FOUND, "VM %.64s is not here", vm);
		return cli_fail(&e);
	}
	if (views_vm(c->reader, vm, &row, &e) < 0 ||
	    json_parse(&j, row.buf, row.len, &e) < 0)
		return cli_fail(&e);
	(void)jv_strcpy(jv_get(json_root(&j), "id"), ws->vm, sizeof(ws->vm));
	ws->newer = vm_is_newer(json_root(&j));
	ws->cli = c;
	return -1;
}

int workspace_open_repo(struct workspace *ws)
{
	char path[PATH_MAX];
	struct err e = {0};

	snprintf(path, sizeof(path), "%s/%s/workspace.git", ws->cli->home.vms,
		 ws->vm);
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		err_set(&e, -FAULT_SNAPSHOT_NOT_FOUND,
			"VM %s has no commit yet", ws->vm);
		return cli_fail(&e);
	}
	if (vfs_repo_open(path, true, &ws->repo, &e) < 0)
		return cli_fail(&e);
	return -1;
}

int workspace_resolve(struct workspace *ws, const char *rev,
		      struct vfs_oid *out)
{
	struct err e = {0};

	if (vfs_history_resolve(ws->repo, ws->cli->reader, rev, out, &e) < 0)
		return cli_fail(&e);
	return -1;
}

int workspace_open(struct workspace *ws, struct cli *c, const char *vm,
		   const char *at)
{
	int r = workspace_find(ws, c, vm);

	if (r < 0 && at == NULL && ws->newer)
		vm_tell_newer();
	if (r < 0)
		r = workspace_open_repo(ws);
	if (r < 0)
		r = workspace_resolve(ws, at, &ws->commit);
	ws->source = &workspace_committed;
	return r;
}

void workspace_close(struct workspace *ws)
{
	vfs_repo_close(ws->repo);
	ws->repo = NULL;
}

int workspace_path(const char *arg, struct vfs_path *out)
{
	struct err e = {0};

	if (vfs_path_read(out, arg, strlen(arg), &e) < 0)
		return cli_fail(&e);
	return -1;
}

/* --- committed files ---------------------------------------------------- */

static int committed_stat(struct workspace *ws, const char *path,
			  struct vfs_entry *out, struct err *e)
{
	return vfs_browse_find(ws->repo, &ws->commit, path, out, e);
}

static int committed_list(struct workspace *ws, const char *path,
			  vfs_entry_cb cb, void *arg, struct err *e)
{
	struct vfs_entry at;
	int r = vfs_browse_find(ws->repo, &ws->commit, path, &at, e);

	if (r < 0)
		return r;
	if (!S_ISDIR(at.mode))
		return err_set(e, -FAULT_FILE_NOT_FOUND,
			       "'%.128s' is no folder", path);
	return vfs_browse_tree(ws->repo, &at.oid, cb, arg, e);
}

static int committed_read(struct workspace *ws, const char *path,
			  const struct vfs_entry *entry, vfs_data_cb cb,
			  void *arg, struct err *e)
{
	(void)path;
	return vfs_browse_read(ws->repo, &entry->oid, 0, entry->size, cb, arg,
			       e);
}

const struct workspace_source workspace_committed = {
	.stat = committed_stat,
	.list = committed_list,
	.read = committed_read,
};

/* --- output ------------------------------------------------------------- */

static const char *type_name(uint32_t mode)
{
	return S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "link" : "file";
}

static int take_target(const void *data, size_t n, void *arg)
{
	struct jw *text = arg;

	jw_lit(text, data, n);
	return 0;
}

/* What a link says; nothing for what is none. */
static int read_target(struct workspace *ws, const char *path,
		       const struct vfs_entry *entry, struct jw *out,
		       struct err *e)
{
	if (!S_ISLNK(entry->mode) || entry->size > VFS_LINK_MAX)
		return 0;
	return ws->source->read(ws, path, entry, take_target, out, e);
}

static int put_entry(struct workspace *ws, const char *path,
		     const struct vfs_entry *entry, struct jw *w, struct err *e)
{
	static const struct vfs_oid unknown;
	autojw struct jw target = {0};
	char hex[VFS_OID_HEX], mode[16];
	int r = read_target(ws, path, entry, &target, e);

	snprintf(mode, sizeof(mode), "%06o", entry->mode);
	jw_obj(w);
	vfs_path_put(w, "path", path, strlen(path));
	jw_kstr(w, "type", type_name(entry->mode));
	jw_kstr(w, "mode", mode);
	if (!S_ISDIR(entry->mode))
		jw_kint(w, "size", (int64_t)entry->size);
	if (!vfs_oid_eq(&entry->oid, &unknown))
		jw_kstr(w, "oid", vfs_oid_format(&entry->oid, hex));
	if (S_ISLNK(entry->mode) && target.buf != NULL)
		vfs_path_put(w, "target", target.buf, target.len);
	jw_obj_end(w);
	return r;
}

/* "-rwxr-x---", as ls(1) has it. */
static void format_mode(uint32_t mode, char out[11])
{
	static const char letters[] = "rwxrwxrwx";

	out[0] = S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : '-';
	for (int i = 0; i < 9; i++)
		out[1 + i] = S_ISLNK(mode) || (mode & (0400u >> i)) ? letters[i]
								    : '-';
	if (mode & S_ISUID)
		out[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		out[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		out[9] = mode & S_IXOTH ? 't' : 'T';
	out[10] = '\0';
}

static int print_entry(struct workspace *ws, const char *path,
		       const struct vfs_entry *entry, bool long_, struct err *e)
{
	autojw struct jw target = {0};
	char mode[11];
	int r = 0;

	if (long_) {
		format_mode(entry->mode, mode);
		printf("%s %12llu ", mode, (unsigned long long)entry->size);
	}
	cli_print_name(stdout, path, strlen(path));
	if (long_ && S_ISLNK(entry->mode)) {
		r = read_target(ws, path, entry, &target, e);
		fputs(" -> ", stdout);
		cli_print_name(stdout, target.buf ? target.buf : "",
			       target.len);
	}
	putchar('\n');
	return r < 0 ? r : ferror(stdout) ? -EPIPE : 0;
}

/* --- ls ----------------------------------------------------------------- */

/* An entry that is yet to be told. */
struct ls_item {
	char *path;
	struct vfs_entry entry; /* Without its name. */
};

/* What is yet to be told is a stack, the next entry on top, so that depth
 * costs no stack of ours. */
struct ls {
	struct workspace *ws;
	const struct ls_options *o;
	struct jw rows; /* With --json. */
	const char *at; /* The folder that is read. */
	struct ls_item *todo;
	size_t n, cap;
	struct err e;
};

static void ls_done(struct ls *l)
{
	while (l->n > 0)
		free(l->todo[--l->n].path);
	free(l->todo);
	jw_done(&l->rows);
}

static int ls_grow(struct ls *l)
{
	size_t cap = l->cap > 0 ? 2 * l->cap : 64;
	struct ls_item *todo = realloc(l->todo, cap * sizeof(todo[0]));

	if (todo == NULL)
		return err_set(&l->e, -ENOMEM, "ls: out of memory");
	l->todo = todo;
	l->cap = cap;
	return 0;
}

static int ls_on_entry(const struct vfs_entry *entry, void *arg)
{
	struct ls *l = arg;
	struct ls_item *item;
	int n, r = l->n == l->cap ? ls_grow(l) : 0;

	if (r < 0)
		return r;
	item = &l->todo[l->n];
	item->entry = *entry;
	n = asprintf(&item->path, "%s%s%s", l->at, l->at[0] ? "/" : "",
		     entry->name);
	if (n < 0)
		return err_set(&l->e, -ENOMEM, "ls: out of memory");
	l->n++;
	if (n > VFS_PATH_MAX)
		return err_set(&l->e, -FAULT_STORE_CORRUPT,
			       "a path of more than %d bytes", VFS_PATH_MAX);
	return 0;
}

/* Put the entries of a folder on the stack, the first one on top. */
static int ls_folder(struct ls *l, const char *path)
{
	size_t low = l->n, high;
	int r;

	l->at = path;
	r = l->ws->source->list(l->ws, path, ls_on_entry, l, &l->e);
	for (high = l->n; r == 0 && low + 1 < high; low++) {
		struct ls_item swap = l->todo[low];

		l->todo[low] = l->todo[--high];
		l->todo[high] = swap;
	}
	return r;
}

static int ls_tell(struct ls *l, const char *path,
		   const struct vfs_entry *entry)
{
	const char *slash = strrchr(path, '/');

	if (l->o->json)
		return put_entry(l->ws, path, entry, &l->rows, &l->e);
	if (slash != NULL && !l->o->recursive)
		path = slash + 1;
	return print_entry(l->ws, path, entry, l->o->long_, &l->e);
}

static int ls_all(struct ls *l, const char *path)
{
	int r = ls_folder(l, path);

	while (r == 0 && l->n > 0) {
		struct ls_item item = l->todo[--l->n];

		r = ls_tell(l, item.path, &item.entry);
		if (r == 0 && l->o->recursive && S_ISDIR(item.entry.mode))
			r = ls_folder(l, item.path);
		free(item.path);
	}
	return r;
}

static int ls(struct workspace *ws, const char *path,
	      const struct ls_options *o)
{
	struct ls l = {.ws = ws, .o = o};
	struct vfs_entry at;
	int status = 0, r = ws->source->stat(ws, path, &at, &l.e);

	jw_arr(&l.rows);
	if (r == 0)
		r = S_ISDIR(at.mode) ? ls_all(&l, path)
				     : ls_tell(&l, path, &at);
	jw_arr_end(&l.rows);
	if (r < 0 && r != -EPIPE)
		status = cli_fail(&l.e);
	else if (o->json)
		status = cli_print_json(&l.rows);
	ls_done(&l);
	return status;
}

/* --- commands ----------------------------------------------------------- */

/* VM and PATH of the commands here, and where the files come from. */
static int open_source(struct workspace *ws, struct cli *c, const char *at,
		       struct vfs_path *path)
{
	int r = workspace_path(c->argc > 1 ? c->argv[1] : "/", path);

	if (r < 0)
		r = workspace_find(ws, c, c->argv[0]);
	if (r >= 0)
		return r;
	if (at != NULL || !workspace_is_live(ws))
		return workspace_open(ws, c, c->argv[0], at);
	ws->source = &workspace_live;
	return -1;
}

/* What is known of a file, as JSON. */
static int put_row(struct workspace *ws, const char *path, struct jw *row,
		   struct err *e)
{
	struct vfs_entry entry;
	int r;

	if (ws->source == &workspace_live)
		return workspace_live_row(ws, path, row, e);
	r = ws->source->stat(ws, path, &entry, e);
	return r < 0 ? r : put_entry(ws, path, &entry, row, e);
}

int files_ls_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, ls_options, at, "at"),
		OPT_LETTER(OPT_FLAG, ls_options, recursive, "recursive", 'r'),
		OPT_LETTER(OPT_FLAG, ls_options, long_, "long", 'l'),
		OPT(OPT_FLAG, ls_options, json, "json"),
		OPT_END,
	};
	autoworkspace struct workspace ws = {0};
	struct ls_options o = {0};
	struct vfs_path path;
	int r = cli_options(c, argc, argv, opts, &o, 1, 2);

	if (r < 0)
		r = open_source(&ws, c, o.at, &path);
	return r < 0 ? ls(&ws, path.text, &o) : r;
}

static const struct opt at_and_json[] = {
	OPT(OPT_TEXT, ls_options, at, "at"),
	OPT(OPT_FLAG, ls_options, json, "json"),
	OPT_END,
};

int files_stat_command(struct cli *c, int argc, char **argv)
{
	autoworkspace struct workspace ws = {0};
	struct ls_options o = {0};
	autojson struct json j = {0};
	autojw struct jw row = {0};
	struct vfs_path path;
	struct err e = {0};
	int r = cli_options(c, argc, argv, at_and_json, &o, 2, 2);

	if (r < 0)
		r = open_source(&ws, c, o.at, &path);
	if (r >= 0)
		return r;
	if (put_row(&ws, path.text, &row, &e) < 0)
		return cli_fail(&e);
	if (o.json)
		return cli_print_json(&row);
	if (json_parse(&j, row.buf, row.len, &e) < 0)
		return cli_fail(&e);
	cli_print_object(json_root(&j));
	return 0;
}

static int write_out(const void *data, size_t n, void *arg)
{
	(void)arg;
	if (isatty(STDOUT_FILENO))
		cli_print_safe(stdout, data, n);
	else
		fwrite(data, 1, n, stdout);
	return ferror(stdout) ? -EPIPE : 0;
}

int files_cat_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, ls_options, at, "at"),
		OPT_END,
	};
	autoworkspace struct workspace ws = {0};
	struct ls_options o = {0};
	struct vfs_entry entry;
	struct vfs_path path;
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 2, 2);

	if (r < 0)
		r = open_source(&ws, c, o.at, &path);
	if (r >= 0)
		return r;
	r = ws.source->stat(&ws, path.text, &entry, &e);
	if (r == 0 && S_ISDIR(entry.mode))
		r = err_set(&e, -FAULT_INVALID_ARGUMENT, "'%.128s' is a folder",
			    path.text);
	if (r == 0)
		r = ws.source->read(&ws, path.text, &entry, write_out, NULL,
				    &e);
	return r < 0 && r != -EPIPE ? cli_fail(&e) : 0;
}
