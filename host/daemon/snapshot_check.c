// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_check.c - Is a snapshot still what it was?
 *
 * The hashes of a new one are taken once it is stored, so that nobody waits for
 * them; from then on they are what its files are compared with.  One at a time:
 * all of it is read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/hex.h"
#include "core/log.h"
#include "core/time.h"
#include "host/bulk.h"
#include "host/daemon/catalog.h"
#include "host/daemon/snapshots_impl.h"
#include "host/treecopy.h"

#define LOG_COMPONENT "snapshot"

struct check {
	STAILQ_ENTRY(check) link;
	struct hibd *d;
	uv_work_t work;
	char id[ID_MAX], dir[PATH_MAX];
	char *known;	  /* Hashes of the row; NULL: none yet. */
	struct jw found;  /* Those of the files. */
	struct jw damage; /* A list. */
	bool damaged;
	uint64_t size, began;
	struct err err;
	snapshot_checked_cb cb; /* NULL: nobody waits. */
	void *arg;
};

static void check_next(struct snapshots *s);

static void check_free(struct check *k)
{
	free(k->known);
	jw_done(&k->found);
	jw_done(&k->damage);
	free(k);
}

/* --- on a thread of the pool ------------------------------------------------ */

static void put_hash(struct check *k, const char *name, uint64_t size,
		     const uint8_t hash[TREE_HASH_LEN])
{
	char hex[2 * TREE_HASH_LEN + 1];

	jw_obj(&k->found);
	jw_kstr(&k->found, "name", name);
	jw_kint(&k->found, "size", (int64_t)size);
	jw_kstr(&k->found, "sha256", hex_encode(hash, TREE_HASH_LEN, hex));
	jw_obj_end(&k->found);
	k->size += size;
}

static int check_part(struct check *k, int dir, const char *name)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint8_t hash[TREE_HASH_LEN];
	uint64_t size = 0;
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(&k->err, -errno, "%s: open %s: %s", k->id, name,
			       strerror(errno));
	if (S_ISDIR(st.st_mode))
		r = treecopy_hash(dir, name, hash, &size, &k->err);
	else
		r = treecopy_hash_file(fd, hash, &size);
	if (r < 0 && k->err.code == 0)
		err_set(&k->err, r, "%s: read %s: %s", k->id, name,
			strerror(-r));
	if (r == 0)
		put_hash(k, name, size, hash);
	return r;
}

/* The hash of that name in a list; absent: none. */
static struct jv hash_of(struct jv list, struct jv name)
{
	char text[64];

	(void)jv_strcpy(name, text, sizeof(text));
	for (struct jv f = jv_first(list); jv_has(f); f = jv_next(list, f))
		if (jv_eq(jv_get(f, "name"), text))
			return jv_get(f, "sha256");
	return (struct jv){.i = -1};
}

static void put_damage(struct check *k, struct jv name, const char *what)
{
	char text[64], words[96];

	(void)jv_strcpy(name, text, sizeof(text));
	snprintf(words, sizeof(words), "%s %s", text, what);
	jw_str(&k->damage, words);
	k->damaged = true;
}

static void compare(struct check *k, struct jv known, struct jv found)
{
	char now[2 * TREE_HASH_LEN + 1];

	for (struct jv f = jv_first(known); jv_has(f); f = jv_next(known, f)) {
		struct jv name = jv_get(f, "name");

		if (jv_strcpy(hash_of(found, name), now, sizeof(now)) < 0)
			put_damage(k, name, "is missing");
		else if (!jv_eq(jv_get(f, "sha256"), now))
			put_damage(k, name, "has changed");
	}
	for (struct jv f = jv_first(found); jv_has(f); f = jv_next(found, f))
		if (!jv_has(hash_of(known, jv_get(f, "name"))))
			put_damage(k, jv_get(f, "name"), "was not there");
}

static void check_compare(struct check *k)
{
	autojson struct json known = {0}, found = {0};

	if (k->known == NULL)
		return;
	if (json_parse(&known, k->known, strlen(k->known), &k->err) == 0 &&
	    json_parse(&found, k->found.buf, k->found.len, &k->err) == 0)
		compare(k, json_root(&known), json_root(&found));
}

static void check_work(uv_work_t *w)
{
	static const char *const parts[] = {
		SNAPSHOT_JSON, "memory.json", "ram",	     "state",
		"disk.img",    "disk",	      "agents.erofs"};
	struct check *k = container_of(w, struct check, work);
	autoclose int dir =
		open(k->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = 0;

	if (dir < 0) {
		err_set(&k->err, -errno, "%s: %s", k->dir, strerror(errno));
		return;
	}
	jw_arr(&k->found);
	for (size_t i = 0; i < ARRAY_LEN(parts) && r == 0; i++)
		r = check_part(k, dir, parts[i]);
	jw_arr_end(&k->found);
	jw_arr(&k->damage);
	if (r == 0)
		check_compare(k);
	jw_arr_end(&k->damage);
	if (k->err.code == 0 && (k->found.failed || k->damage.failed))
		err_set(&k->err, -ENOMEM, "%s: out of memory", k->id);
}

/* --- on the loop ------------------------------------------------------------ */

static void check_end(struct check *k)
{
	autojw struct jw out = {0};

	if (k->err.code == 0) {
		jw_obj(&out);
		jw_kstr(&out, "snapshot", k->id);
		jw_kbool(&out, "ok", !k->damaged);
		jw_kraw(&out, "damage", k->damage.buf);
		jw_kraw(&out, "hashes", k->known ? k->known : k->found.buf);
		jw_kint(&out, "ms",
			(int64_t)((uv_hrtime() - k->began) / 1000000));
		jw_obj_end(&out);
	}
	if (k->cb != NULL)
		k->cb(&out, &k->err, k->arg);
	else if (k->err.code < 0) /* It may have been removed meanwhile. */
		log_info("%s", k->err.msg);
	check_free(k);
}

static void check_on_stored(const struct err *e, void *arg)
{
	struct check *k = arg;

	if (e->code < 0)
		k->err = *e;
	check_end(k);
}

static void check_store(struct check *k)
{
	struct change *c = change_new();

	change_add(c,
		   "UPDATE snapshot SET hashes=coalesce(hashes, ?2), size=?3, "
		   "verified_ms=?4, damage=?5 WHERE id=?1",
		   5, k->id, k->found.buf, int_text((int64_t)k->size),
		   int_text(now_ms()), k->damaged ? k->damage.buf : NULL);
	change_submit(k->d->store, c, check_on_stored, k);
}

static void check_on_worked(uv_work_t *w, int status)
{
	struct check *k = container_of(w, struct check, work);
	struct hibd *d = k->d;

	(void)status;
	if (d->stopping) {
		err_set(&k->err, -FAULT_DRAINING, "hibd stops");
		check_end(k);
		return;
	}
	if (k->cb != NULL)
		snapshots_release(d, k->id);
	if (k->damaged)
		log_error("%s is damaged: %s", k->id, k->damage.buf);
	if (k->err.code < 0)
		check_end(k);
	else
		check_store(k);
	d->snapshots->checking = false;
	check_next(d->snapshots);
}

int snapshot_check_damage(struct hibd *d, const char *id, struct err *e)
{
	const char *args[] = {id, NULL};
	autofree char *damage = NULL;

	if (reader_value(d->reader,
			 "SELECT damage FROM snapshot WHERE id=?1 AND damage "
			 "IS NOT NULL",
			 args, &damage, NULL) != 1)
		return 0;
	return err_set(e, -FAULT_STORE_CORRUPT, "%s is damaged: %.100s", id,
		       damage);
}

static int check_prepare(struct check *k)
{
	const char *args[] = {k->id, NULL};
	autosnapshot struct snapshot s = {0};
	int r = snapshots_find(k->d, k->id, &s, &k->err);

	if (r == 0)
		r = snapshots_dir(k->d, &s, "", k->dir);
	if (r == 0)
		r = reader_value(k->d->reader,
				 "SELECT hashes FROM snapshot WHERE id=?1 AND "
				 "hashes IS NOT NULL",
				 args, &k->known, &k->err);
	if (r >= 0 && k->cb != NULL)
		r = snapshots_hold(k->d, k->id, &k->err);
	return r < 0 ? r : 0;
}

static void check_next(struct snapshots *s)
{
	struct check *k;

	while (!s->checking && (k = STAILQ_FIRST(&s->checks)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->checks, link);
		if (check_prepare(k) < 0) {
			check_end(k);
			continue;
		}
		s->checking = true;
		k->began = uv_hrtime();
		bulk_queue(&s->d->loop, &k->work, check_work, check_on_worked);
	}
}

void snapshot_check(struct hibd *d, const char *id, snapshot_checked_cb cb,
		    void *arg)
{
	struct check *k = calloc(1, sizeof(*k));

	if (k == NULL)
		abort();
	k->d = d;
	k->cb = cb;
	k->arg = arg;
	snprintf(k->id, sizeof(k->id), "%s", id);
	STAILQ_INSERT_TAIL(&d->snapshots->checks, k, link);
	check_next(d->snapshots);
}

void snapshot_check_later(struct hibd *d, const char *id)
{
	snapshot_check(d, id, NULL, NULL);
}

void snapshot_checks_end(struct snapshots *s)
{
	struct check *k;

	while ((k = STAILQ_FIRST(&s->checks)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->checks, link);
		err_set(&k->err, -FAULT_DRAINING, "hibd stops");
		check_end(k);
	}
}
