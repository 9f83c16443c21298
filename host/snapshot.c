// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.c - A VM at one instant, as a folder says it
 */
#include "host/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "host/tree.h"

#define KIND	    "snapshot"
#define MOUNTS_MAX  (64u << 10) /* Bytes of JSON. */
#define NUMBER_LAST (INT64_MAX / 2)

void snapshot_done(struct snapshot *s)
{
	free(s->mounts);
	free(s->cursors);
	*s = (struct snapshot){0};
}

/* --- writing --------------------------------------------------------------- */

static void put_text(struct jw *w, const char *key, const char *text)
{
	jw_kstr(w, key, text[0] != '\0' ? text : NULL);
}

void snapshot_write(const struct snapshot *s, struct jw *w)
{
	jw_obj(w);
	jw_kint(w, "hibernacle", SNAPSHOT_VERSION);
	jw_kstr(w, "kind", KIND);
	jw_kstr(w, "snapshot", s->id);
	jw_kstr(w, "vm", s->vm);
	put_text(w, "parent", s->parent);
	jw_kstr(w, "of", s->memory ? "memory" : "disk");
	if (s->temporary)
		jw_kbool(w, "temporary", true);
	put_text(w, "label", s->label);
	jw_kint(w, "created_ms", s->created_ms);
	jw_key(w, "config");
	jw_obj(w);
	jw_kstr(w, "backend", s->backend);
	jw_kstr(w, "image", s->image);
	jw_kstr(w, "net", s->net);
	jw_kint(w, "idle_ms", s->idle_ms);
	jw_kint(w, "cold_ms", s->cold_ms);
	jw_kint(w, "max_sessions", s->max_sessions);
	jw_kint(w, "quota", s->quota);
	jw_kint(w, "memory", s->ram_mib);
	jw_kint(w, "cpus", s->cpus);
	jw_kraw(w, "mounts", s->mounts);
	jw_obj_end(w);
	jw_key(w, "workspace");
	jw_obj(w);
	jw_kint(w, "n", s->workspace_n);
	put_text(w, "base", s->base);
	put_text(w, "head", s->head);
	jw_kbool(w, "complete", s->complete);
	jw_obj_end(w);
	jw_kraw(w, "cursors", s->cursors);
	jw_obj_end(w);
}

/* --- reading --------------------------------------------------------------- */

/* What reads a member says false when it is wrong. */
static bool read_id(struct jv v, const char *prefix, char out[ID_MAX])
{
	return jv_strcpy(v, out, ID_MAX) > 0 && id_is(out, prefix);
}

static bool read_text(struct jv v, char *out, size_t cap, const char *otherwise)
{
	if (!jv_has(v) || jv_is(v, JV_NULL)) {
		snprintf(out, cap, "%s", otherwise);
		return true;
	}
	return jv_strcpy(v, out, cap) >= 0;
}

static bool read_number(struct jv v, int64_t min, int64_t *out)
{
	*out = jv_has(v) ? jv_int(v, -1) : min;
	return *out >= min && *out <= NUMBER_LAST;
}

static bool read_oid(struct jv v, char out[VFS_OID_HEX])
{
	struct vfs_oid oid;

	return read_text(v, out, VFS_OID_HEX, "") &&
	       (out[0] == '\0' || vfs_oid_parse(out, &oid) == 0);
}

/* The text of a value, checked to be JSON by who parsed it. */
static bool copy_raw(struct jv v, char **out)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	*out = strndup(raw, n);
	return *out != NULL;
}

static bool read_mounts(struct snapshot *s, struct jv v)
{
	size_t n;

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return true;
	(void)jv_raw(v, &n);
	return jv_is(v, JV_ARRAY) && n <= MOUNTS_MAX && copy_raw(v, &s->mounts);
}

static bool read_cursors(struct snapshot *s, struct jv v)
{
	char id[ID_MAX];

	if (!jv_is(v, JV_OBJECT) || jv_count(v) > SNAPSHOT_SESSIONS_MAX)
		return false;
	for (struct jv k = jv_first(v); jv_has(k); k = jv_next(v, k)) {
		int64_t seq = jv_int(jv_value(k), 0);

		if (!read_id(k, "ses", id) || seq < 1 || seq > NUMBER_LAST)
			return false;
	}
	return copy_raw(v, &s->cursors);
}

static bool is_word(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n > 0 && text[n] == '\0';
}

static bool read_config(struct snapshot *s, struct jv v)
{
	return jv_is(v, JV_OBJECT) &&
	       read_text(jv_get(v, "backend"), s->backend, sizeof(s->backend),
			 "") &&
	       is_word(s->backend) &&
	       read_text(jv_get(v, "image"), s->image, sizeof(s->image), "") &&
	       s->image[0] != '\0' &&
	       read_text(jv_get(v, "net"), s->net, sizeof(s->net), "none") &&
	       (strcmp(s->net, "none") == 0 || strcmp(s->net, "host") == 0) &&
	       read_number(jv_get(v, "idle_ms"), 0, &s->idle_ms) &&
	       read_number(jv_get(v, "cold_ms"), 0, &s->cold_ms) &&
	       read_number(jv_get(v, "max_sessions"), 1, &s->max_sessions) &&
	       read_number(jv_get(v, "quota"), 0, &s->quota) &&
	       read_number(jv_get(v, "memory"), 0, &s->ram_mib) &&
	       read_number(jv_get(v, "cpus"), 0, &s->cpus) &&
	       read_mounts(s, jv_get(v, "mounts"));
}

static bool read_workspace(struct snapshot *s, struct jv v)
{
	s->complete = jv_bool(jv_get(v, "complete"), false);
	return jv_is(v, JV_OBJECT) &&
	       read_number(jv_get(v, "n"), 1, &s->workspace_n) &&
	       read_oid(jv_get(v, "base"), s->base) &&
	       read_oid(jv_get(v, "head"), s->head);
}

static bool read_names(struct snapshot *s, struct jv v)
{
	struct jv parent = jv_get(v, "parent");

	s->memory = jv_eq(jv_get(v, "of"), "memory");
	s->temporary = jv_bool(jv_get(v, "temporary"), false);
	return read_id(jv_get(v, "snapshot"), "snp", s->id) &&
	       read_id(jv_get(v, "vm"), "vm", s->vm) &&
	       (!jv_has(parent) || jv_is(parent, JV_NULL) ||
		read_id(parent, "snp", s->parent)) &&
	       (s->memory || jv_eq(jv_get(v, "of"), "disk")) &&
	       read_text(jv_get(v, "label"), s->label, sizeof(s->label), "") &&
	       read_number(jv_get(v, "created_ms"), 0, &s->created_ms);
}

int snapshot_read(struct snapshot *out, const char *text, size_t len,
		  struct err *e)
{
	autojson struct json j = {0};
	struct jv v;
	int r;

	*out = (struct snapshot){0};
	if (len > SNAPSHOT_JSON_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "snapshot: too much is said of it");
	r = json_parse(&j, text, len, e);
	if (r < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "snapshot: no JSON");
	v = json_root(&j);
	if (!jv_eq(jv_get(v, "kind"), KIND))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "no snapshot");
	if (jv_int(jv_get(v, "hibernacle"), 0) != SNAPSHOT_VERSION)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "snapshot: of a version that is not known here");
	if (read_names(out, v) && read_config(out, jv_get(v, "config")) &&
	    read_workspace(out, jv_get(v, "workspace")) &&
	    read_cursors(out, jv_get(v, "cursors")))
		return 0;
	snapshot_done(out);
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "snapshot: what is said of it makes no sense");
}

int snapshot_check_events(const struct snapshot *s, struct err *e)
{
	autojson struct json j = {0};
	int64_t left = SNAPSHOT_EVENTS_MAX;
	int r = json_parse(&j, s->cursors, strlen(s->cursors), e);
	struct jv all = json_root(&j);

	if (r < 0)
		return r;
	for (struct jv k = jv_first(all); jv_has(k); k = jv_next(all, k)) {
		int64_t n = jv_int(jv_value(k), 0);

		if (n > left)
			return err_set(e, -FAULT_QUOTA_EXCEEDED,
				       "%s: its logs have more than %d events",
				       s->id, SNAPSHOT_EVENTS_MAX);
		left -= n;
	}
	return 0;
}

/* --- folders --------------------------------------------------------------- */

int snapshot_save(const struct snapshot *s, int folder, struct err *e)
{
	autoclose int fd = openat(
		folder, SNAPSHOT_JSON,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	autojw struct jw w = {0};

	snapshot_write(s, &w);
	jw_lit(&w, "\n", 1);
	if (w.failed)
		return err_set(e, -ENOMEM, "%s: out of memory", s->id);
	if (fd < 0 || write(fd, w.buf, w.len) != (ssize_t)w.len ||
	    fsync(fd) < 0 || fsync(folder) < 0)
		return err_set(e, errno != 0 ? -errno : -ENOSPC,
			       "%s: write " SNAPSHOT_JSON ": %s", s->id,
			       strerror(errno));
	return 0;
}

int snapshot_load(struct snapshot *out, int folder, struct err *e)
{
	autoclose int fd = openat(folder, SNAPSHOT_JSON,
				  O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *text = malloc(SNAPSHOT_JSON_MAX + 1);
	size_t len = 0;
	ssize_t n = -1;

	if (text == NULL)
		return err_set(e, -ENOMEM, SNAPSHOT_JSON ": out of memory");
	while (fd >= 0 &&
	       (n = read(fd, text + len, SNAPSHOT_JSON_MAX + 1 - len)) > 0)
		len += (size_t)n;
	return n < 0 ? err_set(e, -errno, SNAPSHOT_JSON ": %s", strerror(errno))
		     : snapshot_read(out, text, len, e);
}

/* --- what was left --------------------------------------------------------- */

static bool ends_in(const char *name, const char *tail)
{
	size_t n = strlen(name), t = strlen(tail);

	return n > t && strcmp(name + n - t, tail) == 0;
}

static bool is_leftover(const char *name)
{
	return strncmp(name, "snp_", 4) == 0 &&
	       (ends_in(name, ".new") || ends_in(name, ".gone"));
}

static int sweep_vm(const char *dir)
{
	const struct dirent *d;
	char path[PATH_MAX];
	DIR *all = opendir(dir);
	int n = 0, r = 0;

	if (all == NULL)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(all)) != NULL) {
		if (!is_leftover(d->d_name) ||
		    snprintf(path, sizeof(path), "%s/%s", dir, d->d_name) >=
			    (int)sizeof(path))
			continue;
		r = tree_remove(path);
		if (r < 0)
			break;
		n++;
	}
	closedir(all);
	return r < 0 ? r : n;
}

int snapshot_sweep_imports(const char *root)
{
	const struct dirent *d;
	char path[PATH_MAX];
	DIR *all = opendir(root);
	int n = 0;

	if (all == NULL)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(all)) != NULL) {
		autoclose int fd = -1;

		if (strncmp(d->d_name, SNAPSHOT_IMPORT,
			    strlen(SNAPSHOT_IMPORT)) != 0 ||
		    snprintf(path, sizeof(path), "%s/%s", root, d->d_name) >=
			    (int)sizeof(path))
			continue;
		fd = open(path,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			n += tree_remove(path) == 0;
	}
	closedir(all);
	return n;
}

int snapshot_sweep(const char *vms)
{
	const struct dirent *d;
	char path[PATH_MAX];
	DIR *all = opendir(vms);
	int n = 0;

	if (all == NULL)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(all)) != NULL) {
		int r;

		if (!id_is(d->d_name, "vm") ||
		    snprintf(path, sizeof(path), "%s/%s/" SNAPSHOT_FOLDER, vms,
			     d->d_name) >= (int)sizeof(path))
			continue;
		r = sweep_vm(path);
		if (r < 0) {
			closedir(all);
			return r;
		}
		n += r;
	}
	closedir(all);
	return n;
}
