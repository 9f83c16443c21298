// SPDX-License-Identifier: Apache-2.0
/*
 * client_start.c - Find the era of a server and open the conversation
 *
 *	          .-- lists a modern version --------------> ready (modern)
 *	discover -+-- error, or only legacy versions -.
 *	          '-- MCP_PROBE_MS of silence -------- +> initialize -> ready (legacy)
 *
 * A server that was only slow to start gets both requests and answers them in
 * order: a result of discover wins as long as initialize has none.  When both
 * fail, it is initialize that says why.
 */
#include <stdio.h>
#include <string.h>

#include "mcp/client_impl.h"

static const struct jv absent = {.i = -1};

static int send_discover(struct mcp_client *c);

static bool is_starting(const struct mcp_client *c)
{
	return c->state == CLIENT_PROBING || c->state == CLIENT_INITIALIZING;
}

/*
 * What an error says.
 */

int client_remote_err(struct err *e, const char *what, struct jv error)
{
	autofree char *message = jv_strdup(jv_get(error, "message"), NULL);

	return err_set(e, -FAULT_MCP_START_FAILED, "%s: %s (%lld)", what,
		       message ? message : "an error without a message",
		       (long long)jv_int(jv_get(error, "code"), 0));
}

static struct jv supported(struct jv error)
{
	return jv_get(jv_get(error, "data"), "supported");
}

static bool lists(struct jv versions, const char *version)
{
	for (struct jv v = jv_first(versions); jv_has(v);
	     v = jv_next(versions, v))
		if (jv_eq(v, version))
			return true;
	return false;
}

bool client_offers_modern(struct jv error)
{
	return jv_int(jv_get(error, "code"), 0) == MCP_UNSUPPORTED_VERSION &&
	       lists(supported(error), MCP_MODERN_LATEST);
}

/* The newest legacy version of a list but for @but; NULL: there is none. */
static const char *newest_legacy(struct jv versions, const char *but)
{
	static const char *const ours[] = {MCP_2025_11_25, MCP_2025_06_18,
					   MCP_2025_03_26, MCP_2024_11_05,
					   MCP_2024_10_07};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (ours[i] != but && lists(versions, ours[i]))
			return ours[i];
	return NULL;
}

/* Does this answer to discover come from a server that does not know it, and
 * not from something on the way to it, or in a moment of trouble? */
static bool says_legacy(struct jv error)
{
	struct jv status = jv_get(jv_get(error, "data"), MCP_HTTP_STATUS);
	int64_t n = jv_int(status, 0);

	if (!jv_has(status))
		return true;
	return n >= 400 && n < 500 && n != 401 && n != 403 && n != 408 &&
	       n != 429;
}

/*
 * The end of the start.
 */

static void forget(struct mcp_client *c, int64_t *id)
{
	if (*id >= 0)
		rpc_forget(c->rpc, *id);
	*id = -1;
}

static void start_is_over(struct mcp_client *c, enum client_state next)
{
	forget(c, &c->start.probe_id);
	forget(c, &c->start.init_id);
	c->start.due = c->start.probe_due = NEVER;
	c->state = next;
}

void client_start_failed(struct mcp_client *c, const struct err *e)
{
	start_is_over(c, CLIENT_DOWN);
	if (c->events->failed != NULL)
		c->events->failed(c, e, c->arg);
}

static void fail_with(struct mcp_client *c, int r)
{
	struct err e;

	err_set(&e, r, "mcp: %s", uv_strerror(r));
	client_start_failed(c, &e);
}

static void or_fail(struct mcp_client *c, int r)
{
	if (r < 0)
		fail_with(c, r);
}

static char *copy_raw_object(struct jv v)
{
	size_t len;
	const char *text;

	if (!jv_is(v, JV_OBJECT))
		return strdup("{}");
	text = jv_raw(v, &len);
	return strndup(text, len);
}

/* Return: 0 or -ENOMEM; what is set then is freed with the client. */
static int take_facts(struct mcp_client *c, const char *version,
		      struct jv result)
{
	struct mcp_server_facts *f = &c->facts;
	struct jv info = jv_get(jv_get(result, "_meta"), MCP_META_SERVER_INFO);
	struct jv instructions = jv_get(result, "instructions");

	f->version = strdup(version);
	f->info = copy_raw_object(jv_has(info) ? info
					       : jv_get(result, "serverInfo"));
	f->capabilities = copy_raw_object(jv_get(result, "capabilities"));
	f->instructions = jv_strdup(instructions, NULL);
	if (f->version == NULL || f->info == NULL || f->capabilities == NULL ||
	    (f->instructions == NULL && jv_is(instructions, JV_STRING)))
		return -ENOMEM;
	return 0;
}

static void become_ready(struct mcp_client *c, enum mcp_era era,
			 const char *version, struct jv result)
{
	int r = take_facts(c, version, result);

	c->facts.era = era;
	c->facts.certain = era == MCP_ERA_MODERN || c->start.certain;
	if (r == 0 && era == MCP_ERA_LEGACY)
		r = rpc_notify(c->rpc, "notifications/initialized", NULL);
	if (r < 0) {
		fail_with(c, r);
		return;
	}
	start_is_over(c, CLIENT_READY);
	client_listen_begin(c);
	if (c->events->ready != NULL)
		c->events->ready(c, c->arg);
}

/*
 * initialize.
 */

static int send_initialize(struct mcp_client *c, const char *version);

/* Is there a legacy version that both know?  Then try that one, once. */
static bool try_another(struct mcp_client *c, struct jv error)
{
	const char *version = newest_legacy(supported(error), c->start.version);

	if (version == NULL || c->start.init_retried)
		return false;
	c->start.init_retried = true;
	or_fail(c, send_initialize(c, version));
	return true;
}

static void init_refused(struct mcp_client *c, struct jv error)
{
	if (try_another(c, error))
		return;
	client_remote_err(&c->start.err, "initialize", error);
	if (c->start.probe_id < 0)
		client_start_failed(c, &c->start.err);
	/* Else the answer to discover decides. */
}

static void init_answered(struct mcp_client *c, struct jv result)
{
	char version[32] = "";
	struct err e;

	(void)jv_strcpy(jv_get(result, "protocolVersion"), version,
			sizeof(version));
	if (mcp_legacy_version(version) != NULL) {
		become_ready(c, MCP_ERA_LEGACY, version, result);
		return;
	}
	err_set(&e, -FAULT_MCP_START_FAILED,
		"initialize: the server speaks version '%s' of the protocol",
		version);
	client_start_failed(c, &e);
}

static void init_on_answer(const struct rpc_answer *a, void *arg)
{
	struct mcp_client *c = arg;

	c->start.init_id = -1;
	if (c->closing || !is_starting(c))
		return;
	if (a->status == 0)
		init_answered(c, a->result);
	else
		init_refused(c, a->error);
}

static int send_initialize(struct mcp_client *c, const char *version)
{
	autojw struct jw w = {0};
	int64_t r = -ENOMEM;

	c->state = CLIENT_INITIALIZING;
	c->start.version = version;
	c->start.probe_due = NEVER;
	jw_obj(&w);
	jw_kstr(&w, "protocolVersion", version);
	jw_kraw(&w, "capabilities", c->capabilities);
	jw_kraw(&w, "clientInfo", c->info);
	jw_obj_end(&w);
	if (!w.failed)
		r = rpc_call(c->rpc, "initialize", w.buf, 0, init_on_answer, c);
	if (r < 0)
		return (int)r;
	c->start.init_id = r;
	return 0;
}

/*
 * server/discover.
 */

/* It is no modern server, or says so. */
static void probe_missed(struct mcp_client *c, const struct err *why,
			 const char *version)
{
	if (c->opts.era == MCP_ERA_MODERN)
		client_start_failed(c, why);
	else if (c->state == CLIENT_PROBING)
		or_fail(c, send_initialize(c, version ? version
						      : MCP_LEGACY_LATEST));
	else if (c->start.init_id < 0) /* It has failed before. */
		client_start_failed(c, &c->start.err);
}

static void probe_answered(struct mcp_client *c, struct jv result)
{
	struct jv versions = jv_get(result, "supportedVersions");
	struct err e;

	if (lists(versions, MCP_MODERN_LATEST)) {
		become_ready(c, MCP_ERA_MODERN, MCP_MODERN_LATEST, result);
		return;
	}
	err_set(&e, -FAULT_MCP_START_FAILED,
		"server/discover: no version that is known here");
	c->start.certain = true;
	probe_missed(c, &e, newest_legacy(versions, NULL));
}

static void probe_refused(struct mcp_client *c, struct jv error)
{
	struct err e;

	if (client_offers_modern(error) && !c->start.probe_retried) {
		c->start.probe_retried = true;
		or_fail(c, send_discover(c));
		return;
	}
	client_remote_err(&e, "server/discover", error);
	c->start.certain = says_legacy(error);
	probe_missed(c, &e, newest_legacy(supported(error), NULL));
}

static void probe_on_answer(const struct rpc_answer *a, void *arg)
{
	struct mcp_client *c = arg;

	c->start.probe_id = -1;
	if (c->closing || !is_starting(c))
		return;
	if (a->status == 0)
		probe_answered(c, a->result);
	else
		probe_refused(c, a->error);
}

static int send_discover(struct mcp_client *c)
{
	autojw struct jw w = {0};
	int64_t r = -ENOMEM;

	jw_obj(&w);
	jw_key(&w, "_meta");
	jw_obj(&w);
	client_put_modern_meta(c, &w);
	jw_obj_end(&w);
	jw_obj_end(&w);
	if (!w.failed)
		r = rpc_call(c->rpc, "server/discover", w.buf, 0,
			     probe_on_answer, c);
	if (r < 0)
		return (int)r;
	c->start.probe_id = r;
	return 0;
}

/*
 * Time.
 */

static void out_of_time(struct mcp_client *c)
{
	struct err e;

	if (c->start.err.code != 0)
		e = c->start.err;
	else
		err_set(&e, -ETIMEDOUT, "the server does not answer to %s",
			c->state == CLIENT_PROBING ? "server/discover"
						   : "initialize");
	client_start_failed(c, &e);
}

void client_start_on_timer(struct mcp_client *c)
{
	uint64_t now = client_now(c);

	if (!is_starting(c))
		return;
	if (c->opts.no_discover)
		become_ready(c, MCP_ERA_MODERN, MCP_MODERN_LATEST, absent);
	else if (c->start.due <= now)
		out_of_time(c);
	else if (c->start.probe_due <= now)
		or_fail(c, send_initialize(c, MCP_LEGACY_LATEST));
}

static uint64_t start_ms(const struct mcp_client *c)
{
	return c->opts.start_timeout_ms ? c->opts.start_timeout_ms
					: MCP_START_MS;
}

/* Return: 0; -ENOMEM. */
static int send_first(struct mcp_client *c)
{
	struct client_start *s = &c->start;

	if (c->opts.no_discover) {
		s->due = client_now(c); /* Ready at the timer's next turn. */
		return 0;
	}
	if (c->opts.era == MCP_ERA_LEGACY) {
		s->certain = true;
		return send_initialize(c, MCP_LEGACY_LATEST);
	}
	if (c->opts.era == MCP_ERA_UNKNOWN)
		s->probe_due = client_after(c, MCP_PROBE_MS);
	return send_discover(c);
}

int mcp_client_start(struct mcp_client *c)
{
	int r;

	if (c->state != CLIENT_NEW)
		return -EALREADY;
	c->state = CLIENT_PROBING;
	c->start.due = client_after(c, start_ms(c));
	r = send_first(c);
	if (r < 0) {
		c->state = CLIENT_DOWN;
		return r;
	}
	client_wake_at(c, c->start.due);
	client_wake_at(c, c->start.probe_due);
	return 0;
}
