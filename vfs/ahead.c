// SPDX-License-Identifier: Apache-2.0
/*
 * ahead.c - Ask for what a reader will want next
 *
 * A walk begins with an entry that somebody has to wait for.  It goes on with each
 * that comes close behind the last one, and when half of what was asked for is
 * behind the reader, the double is asked for.  A walk that nobody goes on with is
 * forgotten for a new one.
 *
 * Whoever has come through a folder and begins another one at its top needs not
 * show again what he is doing.
 */
#include "vfs/ahead.h"

void ahead_init(struct ahead *a, struct dirs *d, struct blobs *b,
		struct fetch *f)
{
	*a = (struct ahead){.dirs = d, .blobs = b, .fetch = f};
}

/* --- walks --- */

static bool is_near(const struct ahead_walk *w, const struct ahead_place *p)
{
	return w->used > 0 && w->kind == p->kind &&
	       p->at + AHEAD_STEP >= w->last && p->at <= w->last + AHEAD_STEP &&
	       vfs_oid_eq(&w->folder, &p->folder);
}

static struct ahead_walk *find(struct ahead *a, const struct ahead_place *p)
{
	for (size_t i = 0; i < AHEAD_WALKS; i++)
		if (is_near(&a->walks[i], p))
			return &a->walks[i];
	return NULL;
}

static void begin(struct ahead *a, const struct ahead_place *p)
{
	struct ahead_walk *w = &a->walks[0];

	for (size_t i = 1; i < AHEAD_WALKS; i++)
		if (a->walks[i].used < w->used)
			w = &a->walks[i];
	*w = (struct ahead_walk){
		.used = ++a->clock,
		.folder = p->folder,
		.kind = p->kind,
		.last = p->at,
	};
	if (a->at_end && p->at < AHEAD_STEP)
		w->steps = AHEAD_STEPS - 1;
}

/* --- asking --- */

static bool ask_file(struct ahead *a, const struct vfs_entry *entry,
		     size_t *bytes)
{
	const struct blob_key key = {.oid = entry->oid, .size = entry->size};

	if (entry->size == 0 || entry->size > AHEAD_FILE_BYTES)
		return true;
	if (*bytes + entry->size > AHEAD_BYTES || !blobs_ahead(a->blobs, &key))
		return false;
	*bytes += entry->size;
	return true;
}

static void ask_next(struct ahead *a, struct ahead_walk *w)
{
	const struct dir *d = dirs_peek(a->dirs, &w->folder);
	size_t bytes = 0, n = d != NULL ? dir_count(d) : 0;
	unsigned left = w->window;

	for (; w->upto < n && left > 0; w->upto++) {
		struct vfs_entry entry;

		dir_entry(d, w->upto, &entry);
		if (S_ISDIR(entry.mode) != (w->kind == AHEAD_FOLDERS))
			continue;
		if (a->fetch->n_ahead >= AHEAD_ASKS_MAX)
			return;
		if (w->kind == AHEAD_FOLDERS ? !dirs_ahead(a->dirs, &entry.oid)
					     : !ask_file(a, &entry, &bytes))
			return;
		left--;
	}
	a->at_end = w->upto >= n;
}

static void go_on(struct ahead *a, struct ahead_walk *w, uint32_t at)
{
	w->used = ++a->clock;
	if (at <= w->last)
		return;
	w->last = at;
	if (w->upto <= at)
		w->upto = at + 1;
	if (++w->steps < AHEAD_STEPS || w->upto - at > w->window / 2 + 1)
		return;
	w->window = w->window == 0 ? AHEAD_MIN : 2 * w->window;
	if (w->window > AHEAD_MAX)
		w->window = AHEAD_MAX;
	ask_next(a, w);
}

void ahead_note(struct ahead *a, const struct ahead_place *p, bool waits)
{
	struct ahead_walk *w = find(a, p);

	if (w != NULL)
		go_on(a, w, p->at);
	else if (waits)
		begin(a, p);
}
