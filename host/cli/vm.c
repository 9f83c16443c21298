// SPDX-License-Identifier: Apache-2.0
/*
 * vm.c - hib vm
 */
#include <stdlib.h>
#include <string.h>

#include "host/cli/commands.h"
#include "host/cli/first_files.h"
#include "host/cli/progress.h"
#include "host/views.h"

#define AS_TIME ": as 500ms, 30s, 15m, 2h, 1d or never"

struct vm_options {
	const char *backend, *image, *name, *net, *id;
	const char *quota, *workspace, *at, *idle, *cold;
	int64_t idle_ms, max_sessions, memory, cpus, n;
	bool json, force, no_boot, no_template, no_sessions, with_memory,
		or_cold;
	struct opt_list mounts, files;
};

static const struct opt json_only[] = {
	OPT(OPT_FLAG, vm_options, json, "json"),
	OPT_END,
};

/* "1000", "500M", "2G": powers of 1024.  Return: 0 or -EINVAL. */
static int read_size(const char *text, int64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	long long n = strtoll(text, &end, 10);
	const char *unit = *end == '\0' ? NULL : strchr(units, *end);
	int shift = unit == NULL ? 0 : 10 * (int)(unit - units + 1);

	if (end == text || n <= 0 || (*end != '\0' && unit == NULL) ||
	    (unit != NULL && end[1] != '\0') || n > INT64_MAX >> shift)
		return -EINVAL;
	*out = (int64_t)n << shift;
	return 0;
}

/* "500ms", "30s", "15m", "2h", "1d"; "never".  @out: of the SDK, where that is
 * -1.  Return: 0 or -EINVAL. */
static int read_time(const char *text, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"ms", 1},
		     {"s", 1000},
		     {"m", 60000},
		     {"h", 3600000},
		     {"d", 86400000}};
	char *end;
	long long n = strtoll(text, &end, 10);

	if (strcmp(text, "never") == 0) {
		*out = -1;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (end == text || n <= 0 || strcmp(end, units[i].unit) != 0 ||
		    n > INT64_MAX / 2 / units[i].ms)
			continue;
		*out = n * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

/* What is a path here is one for hibd, too: "DIR" and "DIR#REV" become
 * absolute, anything else stays.  NULL: out of memory. */
static char *workspace_source(const char *given)
{
	size_t n = strcspn(given, "#");
	autofree char *path = strndup(given, n);
	autofree char *real = path != NULL ? realpath(path, NULL) : NULL;
	char *out = NULL;

	if (real == NULL)
		return strdup(given);
	return asprintf(&out, "%s%s", real, given + n) < 0 ? NULL : out;
}

static void create_on_import(const struct hib_import_progress *p, void *arg)
{
	bool clones = strcmp(p->stage, "receive") == 0;
	double mib = (double)p->bytes / (1 << 20);

	if (p->total > 0)
		progress_say(arg, "%s %lld of %lld %s, %.1f MiB",
			     clones ? "receiving" : "reading", (long long)p->n,
			     (long long)p->total, clones ? "objects" : "files",
			     mib);
	else
		progress_say(arg, "%s %lld %s, %.1f MiB",
			     clones ? "receiving" : "reading", (long long)p->n,
			     clones ? "objects" : "files", mib);
}

int vm_create_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, vm_options, backend, "backend"),
		OPT(OPT_TEXT, vm_options, image, "image"),
		OPT(OPT_TEXT, vm_options, name, "name"),
		OPT(OPT_TEXT, vm_options, net, "net"),
		OPT(OPT_TEXT, vm_options, id, "id"),
		OPT(OPT_TEXT, vm_options, idle, "idle"),
		OPT(OPT_NUMBER, vm_options, idle_ms, "idle-ms"),
		OPT(OPT_TEXT, vm_options, cold, "cold-after"),
		OPT(OPT_NUMBER, vm_options, max_sessions, "max-sessions"),
		OPT(OPT_LIST, vm_options, mounts, "mount"),
		OPT(OPT_LIST, vm_options, files, "file"),
		OPT(OPT_TEXT, vm_options, quota, "quota"),
		OPT(OPT_NUMBER, vm_options, memory, "memory"),
		OPT(OPT_NUMBER, vm_options, cpus, "cpus"),
		OPT(OPT_TEXT, vm_options, workspace, "workspace"),
		OPT(OPT_FLAG, vm_options, no_boot, "no-boot"),
		OPT(OPT_FLAG, vm_options, no_template, "no-template"),
		OPT(OPT_FLAG, vm_options, json, "json"),
		OPT_END,
	};
	struct vm_options o = {.idle_ms = -1};
	struct hib_vm_options v = {.size = sizeof(v)};
	autofree char *workspace = NULL;
	autojw struct jw files = {0};
	struct progress progress;
	char id[HIB_ID_MAX];
	struct hib_error e;
	char *row = NULL;
	int r = cli_options(c, argc, argv, opts, &o, 0, 0);

	if (r < 0)
		r = first_files_read(&o.files, &files);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	v.id = o.id;
	v.backend = o.backend;
	v.image = o.image;
	v.name = o.name;
	v.net = o.net;
	v.no_boot = o.no_boot;
	v.no_template = o.no_template;
	workspace = o.workspace ? workspace_source(o.workspace) : NULL;
	v.workspace = workspace;
	if (o.quota != NULL && read_size(o.quota, &v.quota) < 0)
		return cli_usage(c, "--quota '%.40s': as 500M or 2G", o.quota);
	v.mounts = o.mounts.n > 0 ? o.mounts.item : NULL;
	v.initial_files = files.buf;
	v.max_sessions = o.max_sessions;
	v.memory = o.memory;
	v.cpus = o.cpus;
	/* Here 0 means never; in the SDK it is the default. */
	v.idle_ms = o.idle_ms > 0 ? o.idle_ms : o.idle_ms == 0 ? -1 : 0;
	if (o.idle != NULL && read_time(o.idle, &v.idle_ms) < 0)
		return cli_usage(c, "--idle '%.40s'" AS_TIME, o.idle);
	if (o.cold != NULL && read_time(o.cold, &v.cold_ms) < 0)
		return cli_usage(c, "--cold-after '%.40s'" AS_TIME, o.cold);
	if (workspace != NULL && !o.json && isatty(STDERR_FILENO))
		v.on_import = create_on_import;
	v.arg = &progress;
	progress_begin(&progress, "");
	r = hib_vm_create(c->hib, &v, id, &row, &e);
	progress_end(&progress);
	if (r == 0 && !o.json)
		cli_print(id);
	return cli_acted(r, row, o.json, &e);
}

int vm_list_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"id", "ID", 35},      {"state", "STATE", 9},
		{"sleep", "SLEEP", 5}, {"image", "IMAGE", 6},
		{"name", "NAME", 0},   {NULL, NULL, 0},
	};
	struct vm_options o = {0};
	struct err e = {0};
	autojw struct jw rows = {0};
	int r = cli_look(c, argc, argv, json_only, &o, 0, 0);

	if (r >= 0)
		return r;
	jw_arr(&rows);
	if (c->reader != NULL && views_vms(c->reader, &rows, &e) < 0)
		return cli_fail(&e);
	jw_arr_end(&rows);
	return cli_print_rows(&rows, o.json, columns);
}

static int vm_not_found(const char *vm)
{
	struct err e = {0};

	err_set(&e, -FAULT_VM_NOT_FOUND, "VM %.64s is not here", vm);
	return cli_fail(&e);
}

/* The row of the VM that is named, in @row over @text.  Return: -1 to go on. */
static int read_vm(struct cli *c, struct json *row, struct jw *text)
{
	struct err e = {0};

	if (c->reader == NULL)
		return vm_not_found(c->argv[0]);
	if (views_vm(c->reader, c->argv[0], text, &e) < 0 ||
	    json_parse(row, text->buf, text->len, &e) < 0)
		return cli_fail(&e);
	return -1;
}

bool vm_is_newer(struct jv vm)
{
	static const char *const off[] = {"stopped", "suspended", "failed"};
	struct jv complete = jv_path(vm, "config.workspace.complete");

	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		if (jv_eq(jv_get(vm, "state"), off[i]))
			return !jv_bool(complete, true);
	return false;
}

void vm_tell_newer(void)
{
	fputs("hib: newer files are on the VM's disk; they are committed when "
	      "it runs again (hib vm wake)\n",
	      stderr);
}

int vm_get_command(struct cli *c, int argc, char **argv)
{
	struct vm_options o = {0};
	autojson struct json j = {0};
	autojw struct jw row = {0};
	int r = cli_look(c, argc, argv, json_only, &o, 1, 1);

	if (r < 0)
		r = read_vm(c, &j, &row);
	if (r >= 0)
		return r;
	if (o.json)
		return cli_print_json(&row);
	cli_print_object(json_root(&j));
	fflush(stdout);
	if (vm_is_newer(json_root(&j)))
		vm_tell_newer();
	return 0;
}

int vm_events_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"seq", "SEQ", 5},    {"ts_ms", "TIME", 19},
		{"type", "TYPE", 18}, {"data", "DATA", 0},
		{NULL, NULL, 0},
	};
	struct vm_options o = {0};
	autojson struct json vm = {0}, j = {0};
	autojw struct jw row = {0}, rows = {0};
	struct err e = {0};
	char id[ID_MAX];
	int r = cli_look(c, argc, argv, json_only, &o, 1, 1);

	if (r < 0)
		r = read_vm(c, &vm, &row);
	if (r >= 0)
		return r;
	(void)jv_strcpy(jv_get(json_root(&vm), "id"), id, sizeof(id));
	jw_arr(&rows);
	if (views_vm_events(c->reader, id, &rows, &e) < 0)
		return cli_fail(&e);
	jw_arr_end(&rows);
	return cli_print_rows(&rows, o.json, columns);
}

/* One VM with the files of another. */
static int fork_files(struct cli *c, const struct vm_options *o)
{
	struct hib_vm_fork_options f = {
		.size = sizeof(f),
		.id = o->id,
		.name = o->name,
		.at = o->at,
		.no_sessions = o->no_sessions,
	};
	char id[HIB_ID_MAX];
	struct hib_error e;
	char *row = NULL;
	int r = hib_vm_fork(c->hib, c->argv[0], &f, id, &row, &e);

	if (r == 0 && !o->json)
		cli_print(id);
	return cli_acted(r, row, o->json, &e);
}

int vm_fork_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, vm_options, at, "at"),
		OPT(OPT_TEXT, vm_options, name, "name"),
		OPT(OPT_TEXT, vm_options, id, "id"),
		OPT(OPT_FLAG, vm_options, no_sessions, "no-sessions"),
		OPT_LETTER(OPT_NUMBER, vm_options, n, "count", 'n'),
		OPT(OPT_FLAG, vm_options, with_memory, "memory"),
		OPT(OPT_FLAG, vm_options, json, "json"),
		OPT_END,
	};
	struct vm_options o = {.n = 1};
	bool whole;
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	whole = o.with_memory || id_is(c->argv[0], "snp");
	if (whole && (o.at != NULL || o.id != NULL || o.no_sessions))
		return cli_usage(c, "--at, --id and --no-sessions are for "
				    "forks of files");
	if (o.n < 1 || (!whole && o.n > 1 && (o.id != NULL || o.name != NULL)))
		return cli_usage(c, "--count: at least 1, and --id and --name "
				    "are for one VM");
	r = cli_hib(c);
	if (r < 0 && whole)
		return cli_fork_snapshot(c, c->argv[0], o.n, o.name, o.json);
	for (int64_t i = 0; r <= 0 && i < o.n; i++)
		r = fork_files(c, &o);
	return r;
}

/* wake, resume, sleep and stop differ in one call. */
static int act(struct cli *c, int argc, char **argv,
	       int (*call)(struct hib *h, const char *vm, char **json,
			   struct hib_error *e))
{
	struct vm_options o = {0};
	struct hib_error e;
	char *row = NULL;
	int r = cli_act(c, argc, argv, json_only, &o, 1, 1);

	if (r >= 0)
		return r;
	r = call(c->hib, c->argv[0], &row, &e);
	return cli_acted(r, row, o.json, &e);
}

int vm_wake_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, hib_vm_wake);
}

int vm_upgrade_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, hib_vm_upgrade);
}

int vm_sleep_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, hib_vm_sleep);
}

int vm_resume_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, hib_vm_resume);
}

int vm_suspend_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, vm_options, or_cold, "or-cold"),
		OPT(OPT_FLAG, vm_options, json, "json"),
		OPT_END,
	};
	struct vm_options o = {0};
	struct hib_error e;
	char *row = NULL;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	r = hib_vm_suspend(c->hib, c->argv[0], o.or_cold, &row, &e);
	return cli_acted(r, row, o.json, &e);
}

int vm_stop_command(struct cli *c, int argc, char **argv)
{
	return act(c, argc, argv, hib_vm_stop);
}

int vm_destroy_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, vm_options, force, "force"),
		OPT_END,
	};
	struct vm_options o = {0};
	struct hib_error e;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	r = hib_vm_destroy(c->hib, c->argv[0], o.force, &e);
	return cli_acted(r, NULL, false, &e);
}
