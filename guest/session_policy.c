// SPDX-License-Identifier: Apache-2.0
/*
 * session_policy.c - Sessions: questions that need nobody
 *
 * First the session's policy speaks, on what is known of the tool call.  Where
 * it says ask, an answer that was given for always to the same kind of tool
 * counts.  Either takes an option that the agent offers: to allow, one that
 * does, else somebody is asked all the same; to deny, one that rejects, else the
 * request is cancelled.
 */
#include <stdio.h>
#include <string.h>

#include "guest/session_impl.h"

static const char *const yes[] = {"allow_once", "allow_always"};
static const char *const no[] = {"reject_once", "reject_always"};

/* What the policy says; without memory to find out, to ask. */
static void judge(const struct session *s, const struct toolcall *t,
		  struct policy_verdict *v)
{
	autofree char *cwd = policy_path("/", s->cwd);
	autojson struct json j = {0};
	const struct policy_call call = {
		.kind = t->kind,
		.title = t->title,
		.cwd = cwd,
		.paths = (const char *const *)t->paths,
		.n_paths = t->n_paths,
		.title_unclear = t->title_unclear,
		.paths_unclear = t->paths_unclear,
	};

	*v = (struct policy_verdict){.rule = POLICY_DEFAULT};
	if (s->policy != NULL && cwd != NULL &&
	    json_parse(&j, s->policy, strlen(s->policy), NULL) == 0)
		policy_decide(json_root(&j), &call, v);
}

/* What was said for always where the policy would have somebody asked. */
static enum policy_action recall(const struct session *s,
				 const struct always *about)
{
	const struct always *a =
		always_find(&s->always, about->kind, about->rule);

	if (a == NULL)
		return POLICY_ASK;
	return a->allow ? POLICY_ALLOW : POLICY_DENY;
}

bool session_decide(struct session *s, struct ask *a, struct jv tool,
		    struct decision *d)
{
	const struct toolcall *t = toolcalls_note(&s->turn.calls, tool, s->cwd);
	struct policy_verdict v;

	if (t == NULL)
		return false;
	judge(s, t, &v);
	strcpy(a->about.kind, t->kind);
	strcpy(a->about.rule, v.rule);
	strcpy(d->rule, v.rule);
	if (v.action == POLICY_ASK) {
		v.action = recall(s, &a->about);
		snprintf(d->rule, sizeof(d->rule), "always:%s", t->kind);
	}
	if (v.action == POLICY_ASK)
		return false;
	d->option = ask_pick(a, v.action == POLICY_ALLOW ? yes : no);
	if (d->option == NULL && v.action == POLICY_ALLOW)
		return false;
	d->answer = answer_cancelled("policy");
	d->answer.option = d->option;
	d->answer.rule = d->rule;
	return true;
}

void session_remember(struct session *s, struct ask *a, struct answer *an)
{
	char kind[32];

	if (a->kind != ASK_PERMISSION || an->option == NULL ||
	    a->about.kind[0] == '\0' ||
	    !ask_option_kind(a, an->option, kind, sizeof(kind)))
		return;
	a->about.allow = strcmp(kind, yes[1]) == 0;
	if (!a->about.allow && strcmp(kind, no[1]) != 0)
		return;
	if (always_add(&s->always, &a->about))
		an->remember = &a->about;
}

/* Answers of a range that was abandoned are not those of this conversation. */
static const char always_sql[] =
	"SELECT answer FROM request r WHERE session_id=?1 "
	"AND kind='permission' "
	"AND json_extract(answer,'$.remember') IS NOT NULL "
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE "
	"a.session_id=r.session_id AND "
	"r.resolved_seq BETWEEN a.from_seq AND a.to_seq) "
	"ORDER BY resolved_seq";

int session_load_always(struct session *s, struct err *e)
{
	const char *const args[] = {s->id, NULL};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct always a;
	struct jv list;
	int r;

	always_done(&s->always);
	jw_arr(&w);
	r = reader_rows(s->guest->reader, always_sql, args, &w, e);
	jw_arr_end(&w);
	if (r <= 0)
		return r;
	if (w.failed || json_parse(&j, w.buf, w.len, e) < 0)
		return err_set(e, -ENOMEM, "session %s: out of memory", s->id);
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (always_read(jv_path(it, "answer.remember"), &a))
			(void)always_add(&s->always, &a);
	return 0;
}
