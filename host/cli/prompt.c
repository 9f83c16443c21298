// SPDX-License-Identifier: Apache-2.0
/*
 * prompt.c - hib run, prompt, cancel
 *
 * The reply streams to stdout.  Ctrl-C makes the waiting call return; the turn
 * is then cancelled, as nobody waits for it any more.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base64.h"
#include "core/content.h"
#include "core/policy.h"
#include "host/cli/commands.h"
#include "host/cli/mcp_options.h"
#include "host/views.h"

#define TEXT_MAX  (1u << 20)
#define IMAGE_MAX (12u << 20) /* Of the file; base64 makes it 16 MiB. */

struct prompt_options {
	const char *agent, *vm, *cwd, *net, *on_busy, *key, *image, *turn,
		*policy, *mcp_servers;
	struct opt_list env, env_secrets;
	struct mcp_options mcp;
	bool json, no_wait;
};

/* --- what is asked ------------------------------------------------------ */

static int read_text(const char *arg, char **out, struct err *e)
{
	ssize_t n;

	if (strcmp(arg, "-") != 0) {
		*out = strdup(arg);
		return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	n = cli_read(STDIN_FILENO, TEXT_MAX, out);
	if (n < 0)
		return err_set(e, (int)n, "standard input: %s",
			       strerror((int)-n));
	if (strlen(*out) != (size_t)n)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "standard input: not text");
	return 0;
}

static const char *image_type(const char *bytes, size_t len)
{
	static const struct {
		const char *magic, *type;
		size_t len;
	} types[] = {
		{"\x89PNG\r\n\x1a\n", "image/png", 8},
		{"\xff\xd8\xff", "image/jpeg", 3},
		{"GIF8", "image/gif", 4},
		{"RIFF", "image/webp", 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (len >= types[i].len &&
		    memcmp(bytes, types[i].magic, types[i].len) == 0)
			return types[i].type;
	}
	return NULL;
}

/* Text and an image as content blocks. */
static int read_image(const char *path, const char *text, struct jw *w,
		      struct err *e)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *bytes = NULL;
	const char *type;
	ssize_t n;

	if (fd < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s: %s", path,
			       strerror(errno));
	n = cli_read(fd, IMAGE_MAX, &bytes);
	if (n < 0)
		return err_set(e, (int)n, "%s: %s", path, strerror((int)-n));
	type = image_type(bytes, (size_t)n);
	if (type == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s: no PNG, JPEG, GIF or WebP", path);
	jw_arr(w);
	content_text(w, text, strlen(text));
	jw_obj(w);
	jw_kstr(w, "type", "image");
	jw_kstr(w, "mimeType", type);
	jw_key(w, "data");
	base64_write(w, bytes, (size_t)n);
	jw_obj_end(w);
	jw_arr_end(w);
	return 0;
}

/* --- what is answered --------------------------------------------------- */

struct output {
	bool json;
	char last; /* Last byte of the reply. */
};

static int on_text(const char *text, size_t len, void *arg)
{
	struct output *o = arg;

	if (o->json || len == 0)
		return 0;
	cli_print_safe(stdout, text, len);
	fflush(stdout);
	o->last = text[len - 1];
	return 0;
}

/* Tell whoever waits how a question is answered, unless it already is. */
static void say_question(const struct hib_event *ev)
{
	autojson struct json j = {0};
	autofree char *words = NULL;
	struct jv data;
	char id[ID_MAX];

	if (json_parse(&j, ev->json, ev->len, NULL) < 0 ||
	    jv_strcpy(jv_path(json_root(&j), "ctx.req"), id, sizeof(id)) < 0)
		return;
	data = jv_get(json_root(&j), "data");
	if (jv_bool(jv_get(data, "decided"), false))
		return;
	words = jv_strdup(request_words(data), NULL);
	fputs("hib: the agent asks: ", stderr);
	if (words != NULL)
		cli_print_safe(stderr, words, strlen(words));
	if (strncmp(ev->type, "permission.", 11) == 0)
		fprintf(stderr, "\nhib: hib approve %s %s, or hib deny\n",
			ev->session, id);
	else
		fprintf(stderr, "\nhib: see hib session requests %s\n",
			ev->session);
}

static bool is_question(const struct hib_event *ev)
{
	return strcmp(ev->type, "permission.requested") == 0 ||
	       strcmp(ev->type, "elicitation.requested") == 0;
}

static void on_event(const struct hib_event *ev, void *arg)
{
	const struct output *o = arg;

	if (!o->json) {
		if (is_question(ev))
			say_question(ev);
		return;
	}
	fwrite(ev->json, 1, ev->len, stdout);
	putchar('\n');
	fflush(stdout);
}

static void say_failure(const struct hib_reply *reply)
{
	autojson struct json j = {0};
	autofree char *message = NULL;

	if (reply->error != NULL &&
	    json_parse(&j, reply->error, strlen(reply->error), NULL) == 0)
		message = jv_strdup(jv_get(json_root(&j), "message"), NULL);
	fprintf(stderr, "hib: the turn %s%s", reply->state,
		message ? ": " : "");
	if (message != NULL)
		cli_print_safe(stderr, message, strlen(message));
	if (reply->stop_reason[0] != '\0')
		fprintf(stderr, " (%s)", reply->stop_reason);
	putc('\n', stderr);
}

static int interrupted(struct cli *c, const char *session,
		       const struct hib_reply *reply)
{
	struct hib_error e;

	if (hib_cancel_prompt(c->hib, session,
			      reply->turn[0] ? reply->turn : NULL, &e) < 0 &&
	    e.code != HIB_NO_TURN)
		(void)cli_fail_hib(&e);
	else
		fputs("hib: cancelled\n", stderr);
	return EXIT_INTERRUPTED;
}

/* Prompt and print.  @strict: only end_turn is success. */
static int ask(struct cli *c, const char *session, const struct hib_prompt *p,
	       bool json, bool strict)
{
	struct output out = {.json = json, .last = '\n'};
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;
	int status = 0, r;

	cli_catch_interrupts(c->hib);
	r = hib_prompt_stream(c->hib, session, p, on_text, on_event, &out,
			      &reply, &e);
	if (out.last != '\n')
		putchar('\n');
	fflush(stdout);
	if (r < 0 && cli_was_interrupted()) {
		status = interrupted(c, session, &reply);
	} else if (r < 0) {
		status = cli_fail_hib(&e);
	} else if (strcmp(reply.state, "completed") != 0 ||
		   strcmp(reply.stop_reason, "refusal") == 0 ||
		   (strict && strcmp(reply.stop_reason, "end_turn") != 0)) {
		say_failure(&reply);
		status = EXIT_NEGATIVE;
	}
	hib_reply_done(&reply);
	return status;
}

/* --- prompt ------------------------------------------------------------- */

static int prompt_no_wait(struct cli *c, const char *session,
			  const struct hib_prompt *p, bool json)
{
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;
	autojw struct jw w = {0};
	int status = 0;

	if (hib_send_prompt(c->hib, session, p, &reply, &e) < 0)
		return cli_fail_hib(&e);
	if (json) {
		jw_obj(&w);
		jw_kstr(&w, "session", session);
		jw_kstr(&w, "turn", reply.turn[0] ? reply.turn : NULL);
		jw_kstr(&w, "state", reply.state);
		jw_kint(&w, "seq", reply.first_seq);
		jw_obj_end(&w);
		status = cli_print_json(&w);
	} else {
		cli_print(reply.turn[0] ? reply.turn : reply.state);
	}
	hib_reply_done(&reply);
	return status;
}

int prompt_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, prompt_options, no_wait, "no-wait"),
		OPT(OPT_TEXT, prompt_options, on_busy, "on-busy"),
		OPT(OPT_TEXT, prompt_options, key, "key"),
		OPT(OPT_TEXT, prompt_options, image, "image"),
		OPT(OPT_FLAG, prompt_options, json, "json"),
		OPT_END,
	};
	struct prompt_options o = {0};
	struct hib_prompt p = {.size = sizeof(p), .actor = cli_actor(NULL)};
	autojw struct jw content = {0};
	autofree char *text = NULL;
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 2, 2);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	if (r >= 0)
		return r;
	if (read_text(c->argv[1], &text, &e) < 0 ||
	    (o.image != NULL && read_image(o.image, text, &content, &e) < 0))
		return cli_fail(&e);
	p.text = o.image ? NULL : text;
	p.content = o.image ? content.buf : NULL;
	p.on_busy = o.on_busy;
	p.idempotency_key = o.key;
	p.no_wait = o.no_wait;
	r = cli_hib(c);
	if (r >= 0)
		return r;
	if (o.no_wait)
		return prompt_no_wait(c, c->argv[0], &p, o.json);
	return ask(c, c->argv[0], &p, o.json, false);
}

int cancel_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, prompt_options, turn, "turn"),
		OPT_END,
	};
	struct prompt_options o = {0};
	struct hib_error e;
	int r = cli_act_on_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (hib_cancel_prompt(c->hib, c->argv[0], o.turn, &e) < 0)
		return cli_fail_hib(&e);
	return 0;
}

/* --- run ---------------------------------------------------------------- */

static int run_session(struct cli *c, const struct prompt_options *o,
		       const char *vm, const char *text)
{
	struct hib_session_options s = {
		.size = sizeof(s),
		.agent = o->agent,
		.vm = vm,
		.cwd = o->cwd,
		.env = o->env.n > 0 ? o->env.item : NULL,
		.env_secrets =
			o->env_secrets.n > 0 ? o->env_secrets.item : NULL,
		.policy = o->policy,
		.mcp_servers = o->mcp_servers,
		.mcp_aggregate = o->mcp.aggregate,
	};
	struct hib_prompt p = {
		.size = sizeof(p), .text = text, .actor = cli_actor(NULL)};
	char id[HIB_ID_MAX];
	struct hib_error e;
	int status;

	if (hib_create_session(c->hib, &s, id, NULL, &e) < 0)
		return cli_fail_hib(&e);
	fprintf(stderr, "session %s\n", id);
	status = ask(c, id, &p, o->json, true);
	if (hib_close_session(c->hib, id, false, NULL, &e) < 0 && status == 0)
		status = cli_fail_hib(&e);
	return status;
}

/* A VM for one run: its log stays, nothing else. */
static int run_in_new_vm(struct cli *c, const struct prompt_options *o,
			 const char *text)
{
	struct hib_vm_options v = {.size = sizeof(v), .net = o->net};
	char vm[HIB_ID_MAX];
	struct hib_error e;
	int status;

	if (hib_vm_create(c->hib, &v, vm, NULL, &e) < 0)
		return cli_fail_hib(&e);
	status = run_session(c, o, vm, text);
	if (hib_vm_destroy(c->hib, vm, true, &e) < 0 && status == 0)
		status = cli_fail_hib(&e);
	return status;
}

/* A session's id in the place of the text: another command is meant.  Return: -1
 * when there is no such session, else the exit status. */
static int run_is_for_new(struct cli *c, const char *id)
{
	autojw struct jw row = {0};
	autojson struct json j = {0};
	char state[16] = "";
	struct err e = {0};

	if (cli_reader(c) >= 0 || c->reader == NULL ||
	    views_session(c->reader, id, &row, NULL) < 0 ||
	    json_parse(&j, row.buf, row.len, NULL) < 0)
		return -1;
	(void)jv_strcpy(jv_get(json_root(&j), "state"), state, sizeof(state));
	err_set(&e, -FAULT_SESSION_CONFLICT,
		"'hib run' makes a new session; this one is %s: %s", state,
		attach_advice(state));
	return cli_fail(&e);
}

int run_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, prompt_options, agent, "agent"),
		OPT(OPT_TEXT, prompt_options, vm, "vm"),
		OPT(OPT_LIST, prompt_options, env, "env"),
		OPT(OPT_LIST, prompt_options, env_secrets, "env-secret"),
		MCP_OPTS(prompt_options, mcp),
		OPT(OPT_TEXT, prompt_options, cwd, "cwd"),
		OPT(OPT_TEXT, prompt_options, net, "net"),
		OPT(OPT_TEXT, prompt_options, policy, "policy"),
		OPT(OPT_FLAG, prompt_options, json, "json"),
		OPT_END,
	};
	struct prompt_options o = {.agent = "echo"};
	autofree char *text = NULL, *policy = NULL;
	autojw struct jw mcp = {0};
	struct err e = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r < 0 && o.vm != NULL && o.net != NULL)
		r = cli_usage(c, "--net is of a new VM, not of --vm");
	if (r < 0 && id_is(c->argv[0], "ses"))
		r = run_is_for_new(c, c->argv[0]);
	if (r < 0)
		r = mcp_options_write(c, &o.mcp, &mcp);
	if (r >= 0)
		return r;
	if (read_text(c->argv[0], &text, &e) < 0 ||
	    (o.policy != NULL &&
	     cli_text(o.policy, POLICY_BYTES_MAX, &policy, &e) < 0))
		return cli_fail(&e);
	o.policy = policy;
	o.mcp_servers = mcp.buf;
	r = cli_hib(c);
	if (r >= 0)
		return r;
	if (o.vm != NULL)
		return run_session(c, &o, o.vm, text);
	return run_in_new_vm(c, &o, text);
}
