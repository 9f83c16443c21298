// SPDX-License-Identifier: Apache-2.0
/*
 * held.c - What is said to and by an agent before there is a log for it
 */
#include "guest/held.h"

#include <string.h>

#include "guest/limits.h"

struct held_line {
	STAILQ_ENTRY(held_line) link;
	bool acp; /* Else an event as it is. */
	struct journal_acp as;
	char text[];
};

void held_init(struct held *h)
{
	STAILQ_INIT(&h->lines);
	h->bytes = 0;
}

static struct held_line *take_first(struct held *h)
{
	struct held_line *l = STAILQ_FIRST(&h->lines);

	if (l != NULL)
		STAILQ_REMOVE_HEAD(&h->lines, link);
	return l;
}

void held_done(struct held *h)
{
	struct held_line *l;

	while ((l = take_first(h)) != NULL)
		free(l);
	h->bytes = 0;
}

static int keep(struct held *h, const struct journal_acp *as, bool acp)
{
	struct held_line *l;

	if (as->len > HELD_BYTES_MAX - h->bytes)
		return -ENOBUFS;
	l = malloc(sizeof(*l) + as->len);
	if (l == NULL)
		return -ENOMEM;
	l->acp = acp;
	l->as = *as;
	l->as.msg = l->text;
	memcpy(l->text, as->msg, as->len);
	h->bytes += as->len;
	STAILQ_INSERT_TAIL(&h->lines, l, link);
	return 0;
}

int held_acp(struct held *h, const struct journal_acp *m)
{
	return keep(h, m, true);
}

int held_event(struct held *h, const char *type, const char *data, size_t len)
{
	const struct journal_acp as = {.type = type, .msg = data, .len = len};

	return keep(h, &as, false);
}

void held_write(struct held *h, struct journal *j)
{
	struct held_line *l;

	while ((l = take_first(h)) != NULL) {
		if (l->acp)
			journal_add_acp(j, &l->as);
		else
			journal_add(j, l->as.type, NULL, l->text, l->as.len);
		free(l);
	}
	h->bytes = 0;
}
