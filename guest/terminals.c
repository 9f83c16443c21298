// SPDX-License-Identifier: Apache-2.0
/*
 * terminals.c - The terminals of one session: programs that its agent has run
 *
 * Output goes through memory alone: of a program that never stops writing the
 * last bytes are kept (tail.h).
 *
 * A terminal that is released while its program runs gives the program up: it is
 * killed, and told of no more.
 */
#include "guest/terminals.h"

#include <stdio.h>
#include <string.h>

#include "guest/limits.h"
#include "guest/shell.h"
#include "guest/tail.h"
#include "guest/text.h"

#define ID_BYTES 32

struct wait {
	TAILQ_ENTRY(wait) link;
	char id[];
};
TAILQ_HEAD(wait_list, wait);

struct terminal {
	TAILQ_ENTRY(terminal) link;
	struct terminals *all;
	int64_t turn; /* In which it was made. */
	char id[ID_BYTES];
	struct proc *proc; /* NULL: it has ended. */
	struct proc_end end;
	struct tail output;
	struct wait_list waits;
	unsigned n_waits;
};

/*
 * The end.
 */

static void write_end(const struct proc_end *end, struct jw *w)
{
	jw_obj(w);
	jw_key(w, "exitCode");
	if (end->signal != 0)
		jw_null(w);
	else
		jw_int(w, end->code);
	shell_put_signal(w, end->signal);
	jw_obj_end(w);
}

static void answer_waits(struct terminal *t)
{
	const struct reply_to *to = t->all->to;
	autojw struct jw w = {0};
	struct wait *wait;

	write_end(&t->end, &w);
	while ((wait = TAILQ_FIRST(&t->waits)) != NULL) {
		TAILQ_REMOVE(&t->waits, wait, link);
		to->result(wait->id, w.failed ? "{}" : w.buf, to->arg);
		free(wait);
	}
	t->n_waits = 0;
}

/* It never ran: end as a shell would. */
static void never_ran(struct terminal *t)
{
	tail_add(&t->output, t->end.err.msg, strlen(t->end.err.msg));
	tail_add(&t->output, "\n", 1);
	t->end.code = shell_no_start(&t->end);
}

static void terminal_on_bytes(struct proc *p, char *data, size_t n, void *arg)
{
	struct terminal *t = arg;

	(void)p;
	tail_add(&t->output, data, n);
}

static void terminal_on_exit(struct proc *p, const struct proc_end *end,
			     void *arg)
{
	struct terminal *t = arg;

	(void)p;
	t->proc = NULL;
	t->end = *end;
	if (end->failed != PROC_STEP_NONE)
		never_ran(t);
	answer_waits(t);
}

static const struct proc_events terminal_events = {
	.bytes = terminal_on_bytes,
	.exit = terminal_on_exit,
};

static void terminal_free(struct terminal *t)
{
	struct wait *wait;

	while ((wait = TAILQ_FIRST(&t->waits)) != NULL) {
		TAILQ_REMOVE(&t->waits, wait, link);
		free(wait);
	}
	if (t->proc != NULL)
		proc_abandon(t->proc);
	TAILQ_REMOVE(&t->all->list, t, link);
	t->all->n--;
	tail_done(&t->output);
	free(t);
}

/*
 * The beginning.
 */

static int shell_argv(struct jv command, char **argv, struct err *e)
{
	argv[0] = strdup(shell_path());
	argv[1] = strdup("-c");
	if (argv[0] == NULL || argv[1] == NULL)
		return err_set(e, -ENOMEM, "terminal: out of memory");
	return text_take(command, "command", &argv[2], e);
}

static int literal_argv(struct jv command, struct jv args, char **argv,
			struct err *e)
{
	size_t i = 0;
	int r = text_take(command, "command", &argv[i++], e);

	for (struct jv it = jv_first(args); r == 0 && jv_has(it);
	     it = jv_next(args, it))
		r = text_take(it, "an argument", &argv[i++], e);
	return r;
}

/* Return: argv in *out, for text_list_free(). */
static int take_argv(struct jv params, char ***out, struct err *e)
{
	struct jv command = jv_get(params, "command");
	struct jv args = jv_get(params, "args");
	size_t n = jv_is(args, JV_ARRAY) ? jv_count(args) : 0;
	char **argv;
	int r;

	if (n > TERMINAL_ARGS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "more than %d arguments", TERMINAL_ARGS_MAX);
	argv = calloc(n + 4, sizeof(*argv));
	if (argv == NULL)
		return err_set(e, -ENOMEM, "terminal: out of memory");
	r = n == 0 ? shell_argv(command, argv, e)
		   : literal_argv(command, args, argv, e);
	if (r < 0)
		text_list_free(argv);
	else
		*out = argv;
	return r;
}

static int take_cwd(struct jv params, const struct launch *l, char **out,
		    struct err *e)
{
	struct jv v = jv_get(params, "cwd");
	autofree char *cwd = NULL;

	if (jv_has(v) && !jv_is(v, JV_NULL)) {
		if (text_take(v, "cwd", &cwd, e) < 0)
			return e->code;
	} else {
		cwd = strdup(l->cwd);
	}
	if (cwd == NULL)
		return err_set(e, -ENOMEM, "terminal: out of memory");
	if (cwd[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "cwd '%.128s' is not absolute", cwd);
	*out = take_ptr(cwd);
	return 0;
}

static size_t take_limit(struct jv params)
{
	int64_t n = jv_int(jv_get(params, "outputByteLimit"), -1);

	if (n < 0)
		return TERMINAL_OUTPUT;
	return n < TERMINAL_OUTPUT_MAX ? (size_t)n : TERMINAL_OUTPUT_MAX;
}

static struct terminal *terminal_new(struct terminals *ts, size_t limit)
{
	struct terminal *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->all = ts;
	t->output.limit = limit;
	TAILQ_INIT(&t->waits);
	snprintf(t->id, sizeof(t->id), "term-%llu",
		 (unsigned long long)++ts->last);
	TAILQ_INSERT_TAIL(&ts->list, t, link);
	ts->n++;
	return t;
}

static int terminal_start(struct terminal *t,
			  const struct terminal_place *place, struct jv params,
			  struct err *e)
{
	char **argv = NULL, **env = NULL;
	autofree char *cwd = NULL;
	int r = take_cwd(params, place->launch, &cwd, e);

	if (r == 0)
		r = take_argv(params, &argv, e);
	if (r == 0)
		r = launch_extend_env(place->launch, jv_get(params, "env"),
				      &env, e);
	if (r == 0)
		r = proc_spawn(t->all->loop,
			       &(struct proc_spec){
				       .argv = (const char *const *)argv,
				       .env = (const char *const *)env,
				       .cwd = cwd,
				       .isolate = place->isolate,
				       .join = place->join,
				       .quota = place->quota,
				       .out = PROC_STDOUT_BYTES,
				       .merge_stderr = true,
			       },
			       &terminal_events, t, &t->proc, e);
	text_list_free(argv);
	text_list_free(env);
	return r;
}

int terminals_create(struct terminals *ts, const struct terminal_place *place,
		     struct jv params, struct terminal **out, struct err *e)
{
	struct terminal *t;
	int r;

	if (ts->n == TERMINALS_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "%d terminals are open, release some first",
			       TERMINALS_MAX);
	t = terminal_new(ts, take_limit(params));
	if (t == NULL)
		return err_set(e, -ENOMEM, "terminal: out of memory");
	t->turn = place->turn;
	r = terminal_start(t, place, params, e);
	if (r < 0)
		terminal_free(t);
	else
		*out = t;
	return r;
}

/*
 * Use.
 */

struct terminal *terminals_find(const struct terminals *ts, struct jv id)
{
	struct terminal *t;

	TAILQ_FOREACH (t, &ts->list, link)
		if (jv_eq(id, t->id))
			break;
	return t;
}

const char *terminal_id(const struct terminal *t)
{
	return t->id;
}

void terminal_write_output(const struct terminal *t, struct jw *w)
{
	size_t len;
	const char *output = tail_get(&t->output, &len);

	jw_obj(w);
	jw_key(w, "output");
	jw_strn(w, output, len);
	jw_kbool(w, "truncated", tail_is_cut(&t->output));
	if (t->proc == NULL) {
		jw_key(w, "exitStatus");
		write_end(&t->end, w);
	}
	jw_obj_end(w);
}

int terminal_wait(struct terminal *t, const char *id, struct err *e)
{
	struct wait *wait;
	size_t n = strlen(id) + 1;

	if (t->n_waits == TERMINAL_WAITS_MAX)
		return err_set(e, -FAULT_OVERLOADED,
			       "%d requests wait for %s already",
			       TERMINAL_WAITS_MAX, t->id);
	wait = malloc(sizeof(*wait) + n);
	if (wait == NULL)
		return err_set(e, -ENOMEM, "terminal: out of memory");
	memcpy(wait->id, id, n);
	TAILQ_INSERT_TAIL(&t->waits, wait, link);
	t->n_waits++;
	if (t->proc == NULL)
		answer_waits(t);
	return 0;
}

void terminal_kill(struct terminal *t)
{
	if (t->proc != NULL)
		proc_kill_all(t->proc);
}

void terminal_release(struct terminal *t)
{
	if (t->proc != NULL)
		t->end = (struct proc_end){.signal = SIGKILL};
	answer_waits(t);
	terminal_free(t);
}

unsigned terminals_kill_turn(struct terminals *ts, int64_t turn)
{
	struct terminal *t;
	unsigned n = 0;

	TAILQ_FOREACH (t, &ts->list, link) {
		if (t->turn != turn || t->proc == NULL)
			continue;
		terminal_kill(t);
		n++;
	}
	return n;
}

void terminals_init(struct terminals *ts, uv_loop_t *loop,
		    const struct reply_to *to)
{
	*ts = (struct terminals){.loop = loop, .to = to};
	TAILQ_INIT(&ts->list);
}

void terminals_done(struct terminals *ts)
{
	struct terminal *t;

	while ((t = TAILQ_FIRST(&ts->list)) != NULL)
		terminal_free(t);
}
