// SPDX-License-Identifier: Apache-2.0
/*
 * fork.c - Copy the beginning of a log into a log of its own
 *
 * Page by page: read, render under the new id, append.  So the copy passes the
 * same checks as events from anywhere else, its rows follow from its events,
 * and its chain hashes, which do not know of sessions, are those of the source.
 */
#include "core/fork.h"

#include <assert.h>
#include <string.h>

#include "core/reader_impl.h"

#define PAGE_EVENTS 256
#define PAGE_BYTES  (1u << 20)

static const char select_source[] = "SELECT n FROM session WHERE id=?1";
static const char select_page[] =
	"SELECT " READER_EVENT_COLUMNS " FROM event"
	" WHERE session_n=?1 AND seq>?2 AND seq<=?3 ORDER BY seq LIMIT ?4";

static int find_source(struct append *a, const char *source, int64_t *n,
		       struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r = db_cache_prepare(&a->cache, &q, e, select_source, "s", source);

	if (r == 0)
		r = db_step(q, e);
	if (r == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "session %s is not here", source);
	if (r > 0)
		*n = sqlite3_column_int64(q, 0);
	return r < 0 ? r : 0;
}

/* Events after @since and up to @to into @page.  Return: bytes or an error. */
static int64_t read_page(struct append *a, int64_t n, int64_t since, int64_t to,
			 struct store_batch *page, struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	size_t bytes = 0;
	int r = db_cache_prepare(&a->cache, &q, e, select_page, "iiii", n,
				 since, to, (int64_t)PAGE_EVENTS);

	while (r >= 0 && bytes < PAGE_BYTES && (r = db_step(q, e)) > 0) {
		struct event_spec spec;
		struct event *ev;

		r = reader_row_event(q, page->session, &spec, e);
		if (r < 0)
			break;
		ev = event_new(&spec);
		if (ev == NULL)
			return err_set(e, -ENOMEM, "fork: out of memory");
		TAILQ_INSERT_TAIL(&page->events, ev, link);
		bytes += ev->len;
	}
	return r < 0 ? r : (int64_t)bytes;
}

/* Return: the last seq copied, or an error. */
static int64_t copy_page(struct append *a, int64_t n, int64_t since, int64_t to,
			 const char *session, struct err *e)
{
	struct store_batch page = {.fresh_only = true};
	int64_t r;

	TAILQ_INIT(&page.events);
	memcpy(page.session, session, ID_MAX);
	r = read_page(a, n, since, to, &page, e);
	if (r == 0)
		r = err_set(e, -FAULT_CURSOR_GONE,
			    "event %lld of the source is not here",
			    (long long)since + 1);
	if (r > 0)
		r = append_batch(a, &page, e);
	event_list_free(&page.events);
	return r < 0 ? r : page.acked;
}

int fork_copy(struct append *a, const char *source, int64_t to,
	      const char *session, struct err *e)
{
	int64_t seq = 0, n = 0;
	int r = find_source(a, source, &n, e);

	if (r < 0)
		return r;
	while (seq < to) {
		seq = copy_page(a, n, seq, to, session, e);
		if (seq < 0)
			return (int)seq;
	}
	return 0;
}

int fork_log(struct append *a, const char *source, struct store_batch *tail,
	     struct err *e)
{
	int64_t to = TAILQ_FIRST(&tail->events)->seq - 1;
	int r;

	assert(to > 0);
	r = fork_copy(a, source, to, tail->session, e);
	return r < 0 ? r : append_batch(a, tail, e);
}
