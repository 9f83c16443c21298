// SPDX-License-Identifier: Apache-2.0
/*
 * answer.c - hib answer, approve, deny
 */
#include <string.h>

#include "host/cli/commands.h"

int answer_command(struct cli *c, int argc, char **argv)
{
	struct hib_error e;
	int r = cli_options(c, argc, argv, NULL, NULL, 3, 3);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	if (hib_answer_request(c->hib, c->argv[0], c->argv[1], c->argv[2], &e) <
	    0)
		return cli_fail_hib(&e);
	return 0;
}

/* --- yes and no --------------------------------------------------------- */

/* The request that is meant: the one of that id, or the only one that waits. */
static int find_request(struct jv rows, const char *session, const char *id,
			struct jv *out, struct err *e)
{
	unsigned n = 0;

	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row)) {
		bool waits = jv_eq(jv_get(row, "state"), "pending");

		if (id != NULL ? jv_eq(jv_get(row, "id"), id) : waits) {
			*out = row;
			n++;
		}
	}
	if (n == 0 && id != NULL)
		return err_set(e, -FAULT_REQUEST_NOT_FOUND,
			       "request %.64s is not in %s", id, session);
	if (n == 0)
		return err_set(e, -FAULT_NOT_WAITING, "%s waits for nothing",
			       session);
	if (n > 1)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s waits for %u answers; name the request",
			       session, n);
	return 0;
}

/* The offered option of the first of these kinds.  NULL: none is offered. */
static char *find_option(struct jv request, const char *const kinds[2])
{
	struct jv options = jv_path(request, "body.options");

	for (int i = 0; i < 2; i++) {
		for (struct jv o = jv_first(options); jv_has(o);
		     o = jv_next(options, o)) {
			if (jv_eq(jv_get(o, "kind"), kinds[i]))
				return jv_strdup(jv_get(o, "optionId"), NULL);
		}
	}
	return NULL;
}

static int decide(struct cli *c, const char *const kinds[2], bool yes)
{
	const char *session = c->argv[0];
	autofree char *json = NULL, *option = NULL;
	autojson struct json j = {0};
	struct jv request = {.i = -1};
	struct hib_error he;
	struct err e = {0};
	char id[ID_MAX];

	if (hib_get_requests(c->hib, session, &json, &he) < 0)
		return cli_fail_hib(&he);
	if (json_parse(&j, json, strlen(json), &e) < 0 ||
	    find_request(json_root(&j), session,
			 c->argc > 1 ? c->argv[1] : NULL, &request, &e) < 0)
		return cli_fail(&e);
	option = find_option(request, kinds);
	if (option == NULL && yes) {
		err_set(&e, -FAULT_INVALID_ARGUMENT,
			"the agent offers no way to say yes; see 'hib session "
			"requests' and use 'hib answer'");
		return cli_fail(&e);
	}
	(void)jv_strcpy(jv_get(request, "id"), id, sizeof(id));
	if (hib_answer_request(c->hib, session, id, option, &he) < 0)
		return cli_fail_hib(&he);
	return 0;
}

static int decide_command(struct cli *c, int argc, char **argv,
			  const char *const kinds[2], bool yes)
{
	int r = cli_options(c, argc, argv, NULL, NULL, 1, 2);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r < 0)
		r = cli_hib(c);
	return r >= 0 ? r : decide(c, kinds, yes);
}

int approve_command(struct cli *c, int argc, char **argv)
{
	static const char *const kinds[] = {"allow_once", "allow_always"};

	return decide_command(c, argc, argv, kinds, true);
}

int deny_command(struct cli *c, int argc, char **argv)
{
	static const char *const kinds[] = {"reject_once", "reject_always"};

	return decide_command(c, argc, argv, kinds, false);
}
