// SPDX-License-Identifier: Apache-2.0
/*
 * lookups.c - What agents look up in their logs, off the loop
 */
#include "guest/lookups.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "guest/fspool.h"
#include "guest/limits.h"

struct lookup {
	struct fswork work;
	TAILQ_ENTRY(lookup) link;
	struct lookups *owner;
	struct history_query q;
	char session[ID_MAX];
	char *text, *types, *turn;
	lookup_cb cb;
	void *arg;

	/* Of the thread while it runs. */
	struct jw out;
	struct err err;
};

struct lookups {
	struct fspool *pool;
	const char *state;
	TAILQ_HEAD(lookup_list, lookup) all;
	unsigned n;
};

/* On a thread. */
static void lookup_run(struct fswork *w)
{
	struct lookup *u = container_of(w, struct lookup, work);
	autoreader struct reader *r = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/guest.db", u->owner->state);
	if (reader_open(path, &r, &u->err) == 0)
		(void)history_write(r, &u->q, &u->out, &u->err);
}

static void lookup_free(struct lookup *u)
{
	jw_done(&u->out);
	free(u->text);
	free(u->types);
	free(u->turn);
	free(u);
}

static void lookup_on_done(struct fswork *w)
{
	struct lookup *u = container_of(w, struct lookup, work);

	TAILQ_REMOVE(&u->owner->all, u, link);
	u->owner->n--;
	u->cb(u->out.buf, u->err.code < 0 ? &u->err : NULL, u->arg);
	lookup_free(u);
}

int lookups_open(uv_loop_t *loop, const char *state, struct lookups **out)
{
	struct lookups *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL)
		return -ENOMEM;
	r = fspool_open(loop, false, &l->pool);
	if (r < 0) {
		free(l);
		return r;
	}
	l->state = state;
	TAILQ_INIT(&l->all);
	*out = l;
	return 0;
}

void lookups_close(struct lookups *l)
{
	struct lookup *u;

	if (l == NULL)
		return;
	fspool_close(l->pool);
	while ((u = TAILQ_FIRST(&l->all)) != NULL) {
		err_set(&u->err, -ECANCELED, "the guest is ending");
		lookup_on_done(&u->work);
	}
	free(l);
}

/* NULL stays NULL.  False: memory is out. */
static bool copy(const char *s, char **out)
{
	*out = s != NULL ? strdup(s) : NULL;
	return s == NULL || *out != NULL;
}

int lookups_ask(struct lookups *l, const struct history_query *q, lookup_cb cb,
		void *arg, struct err *e)
{
	struct lookup *u;

	if (l->n == HISTORY_QUEUE_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "history: %d calls are under way",
			       HISTORY_QUEUE_MAX);
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return err_set(e, -ENOMEM, "history: out of memory");
	if (!copy(q->text, &u->text) || !copy(q->types, &u->types) ||
	    !copy(q->turn, &u->turn)) {
		lookup_free(u);
		return err_set(e, -ENOMEM, "history: out of memory");
	}
	u->q = *q;
	u->q.text = u->text;
	u->q.types = u->types;
	u->q.turn = u->turn;
	u->q.session = u->session;
	memcpy(u->session, q->session, ID_MAX);
	u->owner = l;
	u->cb = cb;
	u->arg = arg;
	u->work.run = lookup_run;
	u->work.done = lookup_on_done;
	TAILQ_INSERT_TAIL(&l->all, u, link);
	l->n++;
	fspool_submit(l->pool, &u->work);
	return 0;
}

bool lookups_are_idle(const struct lookups *l)
{
	return l->n == 0;
}
