// SPDX-License-Identifier: Apache-2.0
/*
 * agent_check.c - hib agent check: start an agent once and say what it offers
 *
 * A VM is made, a session created in it, which is ACP's initialize and
 * session/new, and what the agent answered to these is taken from the log.  Then
 * session and VM are removed, whatever came of it.
 */
#include <string.h>

#include "core/id.h"
#include "core/time.h"
#include "host/cli/commands.h"

struct check_options {
	const char *net;
	struct opt_list env;
	int64_t start_ms;
	bool json;
};

/* What it said, JSON, as it said it. */
struct offer {
	char *initialize, *session;
	int64_t ms; /* From the start of its process until it is ready. */
};

static void offer_done(struct offer *o)
{
	free(o->initialize);
	free(o->session);
}

/* --- asking ------------------------------------------------------------- */

static void keep(char **out, struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	free(*out);
	*out = strndup(raw, len);
}

static void on_response(const struct hib_event *ev, void *arg)
{
	struct offer *o = arg;
	autojson struct json j = {0};
	struct jv result;

	if (json_parse(&j, ev->json, ev->len, NULL) < 0)
		return;
	result = jv_path(json_root(&j), "data.msg.result");
	if (jv_has(jv_get(result, "protocolVersion")))
		keep(&o->initialize, result);
	else if (jv_has(jv_get(result, "sessionId")))
		keep(&o->session, result);
}

static int ask(struct cli *c, const struct hib_session_options *s,
	       struct offer *out)
{
	const struct hib_event_query q = {
		.size = sizeof(q),
		.types = "acp.response",
	};
	int64_t begin = now_ms();
	struct hib_error e;

	if (hib_create_session(c->hib, s, NULL, NULL, &e) < 0)
		return cli_fail_hib(&e);
	out->ms = now_ms() - begin;
	if (hib_get_session_events(c->hib, s->id, &q, on_response, out, &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}

/* --- saying ------------------------------------------------------------- */

static void put_text(struct jw *w, const char *text)
{
	if (w->len > 0)
		jw_lit(w, ", ", 2);
	jw_lit(w, text, strlen(text));
}

/* A string of the agent. */
static void put_word(struct jw *w, struct jv v)
{
	autofree char *text = jv_strdup(v, NULL);

	put_text(w, text != NULL ? text : "?");
}

static void print_line(const char *title, struct jw *w)
{
	if (w->len > 0) {
		printf("%-10s ", title);
		cli_print_safe(stdout, w->buf, w->len);
		putchar('\n');
	}
	jw_reset(w);
}

/* Members that are true, or objects: ACP says yes with either. */
static void put_flags(struct jw *w, struct jv object)
{
	for (struct jv k = jv_first(object); jv_has(k);
	     k = jv_next(object, k)) {
		struct jv v = jv_value(k);

		if (!jv_eq(k, "_meta") &&
		    (jv_bool(v, false) || jv_is(v, JV_OBJECT)))
			put_word(w, k);
	}
}

/* @key of each element; the one that is @current first. */
static void put_ids(struct jw *w, struct jv list, const char *key,
		    struct jv current)
{
	autofree char *now = jv_strdup(current, NULL);

	if (now != NULL)
		put_text(w, now);
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		if (now == NULL || !jv_eq(jv_get(v, key), now))
			put_word(w, jv_get(v, key));
	}
}

static void put_agent(struct jw *w, struct jv info)
{
	struct jv title = jv_get(info, "title");

	put_word(w, jv_is(title, JV_STRING) ? title : jv_get(info, "name"));
	if (jv_is(jv_get(info, "version"), JV_STRING))
		put_word(w, jv_get(info, "version"));
}

static void print_initialize(struct jv r)
{
	struct jv caps = jv_get(r, "agentCapabilities");
	autojw struct jw w = {0};

	if (jv_is(jv_get(r, "agentInfo"), JV_OBJECT))
		put_agent(&w, jv_get(r, "agentInfo"));
	print_line("agent", &w);
	printf("%-10s %lld\n", "protocol",
	       (long long)jv_int(jv_get(r, "protocolVersion"), 0));
	put_text(&w, "text");
	put_flags(&w, jv_get(caps, "promptCapabilities"));
	print_line("prompts", &w);
	put_text(&w, "new");
	if (jv_bool(jv_get(caps, "loadSession"), false))
		put_text(&w, "load");
	put_flags(&w, jv_get(caps, "sessionCapabilities"));
	print_line("sessions", &w);
	put_text(&w, "stdio");
	put_flags(&w, jv_get(caps, "mcpCapabilities"));
	print_line("mcp", &w);
	put_ids(&w, jv_get(r, "authMethods"), "id", (struct jv){.i = -1});
	print_line("auth", &w);
}

/* id=value, for each. */
static void put_config_options(struct jw *w, struct jv list)
{
	for (struct jv v = jv_first(list); jv_has(v); v = jv_next(list, v)) {
		size_t len;
		const char *raw = jv_raw(jv_get(v, "currentValue"), &len);

		put_word(w, jv_get(v, "id"));
		jw_lit(w, "=", 1);
		if (raw != NULL && raw[0] == '"')
			jw_lit(w, raw + 1, len - 2);
		else if (raw != NULL)
			jw_lit(w, raw, len);
	}
}

static void print_session(struct jv r)
{
	struct jv modes = jv_get(r, "modes"), models = jv_get(r, "models");
	autojw struct jw w = {0};

	put_ids(&w, jv_get(modes, "availableModes"), "id",
		jv_get(modes, "currentModeId"));
	print_line("modes", &w);
	put_ids(&w, jv_get(models, "availableModels"), "modelId",
		jv_get(models, "currentModelId"));
	print_line("models", &w);
	put_config_options(&w, jv_get(r, "configOptions"));
	print_line("options", &w);
}

static void print_offer(const struct offer *o)
{
	autojson struct json init = {0}, session = {0};

	if (o->initialize != NULL)
		(void)json_parse(&init, o->initialize, strlen(o->initialize),
				 NULL);
	if (o->session != NULL)
		(void)json_parse(&session, o->session, strlen(o->session),
				 NULL);
	print_initialize(json_root(&init));
	print_session(json_root(&session));
	printf("%-10s %.2f s\n", "start", (double)o->ms / 1000);
}

static int print_offer_json(const struct offer *o, const char *agent)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "agent", agent);
	jw_kint(&w, "start_ms", o->ms);
	jw_kraw(&w, "initialize", o->initialize);
	jw_kraw(&w, "session", o->session);
	jw_obj_end(&w);
	return cli_print_json(&w);
}

/* --- the command -------------------------------------------------------- */

/* It may not be there; and what was asked for has been answered. */
static void clean_up(struct cli *c, const char *session, const char *vm)
{
	struct hib_error e;

	if (hib_destroy_session(c->hib, session, true, &e) < 0 &&
	    e.code != HIB_SESSION_NOT_FOUND)
		(void)cli_fail_hib(&e);
	if (hib_vm_destroy(c->hib, vm, true, &e) < 0)
		(void)cli_fail_hib(&e);
}

static int check_in_vm(struct cli *c, const struct check_options *o,
		       const char *vm, struct offer *out)
{
	char id[ID_MAX];
	const struct hib_session_options s = {
		.size = sizeof(s),
		.agent = c->argv[0],
		.id = id,
		.vm = vm,
		.env = o->env.n > 0 ? o->env.item : NULL,
		.start_timeout_ms = o->start_ms,
	};
	int status;

	id_new(id, "ses");
	status = ask(c, &s, out);
	clean_up(c, id, vm);
	return status;
}

int agent_check_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_LIST, check_options, env, "env"),
		OPT(OPT_TEXT, check_options, net, "net"),
		OPT(OPT_NUMBER, check_options, start_ms, "start-timeout-ms"),
		OPT(OPT_FLAG, check_options, json, "json"),
		OPT_END,
	};
	struct check_options o = {0};
	struct hib_vm_options v = {.size = sizeof(v)};
	struct offer offer = {0};
	char vm[HIB_ID_MAX];
	struct hib_error e;
	int r = cli_act(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	v.net = o.net;
	cli_catch_interrupts(c->hib);
	if (hib_vm_create(c->hib, &v, vm, NULL, &e) < 0)
		return cli_fail_hib(&e);
	r = check_in_vm(c, &o, vm, &offer);
	if (r == 0 && o.json)
		r = print_offer_json(&offer, c->argv[0]);
	else if (r == 0)
		print_offer(&offer);
	offer_done(&offer);
	return r;
}
