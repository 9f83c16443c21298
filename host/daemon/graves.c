// SPDX-License-Identifier: Apache-2.0
/*
 * graves.c - What is left of destroyed VMs, and of those never made
 *
 * A sweep first finds out which repositories are needed: those that are named by
 * one which is no grave, or by one that is needed.  The other graves are renamed,
 * which takes no time, and removed without the lock.
 */
#include "host/daemon/graves.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/id.h"
#include "core/log.h"
#include "host/tree.h"
#include "vfs/repo.h"

#define LOG_COMPONENT "graves"
#define REPOSITORY    "workspace.git"
#define GONE	      "gone"
#define MAKING	      "making"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* One folder of vms/. */
struct plot {
	char id[ID_MAX];
	bool gone, needed, looked_at;
};

struct yard {
	const char *vms;
	struct plot *plots;
	size_t n, cap;
	bool failed; /* Something is not known: nothing is taken away. */
};

/* --- marks -------------------------------------------------------------- */

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

static int mark(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int fd, r = join(path, dir, name);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static bool is_marked(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return join(path, dir, name) == 0 && access(path, F_OK) == 0;
}

int graves_begin(const char *dir)
{
	return mark(dir, MAKING);
}

int graves_made(const char *dir)
{
	char path[PATH_MAX];
	int r = join(path, dir, MAKING);

	if (r < 0)
		return r;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

bool graves_is_unmade(const char *dir)
{
	return is_marked(dir, MAKING);
}

int graves_bury(const char *dir)
{
	return mark(dir, GONE);
}

/* --- who is needed ------------------------------------------------------ */

static struct plot *yard_find(struct yard *y, const char *id)
{
	for (size_t i = 0; i < y->n; i++) {
		if (strcmp(y->plots[i].id, id) == 0)
			return &y->plots[i];
	}
	return NULL;
}

/* @id: a whole one. */
static int yard_add(struct yard *y, const char *id)
{
	char dir[PATH_MAX];
	struct plot *p;

	if (join(dir, y->vms, id) < 0)
		return -ENAMETOOLONG;
	if (y->n == y->cap) {
		size_t cap = y->cap ? y->cap * 2 : 64;

		p = reallocarray(y->plots, cap, sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		y->plots = p;
		y->cap = cap;
	}
	p = &y->plots[y->n++];
	*p = (struct plot){.gone = is_marked(dir, GONE)};
	memcpy(p->id, id, strlen(id) + 1);
	p->needed = !p->gone;
	return 0;
}

/* A line of objects/info/alternates: whose repository does it name? */
static bool named_by_line(const char *line, char id[ID_MAX])
{
	static const char tail[] = "/" REPOSITORY "/objects";
	const char *end = strstr(line, tail), *begin;

	if (end == NULL)
		return false;
	begin = memrchr(line, '/', (size_t)(end - line));
	begin = begin != NULL ? begin + 1 : line;
	if (end - begin >= ID_MAX)
		return false;
	memcpy(id, begin, (size_t)(end - begin));
	id[end - begin] = '\0';
	return id_is(id, "vm");
}

/* Whom it names is needed.  Return: whether that was news. */
static bool plot_look(struct yard *y, struct plot *p)
{
	char path[PATH_MAX], line[PATH_MAX], id[ID_MAX];
	bool news = false;
	FILE *f;

	p->looked_at = true;
	if (snprintf(path, sizeof(path),
		     "%s/%s/" REPOSITORY "/objects/info/alternates", y->vms,
		     p->id) >= (int)sizeof(path))
		return false;
	f = fopen(path, "re");
	y->failed |= f == NULL && errno != ENOENT && errno != ENOTDIR;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		struct plot *named =
			named_by_line(line, id) ? yard_find(y, id) : NULL;

		if (named == NULL || named->needed)
			continue;
		named->needed = news = true;
	}
	if (f != NULL)
		fclose(f);
	return news;
}

static void yard_look(struct yard *y)
{
	bool news;

	do {
		news = false;
		for (size_t i = 0; i < y->n; i++) {
			struct plot *p = &y->plots[i];

			if (p->needed && !p->looked_at)
				news |= plot_look(y, p);
		}
	} while (news);
}

/* --- sweeping ----------------------------------------------------------- */

/* Remove all but the repository, last the rest of the guest's. */
static void strip(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *d;
	DIR *all = opendir(dir);

	while (all != NULL && (d = readdir(all)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    strcmp(d->d_name, REPOSITORY) == 0 ||
		    strcmp(d->d_name, GONE) == 0 ||
		    join(path, dir, d->d_name) < 0)
			continue;
		if (tree_remove(path) < 0)
			log_debug("%s: %s", path, strerror(errno));
	}
	if (all != NULL)
		closedir(all);
}

static void plot_take_away(const struct yard *y, const struct plot *p)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (join(from, y->vms, p->id) == 0 &&
	    snprintf(to, sizeof(to), "%s.gone", from) < (int)sizeof(to) &&
	    rename(from, to) < 0)
		log_debug("%s: %s", from, strerror(errno));
}

/* Call @cb for the name of each folder of @vms. */
static void each_folder(const char *vms,
			void (*cb)(const char *name, void *arg), void *arg)
{
	struct dirent *d;
	DIR *all = opendir(vms);

	while (all != NULL && (d = readdir(all)) != NULL)
		cb(d->d_name, arg);
	if (all != NULL)
		closedir(all);
}

static void find_plot(const char *name, void *arg)
{
	struct yard *y = arg;

	if (id_is(name, "vm") && yard_add(y, name) < 0)
		y->failed = true;
}

static void remove_gone(const char *name, void *arg)
{
	static const char tail[] = ".gone";
	const char *vms = arg;
	size_t n = strlen(name);
	char path[PATH_MAX];
	int r;

	if (n <= strlen(tail) || strcmp(name + n - strlen(tail), tail) != 0 ||
	    join(path, vms, name) < 0)
		return;
	r = tree_remove(path);
	if (r < 0)
		log_debug("%s: %s", path, strerror(-r));
}

void graves_sweep(const char *vms)
{
	struct yard y = {.vms = vms};
	char dir[PATH_MAX];

	pthread_mutex_lock(&lock);
	each_folder(vms, find_plot, &y);
	yard_look(&y);
	for (size_t i = 0; i < y.n && !y.failed; i++) {
		if (y.plots[i].gone && !y.plots[i].needed)
			plot_take_away(&y, &y.plots[i]);
	}
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < y.n; i++) {
		if (y.plots[i].gone && (y.plots[i].needed || y.failed) &&
		    join(dir, vms, y.plots[i].id) == 0)
			strip(dir);
	}
	free(y.plots);
	each_folder(vms, remove_gone, (void *)(uintptr_t)vms);
}

/* --- forks -------------------------------------------------------------- */

static int fork_locked(const char *source, const char *dir,
		       const struct vfs_oid *head, struct err *e)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (join(from, source, REPOSITORY) < 0 || join(to, dir, REPOSITORY) < 0)
		return err_set(e, -ENAMETOOLONG, "%s", dir);
	if (is_marked(source, GONE) || access(from, F_OK) < 0)
		return err_set(e, -FAULT_VM_NOT_FOUND,
			       "the VM to fork was destroyed");
	return vfs_repo_create_fork(to, from, head, NULL, e);
}

int graves_fork(const char *source, const char *dir, const struct vfs_oid *head,
		struct err *e)
{
	int r;

	pthread_mutex_lock(&lock);
	r = fork_locked(source, dir, head, e);
	pthread_mutex_unlock(&lock);
	return r;
}
