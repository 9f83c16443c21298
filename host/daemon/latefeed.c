// SPDX-License-Identifier: Apache-2.0
/*
 * latefeed.c - Give a guest that serves already a session that it does not know
 */
#include "host/daemon/latefeed.h"

#include <stdio.h>
#include <string.h>

#include "core/id.h"

struct wait {
	STAILQ_ENTRY(wait) link;
	feeder_done_cb cb;
	void *arg;
};

/* One session on its way, and who waits for that. */
struct latefeed {
	LIST_ENTRY(latefeed) link;
	char session[ID_MAX];
	STAILQ_HEAD(wait_list, wait) waits;
};

static void latefeed_on_fed(const struct err *e, void *arg)
{
	struct latefeed *late = arg;
	struct wait *w;

	LIST_REMOVE(late, link);
	while ((w = STAILQ_FIRST(&late->waits)) != NULL) {
		STAILQ_REMOVE_HEAD(&late->waits, link);
		w->cb(e, w->arg);
		free(w);
	}
	free(late);
}

static struct latefeed *find(struct latefeed_list *all, const char *session)
{
	struct latefeed *late;

	LIST_FOREACH(late, all, link)
	{
		if (strcmp(late->session, session) == 0)
			break;
	}
	return late;
}

static struct latefeed *begin(struct latefeed_list *all, struct reader *r,
			      struct h2 *h2, const char *session)
{
	struct latefeed *late = calloc(1, sizeof(*late));
	struct feeder *f = feeder_new(r);

	if (late == NULL || f == NULL || feeder_add(f, session, 0) < 0 ||
	    feeder_send(f, h2, latefeed_on_fed, late) < 0) {
		feeder_free(f);
		free(late);
		return NULL;
	}
	STAILQ_INIT(&late->waits);
	snprintf(late->session, sizeof(late->session), "%s", session);
	LIST_INSERT_HEAD(all, late, link);
	return late;
}

int latefeed_join(struct latefeed_list *all, struct reader *r, struct h2 *h2,
		  const char *session, feeder_done_cb cb, void *arg)
{
	struct latefeed *late = find(all, session);
	struct wait *w = calloc(1, sizeof(*w));

	if (w != NULL && late == NULL)
		late = begin(all, r, h2, session);
	if (w == NULL || late == NULL) {
		free(w);
		return -ENOMEM;
	}
	w->cb = cb;
	w->arg = arg;
	STAILQ_INSERT_TAIL(&late->waits, w, link);
	return 0;
}
