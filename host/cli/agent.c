// SPDX-License-Identifier: Apache-2.0
/*
 * agent.c - hib agent list, add, remove
 *
 * Packages are installed into HIB_HOME/agents/NAME/.new, which becomes
 * HIB_HOME/agents/NAME/VERSION by one rename when it is complete, in exchange
 * for what may be there.  Who is interrupted leaves at most .new behind, which
 * is no version and is removed by the next one, or when hibd starts.  One hib at
 * a time changes HIB_HOME/agents.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/time.h"
#include "host/cli/commands.h"
#include "host/cli/npm.h"
#include "host/install.h"
#include "host/manifest.h"
#include "host/tree.h"

/* A version's folder and a name in it. */
#define PATH_BYTES (INSTALL_PATH_MAX + 128)

struct agent_options {
	bool json, force;
};

/* --- list --------------------------------------------------------------- */

static void put_row(struct jv m, struct jw *w)
{
	struct manifest_missing needs = {0};
	const struct jv nothing = {.i = -1};
	bool good = !jv_has(jv_get(m, "error"));

	(void)manifest_missing(m, nothing, &needs, NULL);
	jw_obj(w);
	jw_kvalue(w, "name", jv_get(m, "name"));
	jw_kvalue(w, "version", jv_get(m, "version"));
	jw_kstr(w, "installed",
		jv_bool(jv_get(m, "disabled"), false)	? "disabled"
		: !good					? "wrong"
		: jv_bool(jv_get(m, "installed"), true) ? "yes"
							: "no");
	jw_kstr(w, "needs", needs.words);
	jw_kvalue(w, "title", jv_get(m, good ? "title" : "error"));
	jw_obj_end(w);
	manifest_missing_done(&needs);
}

static int print_list(struct jv list)
{
	static const struct column columns[] = {
		{"name", "NAME", 12},	  {"version", "VERSION", 9},
		{"installed", "HERE", 4}, {"title", "TITLE", 28},
		{"needs", "NEEDS", 0},	  {NULL, NULL, 0},
	};
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	struct err e = {0};

	jw_arr(&rows);
	for (struct jv m = jv_first(list); jv_has(m); m = jv_next(list, m))
		put_row(m, &rows);
	jw_arr_end(&rows);
	if (rows.failed || json_parse(&j, rows.buf, rows.len, &e) < 0)
		return cli_fail(&e);
	cli_print_table(json_root(&j), columns);
	return 0;
}

int agent_list_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, agent_options, json, "json"),
		OPT_END,
	};
	struct agent_options o = {0};
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 0, 0);

	if (r >= 0)
		return r;
	jw_arr(&w);
	if (manifest_list(&c->home, &w, &e) < 0)
		return cli_fail(&e);
	jw_arr_end(&w);
	if (o.json)
		return cli_print_json(&w);
	if (json_parse(&j, w.buf, w.len, &e) < 0)
		return cli_fail(&e);
	return print_list(json_root(&j));
}

/* --- what both others share --------------------------------------------- */

/* An agent that is being added or removed. */
struct job {
	const struct home *home;
	char *text; /* Its manifest. */
	struct json json;
	struct jv m;
	char name[MANIFEST_NAME_MAX + 1], version[MANIFEST_NAME_MAX + 1];
	char folder[INSTALL_PATH_MAX]; /* HIB_HOME/agents/NAME */
	bool changed;
	int lock;
};

static void job_done(struct job *job)
{
	json_done(&job->json);
	free(job->text);
	close_fd(&job->lock);
}

static int job_open(struct job *job, const struct home *h, struct err *e)
{
	umask(022);
	job->home = h;
	job->lock = -1;
	if (home_make(h, e) < 0)
		return e->code;
	job->lock = open(h->agents, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (job->lock < 0 || flock(job->lock, LOCK_EX) < 0)
		return err_set(e, -errno, "%s: %s", h->agents, strerror(errno));
	return 0;
}

static int job_failed(struct job *job, const struct err *e)
{
	job_done(job);
	return cli_fail(e);
}

/* {"name","version","changed"} or the two first words. */
static int job_print(struct job *job, bool json)
{
	autojw struct jw w = {0};
	int status = 0;

	jw_obj(&w);
	jw_kstr(&w, "name", job->name);
	jw_kstr(&w, "version", job->version[0] != '\0' ? job->version : NULL);
	jw_kbool(&w, "changed", job->changed);
	jw_obj_end(&w);
	if (json)
		status = cli_print_json(&w);
	else
		printf("%s%s%s\n", job->name, job->version[0] ? " " : "",
		       job->version);
	job_done(job);
	return status;
}

/* Words on standard error; bold on a terminal. */
static void say(const struct job *job, const char *what)
{
	bool bold = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL;

	fprintf(stderr, "hib: %s%s %s%s: %s\n", bold ? "\033[1m" : "",
		job->name, job->version, bold ? "\033[0m" : "", what);
}

/* --- add ---------------------------------------------------------------- */

/* Is it a file, or the name of an agent? */
static bool is_file(const char *arg)
{
	return strchr(arg, '/') != NULL;
}

static int read_manifest(struct job *job, const char *arg, struct err *e)
{
	int r = is_file(arg) ? manifest_read_file(arg, &job->text, e)
			     : manifest_read(job->home, arg, &job->text, e);

	if (r == 0)
		r = json_parse(&job->json, job->text, strlen(job->text), e);
	if (r < 0)
		return r;
	job->m = json_root(&job->json);
	(void)jv_strcpy(jv_get(job->m, "name"), job->name, sizeof(job->name));
	(void)jv_strcpy(jv_get(job->m, "version"), job->version,
			sizeof(job->version));
	snprintf(job->folder, sizeof(job->folder), "%s/%s", job->home->agents,
		 job->name);
	return 0;
}

/* What was installed must be whole after a power failure, too. */
static int settle(const char *dir, struct jv manifest, struct err *e)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = tree_publish(dir);

	if (fd < 0 || (r == 0 && syncfs(fd) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, r, "%s: %s", dir, strerror(-r));
	return install_stamp(dir, manifest, e);
}

/* @dir becomes @place; what was there becomes @dir. */
static int exchange(const char *dir, const char *place, struct err *e)
{
	if (renameat2(AT_FDCWD, dir, AT_FDCWD, place, RENAME_NOREPLACE) == 0 ||
	    (errno == EEXIST &&
	     renameat2(AT_FDCWD, dir, AT_FDCWD, place, RENAME_EXCHANGE) == 0))
		return 0;
	return err_set(e, -errno, "%s: %s", place, strerror(errno));
}

static int install_into(struct job *job, const char *dir, const char *place,
			struct err *e)
{
	if (mkdir(dir, 0755) < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	if (npm_install(dir, jv_get(job->m, "npm"), e) < 0 ||
	    settle(dir, job->m, e) < 0)
		return e->code;
	return exchange(dir, place, e);
}

static int install(struct job *job, const char *place, struct err *e)
{
	int64_t begin = now_ms();
	char dir[PATH_BYTES], words[64];
	int r;

	snprintf(dir, sizeof(dir), "%s/" INSTALL_NEW, job->folder);
	if (mkdir(job->folder, 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", job->folder,
			       strerror(errno));
	say(job, "npm installs its packages, without running their scripts");
	(void)tree_remove(dir);
	r = install_into(job, dir, place, e);
	(void)tree_remove(dir);
	(void)rmdir(job->folder); /* When nothing else is in it. */
	if (r < 0)
		return r;
	job->changed = true;
	snprintf(words, sizeof(words), "installed in %.1f s",
		 (double)(now_ms() - begin) / 1000);
	say(job, words);
	return 0;
}

/* The manifest of a file becomes one of the user's own. */
static int keep_manifest(struct job *job, struct err *e)
{
	char temp[PATH_BYTES], path[PATH_BYTES];
	size_t len = strlen(job->text);
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "%s.json", job->folder);
	snprintf(temp, sizeof(temp), "%s.json" INSTALL_NEW, job->folder);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	errno = fd < 0 ? errno : EIO; /* Of a short write. */
	if (fd < 0 || write(fd, job->text, len) != (ssize_t)len ||
	    fsync(fd) < 0 || rename(temp, path) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int agent_add_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, agent_options, force, "force"),
		OPT(OPT_FLAG, agent_options, json, "json"),
		OPT_END,
	};
	struct agent_options o = {0};
	char place[INSTALL_PATH_MAX];
	struct job job = {0};
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (job_open(&job, &c->home, &e) < 0 ||
	    read_manifest(&job, c->argv[0], &e) < 0)
		return job_failed(&job, &e);
	if (install_dir(&c->home, job.m, place, NULL) < 0)
		say(&job, "needs no packages");
	else if (!o.force && install_is_done(&c->home, job.m))
		say(&job, "is installed already");
	else if (install(&job, place, &e) < 0)
		return job_failed(&job, &e);
	if (is_file(c->argv[0]) && keep_manifest(&job, &e) < 0)
		return job_failed(&job, &e);
	return job_print(&job, o.json);
}

/* --- remove ------------------------------------------------------------- */

struct users {
	const char *agent;
	char first[ID_MAX];
	unsigned n;
};

static int count_user(const struct session_brief *b, void *arg)
{
	static const char *const live[] = {"starting", "idle", "running",
					   "waiting"};
	struct users *u = arg;

	if (strcmp(b->agent, u->agent) != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(live); i++) {
		if (strcmp(b->state, live[i]) != 0)
			continue;
		if (u->n++ == 0)
			memcpy(u->first, b->id, ID_MAX);
	}
	return 0;
}

static int check_unused(struct cli *c, const char *agent, struct err *e)
{
	struct users u = {.agent = agent};

	if (c->reader == NULL)
		return 0;
	if (reader_sessions(c->reader, NULL, count_user, &u, e) < 0)
		return e->code;
	if (u.n == 0)
		return 0;
	return err_set(e, -FAULT_HAS_CHILDREN,
		       "agent %.64s is in use by %u live sessions, as %s; "
		       "--force removes it nevertheless",
		       agent, u.n, u.first);
}

/* Is it a version that we installed, or what an interrupt has left? */
static bool is_ours(const struct job *job, const char *name)
{
	char stamp[PATH_BYTES];

	if (strcmp(name, INSTALL_NEW) == 0 || strcmp(name, INSTALL_GONE) == 0)
		return true;
	snprintf(stamp, sizeof(stamp), "%s/%.64s/" INSTALL_STAMP, job->folder,
		 name);
	return manifest_name_is_good(name) && access(stamp, F_OK) == 0;
}

/* It moves aside first: it is there as a whole or not at all. */
static int remove_version(struct job *job, const char *name, struct err *e)
{
	char dir[PATH_BYTES], gone[PATH_BYTES];
	int r = 0;

	snprintf(dir, sizeof(dir), "%s/%.64s", job->folder, name);
	snprintf(gone, sizeof(gone), "%s/" INSTALL_GONE, job->folder);
	if (strcmp(dir, gone) != 0) {
		(void)tree_remove(gone);
		r = rename(dir, gone) < 0 ? -errno : 0;
	}
	if (r == 0)
		r = tree_remove(gone);
	job->changed |= r == 0;
	return r == 0 ? 0 : err_set(e, r, "%s: %s", dir, strerror(-r));
}

static int remove_versions(struct job *job, struct err *e)
{
	DIR *d = opendir(job->folder);
	const struct dirent *ent;
	int r = 0;

	while (d != NULL && r == 0 && (ent = readdir(d)) != NULL) {
		if (is_ours(job, ent->d_name))
			r = remove_version(job, ent->d_name, e);
	}
	if (d != NULL)
		closedir(d);
	(void)rmdir(job->folder); /* Unless the user has put more there. */
	if (r == 0 && !job->changed)
		r = err_set(e, -FAULT_AGENT_UNKNOWN,
			    "agent '%.64s' is not installed", job->name);
	return r;
}

int agent_remove_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, agent_options, force, "force"),
		OPT(OPT_FLAG, agent_options, json, "json"),
		OPT_END,
	};
	struct agent_options o = {0};
	struct job job = {.lock = -1};
	struct err e = {0};
	int r = cli_look(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (!manifest_name_is_good(c->argv[0])) {
		err_set(&e, -FAULT_AGENT_UNKNOWN, "'%.64s' names no agent",
			c->argv[0]);
		return cli_fail(&e);
	}
	snprintf(job.name, sizeof(job.name), "%s", c->argv[0]);
	if (job_open(&job, &c->home, &e) < 0 ||
	    (!o.force && check_unused(c, job.name, &e) < 0))
		return job_failed(&job, &e);
	snprintf(job.folder, sizeof(job.folder), "%s/%s", c->home.agents,
		 job.name);
	if (remove_versions(&job, &e) < 0)
		return job_failed(&job, &e);
	return job_print(&job, o.json);
}
