// SPDX-License-Identifier: Apache-2.0
/*
 * home.c - Where everything is: the state folder and our own programs
 */
#include "host/home.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_PROGRAM "/lib/hibernacle/hib-files"

/* Join two parts.  False when the result is too long. */
static bool join(char out[HOME_PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, HOME_PATH_MAX, "%s%s", dir, name) < HOME_PATH_MAX;
}

static bool find_root(const char *root, char out[HOME_PATH_MAX])
{
	const char *env;

	if (root != NULL)
		return join(out, root, "");
	env = getenv("HIB_HOME");
	if (env != NULL && env[0] != '\0')
		return join(out, env, "");
	env = getenv("XDG_STATE_HOME");
	if (env != NULL && env[0] == '/')
		return join(out, env, "/hibernacle");
	env = getenv("HOME");
	if (env != NULL && env[0] == '/')
		return join(out, env, "/.local/state/hibernacle");
	out[0] = '\0';
	return true;
}

/* A relative HIB_HOME means from here on the same folder, wherever we go. */
static bool make_absolute(char path[HOME_PATH_MAX])
{
	char given[HOME_PATH_MAX], cwd[HOME_PATH_MAX];

	if (path[0] == '/' || path[0] == '\0')
		return true;
	memcpy(given, path, HOME_PATH_MAX);
	return getcwd(cwd, sizeof(cwd) - 1) != NULL && strcat(cwd, "/") &&
	       join(path, cwd, given);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Cut @end off a path that ends so.  False: it does not. */
static bool cut_end(char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	if (n < m || strcmp(path + n - m, end) != 0)
		return false;
	path[n - m] = '\0';
	return true;
}

static void cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
}

/* From the running program: the folder of hib and hibd, and that above it. */
static bool find_bin(struct home *h, char prefix[HOME_PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", prefix, HOME_PATH_MAX - 1);

	if (n <= 0)
		return false;
	prefix[n] = '\0';
	if (cut_end(prefix, FILES_PROGRAM))
		return join(h->bin, prefix, "/bin");
	cut_name(prefix);
	if (!join(h->bin, prefix, ""))
		return false;
	cut_name(prefix);
	return true;
}

static bool find_programs(struct home *h)
{
	const char *libexec = getenv("HIB_LIBEXEC");
	char prefix[HOME_PATH_MAX];

	if (!find_bin(h, prefix) ||
	    !join(h->files_program, prefix, FILES_PROGRAM))
		return false;
	if (!join(h->libexec, prefix, "/libexec/hibernacle") ||
	    !join(h->manifests, prefix, "/share/hibernacle/agents") ||
	    !join(h->recipes, prefix, "/share/hibernacle/images") ||
	    !join(h->shared_images, prefix, "/lib/hibernacle/images"))
		return false;
	if (!is_dir(h->libexec) && !join(h->libexec, prefix, "/libexec"))
		return false;
	if (!is_dir(h->manifests) &&
	    !join(h->manifests, prefix, "/../../images/agents"))
		return false;
	if (!is_dir(h->recipes) &&
	    (!join(h->recipes, prefix, "/../../images") ||
	     !join(h->shared_images, prefix, "/../images")))
		return false;
	return libexec == NULL || libexec[0] != '/' ||
	       join(h->libexec, libexec, "");
}

int home_find(const char *root, struct home *out, struct err *e)
{
	struct home *h = out;

	if (!find_root(root, h->root) || !make_absolute(h->root) ||
	    !find_programs(h) || !join(h->db, h->root, "/hib.db") ||
	    !join(h->sock, h->root, "/hibd.sock") ||
	    !join(h->pid, h->root, "/hibd.pid") ||
	    !join(h->key, h->root, "/key") ||
	    !join(h->log, h->root, "/hibd.log") ||
	    !join(h->agents, h->root, "/agents") ||
	    !join(h->images, h->root, "/images") ||
	    !join(h->vms, h->root, "/vms"))
		return err_set(e, -ENAMETOOLONG, "HIB_HOME: path too long");
	if (h->root[0] == '\0')
		return err_set(e, -EINVAL,
			       "set HIB_HOME: neither it, XDG_STATE_HOME nor "
			       "HOME names a folder");
	return 0;
}

static int make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return err_set(e, -errno, "%s: %s", path, strerror(errno));
}

/* mkdir -p; the parents get the usual mode, the folder itself 0700. */
static int make_parents(const char *path, struct err *e)
{
	char part[HOME_PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		if (make_dir(part, e) < 0)
			return e ? e->code : -EIO;
	}
	return 0;
}

int home_make(const struct home *h, struct err *e)
{
	const char *const dirs[] = {h->root, h->agents, h->vms};
	int r = make_parents(h->root, e);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++)
		r = make_dir(dirs[i], e);
	if (r == 0 && chmod(h->root, 0700) < 0)
		r = err_set(e, -errno, "%s: %s", h->root, strerror(errno));
	/* A VM reads it under a uid of its own. */
	if (r == 0 && chmod(h->agents, 0755) < 0)
		r = err_set(e, -errno, "%s: %s", h->agents, strerror(errno));
	return r;
}
