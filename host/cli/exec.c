// SPDX-License-Identifier: Apache-2.0
/*
 * exec.c - hib exec
 *
 * What the program writes is written as it comes, byte for byte, and its exit
 * code is ours.  Whoever ends us, ends it: the daemon sees that we are gone.
 */
#include <signal.h>
#include <string.h>

#include "core/base64.h"
#include "core/utf8.h"
#include "host/cli/commands.h"

#define STDIN_MAX    (8u << 20)
#define EXIT_TIMEOUT 124 /* As timeout(1). */
#define EXIT_SIGNAL  128 /* And the signal's number, as shells. */

struct exec_options {
	const char *cwd, *session;
	int64_t timeout_ms;
	bool input, shell, json;
	struct opt_list env;
};

static const struct opt opts[] = {
	OPT(OPT_LIST, exec_options, env, "env"),
	OPT(OPT_TEXT, exec_options, cwd, "cwd"),
	OPT(OPT_TEXT, exec_options, session, "session"),
	OPT(OPT_NUMBER, exec_options, timeout_ms, "timeout-ms"),
	OPT_LETTER(OPT_FLAG, exec_options, input, "stdin", 'i'),
	OPT_LETTER(OPT_FLAG, exec_options, shell, "shell", 'c'),
	OPT(OPT_FLAG, exec_options, json, "json"),
	OPT_END,
};

/* A reader of ours that is gone ends the program. */
static int on_output(bool is_stderr, const char *data, size_t len, void *arg)
{
	FILE *f = is_stderr ? stderr : stdout;

	(void)arg;
	return fwrite(data, 1, len, f) < len || fflush(f) == EOF;
}

static int signal_number(const char *name)
{
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev != NULL && strcmp(name + 3, abbrev) == 0)
			return i;
	}
	return 0;
}

static int exit_status(const struct cli *c, const struct hib_exec_result *x)
{
	if (x->timed_out) {
		fprintf(stderr, "hib: %s: killed after its time\n", c->argv[1]);
		return EXIT_TIMEOUT;
	}
	if (x->exit >= 0)
		return x->exit;
	return EXIT_SIGNAL + signal_number(x->signal);
}

static void print_output(struct jw *w, const char *key, const char *text,
			 size_t len, bool truncated)
{
	bool is_text = utf8_span(text, len) == len;
	char name[32];

	snprintf(name, sizeof(name), is_text ? "%s" : "%s_b64", key);
	jw_key(w, name);
	if (is_text)
		jw_strn(w, text, len);
	else
		base64_write(w, text, len);
	snprintf(name, sizeof(name), "%s_truncated", key);
	jw_kbool(w, name, truncated);
}

static int print_json(const struct hib_exec_result *x)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "exit");
	if (x->exit >= 0)
		jw_int(&w, x->exit);
	else
		jw_null(&w);
	jw_kstr(&w, "signal", x->signal[0] != '\0' ? x->signal : NULL);
	jw_kbool(&w, "timed_out", x->timed_out);
	jw_kint(&w, "ms", x->ms);
	print_output(&w, "stdout", x->out, x->out_len, x->out_truncated);
	print_output(&w, "stderr", x->err, x->err_len, x->err_truncated);
	jw_obj_end(&w);
	return cli_print_json(&w);
}

static int run(struct cli *c, const struct exec_options *o,
	       const struct hib_exec_options *x)
{
	struct hib_exec_result result = {.size = sizeof(result)};
	struct hib_error e;
	int r;

	cli_catch_interrupts(c->hib);
	if (hib_exec(c->hib, c->argv[0], x, &result, &e) < 0) {
		if (ferror(stdout))
			return EXIT_NEGATIVE; /* main() says why. */
		return cli_was_interrupted() ? EXIT_INTERRUPTED
					     : cli_fail_hib(&e);
	}
	r = o->json ? print_json(&result) : exit_status(c, &result);
	hib_exec_result_done(&result);
	return r;
}

/* Return: -1 to go on. */
static int read_input(struct cli *c, struct hib_exec_options *x, char **input)
{
	ssize_t n = cli_read(STDIN_FILENO, STDIN_MAX, input);

	if (n < 0)
		return cli_usage(c, "standard input: %s", strerror((int)-n));
	x->input = *input;
	x->input_len = (size_t)n;
	return -1;
}

int exec_command(struct cli *c, int argc, char **argv)
{
	struct exec_options o = {0};
	struct hib_exec_options x = {.size = sizeof(x)};
	autofree char *input = NULL;
	int r = cli_options(c, argc, argv, opts, &o, 2, INT32_MAX);

	if (r < 0 && o.shell && c->argc > 2)
		r = cli_usage(c, "a line for the shell is one argument");
	if (r < 0)
		r = cli_hib(c);
	if (r < 0 && o.input)
		r = read_input(c, &x, &input);
	if (r >= 0)
		return r;
	if (o.shell)
		x.command = c->argv[1];
	else
		x.argv = (const char *const *)c->argv + 1;
	x.cwd = o.cwd;
	x.env = o.env.n > 0 ? o.env.item : NULL;
	x.session = o.session;
	x.timeout_ms = o.timeout_ms;
	x.on_output = o.json ? NULL : on_output;
	return run(c, &o, &x);
}
