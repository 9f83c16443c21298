// SPDX-License-Identifier: Apache-2.0
/*
 * session_notes.c - Sessions: keys, memories and summaries
 *
 * A note is held against the rows that it changes, so the one before it must be
 * stored by then: notes of a session go one by one, each with a commit of its
 * own.  Those that wait stand in a queue, the first of which is on its way.
 */
#include "guest/limits.h"
#include "guest/session_impl.h"

struct noting {
	TAILQ_ENTRY(noting) link;
	struct journal_effect stored;
	struct session *session;
	struct note note;
	session_note_cb cb;
	void *arg;
};

/* Answer it; it is no more. */
static void noting_end(struct noting *n, const struct err *e)
{
	struct session *s = n->session;

	TAILQ_REMOVE(&s->notes, n, link);
	s->n_notes--;
	n->cb(s, &n->note, e, n->arg);
	note_done(&n->note);
	free(n);
}

static void noting_on_stored(struct journal_effect *ef, const struct err *e);

/* Check the first one and write its event. */
static int noting_begin(struct noting *n, struct err *e)
{
	struct session *s = n->session;
	autojw struct jw w = {0};
	int r = note_check(s->guest->reader, s->id, &n->note, e);

	if (r < 0)
		return r;
	note_write(&n->note, &w);
	journal_add_jw(&s->journal, note_type(&n->note), NULL, &w);
	n->stored.run = noting_on_stored;
	journal_then(&s->journal, &n->stored);
	return 0;
}

static void begin_next(struct session *s)
{
	struct noting *n;
	struct err e = {0};

	while ((n = TAILQ_FIRST(&s->notes)) != NULL && noting_begin(n, &e) < 0)
		noting_end(n, &e);
}

/* What was lost may have been needed by those behind it. */
static void noting_on_stored(struct journal_effect *ef, const struct err *e)
{
	struct noting *n = container_of(ef, struct noting, stored);
	struct session *s = n->session;

	noting_end(n, e);
	if (e == NULL)
		begin_next(s);
	while (e != NULL && (n = TAILQ_FIRST(&s->notes)) != NULL)
		noting_end(n, e);
}

int session_note(struct session *s, struct note *note, session_note_cb cb,
		 void *arg, struct err *e)
{
	struct noting *n;
	int r = session_allows(s, OP_UPDATE, e);

	if (r < 0)
		return r;
	if (s->n_notes == NOTES_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "%u notes of session %s are on their way",
			       NOTES_MAX, s->id);
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return err_set(e, -ENOMEM, "note: out of memory");
	*n = (struct noting){.session = s, .note = *note, .cb = cb, .arg = arg};
	if (s->n_notes == 0) {
		r = noting_begin(n, e);
		if (r < 0) {
			free(n);
			return r;
		}
	}
	*note = (struct note){0};
	TAILQ_INSERT_TAIL(&s->notes, n, link);
	s->n_notes++;
	return 0;
}
