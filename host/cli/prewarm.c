// SPDX-License-Identifier: Apache-2.0
/*
 * prewarm.c - hib vm prewarm, image warm, image cool: agents that run before there
 *	       is a session for them
 */
#include "host/cli/commands.h"

struct prewarm_options {
	const char *agent, *cwd, *instructions;
	struct opt_list env, env_secrets;
	int64_t start_ms;
	bool skip_os, json;
};

/* The options, of which what is a session's is in @s.  Return: -1 to go on. */
static int read_options(struct cli *c, int argc, char **argv,
			struct prewarm_options *o,
			struct hib_session_options *s)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, prewarm_options, agent, "agent"),
		OPT(OPT_LIST, prewarm_options, env, "env"),
		OPT(OPT_LIST, prewarm_options, env_secrets, "env-secret"),
		OPT(OPT_TEXT, prewarm_options, cwd, "cwd"),
		OPT(OPT_TEXT, prewarm_options, instructions, "instructions"),
		OPT(OPT_FLAG, prewarm_options, skip_os, "skip-os-instructions"),
		OPT(OPT_NUMBER, prewarm_options, start_ms, "start-timeout-ms"),
		OPT(OPT_FLAG, prewarm_options, json, "json"),
		OPT_END,
	};
	int r = cli_options(c, argc, argv, opts, o, 1, 1);

	if (r < 0 && o->agent == NULL)
		r = cli_usage(c, "--agent is missing");
	if (r < 0)
		r = cli_hib(c);
	s->agent = o->agent;
	s->env = o->env.n > 0 ? o->env.item : NULL;
	s->env_secrets = o->env_secrets.n > 0 ? o->env_secrets.item : NULL;
	s->cwd = o->cwd;
	s->instructions = o->instructions;
	s->skip_os_instructions = o->skip_os;
	s->start_timeout_ms = o->start_ms;
	return r;
}

static int prewarm(struct cli *c, int argc, char **argv,
		   int (*call)(struct hib *h, const char *where,
			       const struct hib_session_options *s, char **json,
			       struct hib_error *e))
{
	struct hib_session_options s = {.size = sizeof(s)};
	struct prewarm_options o = {0};
	struct hib_error e;
	char *json = NULL;
	int r = read_options(c, argc, argv, &o, &s);

	if (r >= 0)
		return r;
	r = call(c->hib, c->argv[0], &s, &json, &e);
	return cli_acted(r, json, o.json, &e);
}

int vm_prewarm_command(struct cli *c, int argc, char **argv)
{
	return prewarm(c, argc, argv, hib_vm_prewarm);
}

int image_warm_command(struct cli *c, int argc, char **argv)
{
	return prewarm(c, argc, argv, hib_image_warm);
}

int image_cool_command(struct cli *c, int argc, char **argv)
{
	struct hib_error e;
	int r = cli_act(c, argc, argv, NULL, NULL, 1, 1);

	if (r >= 0)
		return r;
	return hib_image_cool(c->hib, c->argv[0], &e) < 0 ? cli_fail_hib(&e)
							  : 0;
}
