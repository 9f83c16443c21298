// SPDX-License-Identifier: Apache-2.0
/*
 * api_search.c - Finding words in what was said
 *
 * A search may have to read the ends of logs that are not in the index yet, so
 * it runs on a thread of the pool with a reader of its own.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/search.h"
#include "host/daemon/routes.h"

struct searching {
	uv_work_t work;
	struct op *op; /* Of the loop; the pool does not look into it. */
	char db[PATH_MAX];
	char text[SEARCH_QUERY_MAX + 2]; /* One more shows that it is cut. */
	char session[ID_MAX];
	struct search_query q;
	struct jw out;
	struct err err;
};

static void searching_work(uv_work_t *w)
{
	struct searching *s = container_of(w, struct searching, work);
	autoreader struct reader *r = NULL;

	if (reader_open(s->db, &r, &s->err) < 0)
		return;
	jw_arr(&s->out);
	(void)search_find(r, &s->q, &s->out, &s->err);
	jw_arr_end(&s->out);
}

static void searching_on_done(uv_work_t *w, int status)
{
	struct searching *s = container_of(w, struct searching, work);

	if (status < 0)
		op_refuse(s->op, status, "search: %s", uv_strerror(status));
	else if (s->err.code < 0)
		op_fail(s->op, &s->err);
	else if (s->out.failed)
		op_refuse(s->op, -ENOMEM, "search: out of memory");
	else
		op_reply(s->op, s->out.buf, s->out.len);
	jw_done(&s->out);
	free(s);
}

/* What the query string says.  On failure the op has been answered. */
static bool read_query(struct op *op, struct searching *s)
{
	const char *text = http_query(op->r, "q");
	const char *session = http_query(op->r, "session");
	bool archived = false;
	int64_t limit = 0;

	if (!op_query_number(op, "limit", &limit) ||
	    !op_query_flag(op, "archived", &archived))
		return false;
	if (session != NULL && !id_is(session, "ses")) {
		op_refuse(op, -FAULT_INVALID_ID, "'%.64s' is no session id",
			  session);
		return false;
	}
	if (op->only[0] != '\0' && session != NULL &&
	    strcmp(session, op->only) != 0) {
		op_refuse(op, -FAULT_SESSION_NOT_FOUND, "%s is not here",
			  session);
		return false;
	}
	if (op->only[0] != '\0')
		session = op->only;
	snprintf(s->text, sizeof(s->text), "%s", text ? text : "");
	snprintf(s->session, sizeof(s->session), "%s", session ? session : "");
	s->q = (struct search_query){
		.text = s->text,
		.session = session ? s->session : NULL,
		.archived = http_query(op->r, "archived") == NULL ? 0
			    : archived				  ? 1
								  : -1,
		.limit = limit > SEARCH_LIMIT_MAX ? SEARCH_LIMIT_MAX
						  : (unsigned)limit,
	};
	return true;
}

void search_route(struct op *op)
{
	struct searching *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL) {
		op_refuse(op, -ENOMEM, "search: out of memory");
		return;
	}
	if (!read_query(op, s)) {
		free(s);
		return;
	}
	s->op = op;
	snprintf(s->db, sizeof(s->db), "%s", op->d->home.db);
	r = uv_queue_work(&op->d->loop, &s->work, searching_work,
			  searching_on_done);
	if (r == 0)
		return;
	free(s);
	op_refuse(op, r, "search: %s", uv_strerror(r));
}
