// SPDX-License-Identifier: Apache-2.0
/*
 * session_auth.c - Sessions: an agent that wants to be logged in to
 *
 * An agent answers the opening of a session with "auth required" when it has
 * found no credential.  Most find theirs in the environment or a file, and then
 * this is the end of the start.  One whose manifest names a method is told to
 * authenticate by it, once, and what it had refused is tried again.  Methods
 * that need a terminal or a variable are nothing that can be called.  The error
 * of a start that ends so has what the agent offers as data.methods.
 */
#include <string.h>

#include "guest/limits.h"
#include "guest/session_impl.h"

void session_note_auth(struct session *s, struct jv result)
{
	struct jw methods = {0};

	acp_write_auth_methods(result, AUTH_METHODS_MAX, &methods);
	free(s->auth_methods);
	s->auth_methods = jw_take(&methods, NULL);
	s->auth_due = s->launch->auth != NULL &&
		      acp_offers_auth(result, s->launch->auth);
}

void session_explain_auth(const struct session *s, struct err *e)
{
	char data[ERR_DATA_MAX];

	if (s->auth_methods == NULL)
		return;
	memcpy(data, e->data, sizeof(data));
	err_data(e, "\"methods\":%s%s%s", s->auth_methods,
		 data[0] != '\0' ? "," : "", data);
	/* There may be no room for both. */
	if (e->data[0] == '\0')
		err_data(e, "\"methods\":%s", s->auth_methods);
}

/* Whatever code it gives, a credential is what it lacks. */
static void refuse(struct session *s, const struct rpc_answer *a)
{
	autofree char *words = jv_strdup(jv_get(a->error, "message"), NULL);
	struct err e = {0};

	err_set(&e, -FAULT_AGENT_AUTH_REQUIRED,
		"agent refused authenticate by '%.64s': %s", s->launch->auth,
		words == NULL ? "" : words);
	agent_explain(s->agent, NULL, &e);
	session_explain_auth(s, &e);
	session_start_failed(s, &e);
}

static void session_on_authenticated(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;

	if (a->status == -ECANCELED || s->state != SESSION_STARTING)
		return;
	if (a->status < 0)
		refuse(s, a);
	else
		session_climb(s);
}

bool session_authenticate(struct session *s, const struct rpc_answer *a)
{
	autojw struct jw w = {0};

	if (!s->auth_due ||
	    jv_int(jv_get(a->error, "code"), 0) != ACP_AUTH_REQUIRED)
		return false;
	s->auth_due = false;
	jw_obj(&w);
	jw_kstr(&w, "methodId", s->launch->auth);
	jw_obj_end(&w);
	if (w.failed || agent_call(s->agent, "authenticate", w.buf, 0,
				   session_on_authenticated, s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	return true;
}
