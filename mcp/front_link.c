// SPDX-License-Identifier: Apache-2.0
/*
 * front_link.c - Sessions and other links of an HTTP front to its far ends
 *
 * A message of the far end goes to the stream of the request that it answers or
 * belongs to.  Where the far end does not tell, the message does: progress by
 * its token, news of lists and resources to the GET stream; what remains goes to
 * the newest open request, as servers speak while they serve.
 */
#include <string.h>
#include <sys/random.h>

#include "core/hex.h"
#include "core/loop.h"
#include "mcp/front_impl.h"

static void link_free(struct mcp_link *l)
{
	struct mcp_front *f = l->front;
	struct mcp_outlet *s;

	while ((s = TAILQ_FIRST(&l->outlets)) != NULL)
		mcp_outlet_free(s);
	TAILQ_REMOVE(&f->links, l, next);
	if (l->session[0] != '\0')
		f->n_sessions--;
	if (TAILQ_EMPTY(&f->links))
		(void)uv_timer_stop(&f->tick);
	free(l->target);
	free(l);
}

void mcp_link_end(struct mcp_link *l)
{
	if (l->far_open) {
		l->far_open = false;
		l->front->ops->close(l, l->front->arg);
	}
	link_free(l);
}

static bool is_connected(const struct mcp_link *l)
{
	const struct mcp_outlet *s;

	TAILQ_FOREACH (s, &l->outlets, next)
		if (s->req != NULL)
			return true;
	return false;
}

/* Make room for one more session: the one unused for longest goes, and one that
 * has a client connected only when all have. */
static void evict_idlest(struct mcp_front *f)
{
	struct mcp_link *l, *idlest = NULL, *busiest = NULL;

	TAILQ_FOREACH (l, &f->links, next) {
		struct mcp_link **worst = is_connected(l) ? &busiest : &idlest;

		if (l->session[0] != '\0' &&
		    (*worst == NULL || l->used_ms < (*worst)->used_ms))
			*worst = l;
	}
	if (idlest == NULL)
		idlest = busiest;
	if (idlest != NULL)
		mcp_link_end(idlest);
}

static void on_tick(uv_timer_t *t)
{
	struct mcp_front *f = t->data;
	uint64_t now = loop_now(f->loop);
	struct mcp_outlet *s;
	struct mcp_link *l, *next;

	for (l = TAILQ_FIRST(&f->links); l != NULL; l = next) {
		next = TAILQ_NEXT(l, next);
		TAILQ_FOREACH (s, &l->outlets, next)
			mcp_outlet_tick(s);
		if (!is_connected(l) && now - l->used_ms > MCP_SESSION_IDLE_MS)
			mcp_link_end(l);
	}
}

static int name_session(struct mcp_link *l)
{
	uint8_t raw[SESSION_ID_LEN / 2];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return -EIO;
	hex_encode(raw, sizeof(raw), l->session);
	return 0;
}

struct mcp_link *mcp_link_new(struct mcp_front *f, const char *target,
			      bool session, struct err *e)
{
	struct mcp_link *l;
	int r = 0;

	if (session && f->n_sessions >= MCP_SESSIONS_MAX)
		evict_idlest(f);
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	l->front = f;
	l->used_ms = loop_now(f->loop);
	TAILQ_INIT(&l->outlets);
	TAILQ_INSERT_TAIL(&f->links, l, next);
	l->target = strdup(target);
	if (session)
		r = name_session(l);
	f->n_sessions += l->session[0] != '\0';
	if (r < 0 || l->target == NULL)
		err_set(e, -ENOMEM, "no session could be made");
	else
		r = f->ops->open(l, f->arg, e);
	if (r < 0 || l->target == NULL) {
		link_free(l);
		return NULL;
	}
	l->far_open = true;
	if (!uv_is_active((uv_handle_t *)&f->tick))
		(void)uv_timer_start(&f->tick, on_tick, MCP_TICK_MS,
				     MCP_TICK_MS);
	return l;
}

struct mcp_link *mcp_link_find(struct mcp_front *f, const char *session,
			       const char *target)
{
	struct mcp_link *l;

	TAILQ_FOREACH (l, &f->links, next)
		if (session[0] != '\0' && strcmp(l->session, session) == 0 &&
		    strcmp(l->target, target) == 0)
			return l;
	return NULL;
}

const char *mcp_link_target(const struct mcp_link *l)
{
	return l->target;
}

bool mcp_link_is_stateless(const struct mcp_link *l)
{
	return l->session[0] == '\0';
}

void mcp_link_set_data(struct mcp_link *l, void *data)
{
	l->data = data;
}

void *mcp_link_data(const struct mcp_link *l)
{
	return l->data;
}

/* --- from the far end ----------------------------------------------------- */

struct mcp_outlet *mcp_link_outlet(struct mcp_link *l)
{
	struct mcp_outlet *s;

	TAILQ_FOREACH (s, &l->outlets, next)
		if (s->id == NULL)
			return s;
	return mcp_outlet_new(l, NULL, NULL);
}

static struct mcp_outlet *newest_request(struct mcp_link *l)
{
	struct mcp_outlet *s;

	s = TAILQ_LAST(&l->outlets, mcp_outlets);
	while (s != NULL && (s->id == NULL || s->done))
		s = TAILQ_PREV(s, mcp_outlets, next);
	return s;
}

static struct mcp_outlet *outlet_of_token(struct mcp_link *l, struct jv token)
{
	struct mcp_outlet *s;
	size_t len;
	const char *raw = jv_raw(token, &len);

	TAILQ_FOREACH (s, &l->outlets, next)
		if (raw != NULL && s->token != NULL && !s->done &&
		    strlen(s->token) == len && memcmp(s->token, raw, len) == 0)
			return s;
	return NULL;
}

/* Is it news that belongs to no request? */
static bool is_news(struct jv method)
{
	static const char *const news[] = {
		"notifications/tools/list_changed",
		"notifications/prompts/list_changed",
		"notifications/resources/list_changed",
		"notifications/resources/updated",
	};

	for (size_t i = 0; i < ARRAY_LEN(news); i++)
		if (jv_eq(method, news[i]))
			return true;
	return false;
}

/* Where a message goes whose request nobody named. */
static struct mcp_outlet *guess(struct mcp_link *l, const struct rpc_msg *m)
{
	struct mcp_outlet *s = NULL;
	const char *id;
	size_t len;

	if (m->kind == RPC_RESPONSE) {
		id = jv_raw(m->id, &len);
		return id ? mcp_outlet_find(l, id, len) : NULL;
	}
	if (l->session[0] == '\0')
		return newest_request(l);
	if (jv_eq(m->method, "notifications/progress"))
		s = outlet_of_token(l, jv_get(m->params, "progressToken"));
	else if (!is_news(m->method))
		s = newest_request(l);
	return s ? s : mcp_link_outlet(l);
}

void mcp_link_send(struct mcp_link *l, const char *msg, size_t len,
		   const char *id, size_t id_len)
{
	struct mcp_outlet *s = NULL;
	autojson struct json j = {0};
	struct rpc_msg m;

	if (rpc_decode(&j, msg, len, &m, NULL) < 0)
		return;
	if (id != NULL)
		s = mcp_outlet_find(l, id, id_len);
	if (s == NULL)
		s = guess(l, &m);
	if (s != NULL)
		mcp_outlet_put(s, msg, len, m.kind == RPC_RESPONSE,
			       (int)jv_int(jv_get(m.error, "code"), 0));
}

/* Answer what is open, as the far end will not. */
static void answer_lost(struct mcp_outlet *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "jsonrpc", "2.0");
	jw_key(&w, "id");
	jw_raw(&w, s->id, s->id_len);
	jw_kraw(&w, "error",
		"{\"code\":-32603,\"message\":\"the server is gone\"}");
	jw_obj_end(&w);
	if (w.failed)
		mcp_outlet_free(s);
	else
		mcp_outlet_put(s, w.buf, w.len, true, RPC_INTERNAL);
}

void mcp_link_lost(struct mcp_link *l)
{
	struct mcp_outlet *s;

	l->far_open = false;
	while ((s = newest_request(l)) != NULL)
		answer_lost(s);
	link_free(l);
}

void mcp_link_retry(struct mcp_link *l, const char *id, size_t id_len,
		    int retry_ms)
{
	struct mcp_outlet *s = mcp_outlet_find(l, id, id_len);

	if (s != NULL)
		mcp_outlet_retry(s, retry_ms);
}
