// SPDX-License-Identifier: Apache-2.0
/*
 * exec_spec.c - What the host asks to have run
 */
#include "guest/exec_spec.h"

#include <string.h>

#include "core/base64.h"
#include "guest/launch.h"
#include "guest/limits.h"
#include "guest/shell.h"
#include "guest/text.h"

static bool is_given(struct jv v)
{
	return jv_has(v) && !jv_is(v, JV_NULL);
}

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "exec: out of memory");
}

/* A line for the shell. */
static int take_command(struct jv command, char **argv, struct err *e)
{
	argv[0] = strdup(shell_path());
	argv[1] = strdup("-c");
	if (argv[0] == NULL || argv[1] == NULL)
		return out_of_memory(e);
	return text_take(command, "command", &argv[2], e);
}

static int take_args(struct jv list, char **argv, struct err *e)
{
	size_t i = 0;
	int r = 0;

	for (struct jv it = jv_first(list); r == 0 && jv_has(it);
	     it = jv_next(list, it))
		r = text_take(it, "an element of argv", &argv[i++], e);
	if (r == 0 && argv[0][0] == '\0')
		r = err_set(e, -FAULT_INVALID_ARGUMENT, "argv[0] is empty");
	return r;
}

static int take_argv(struct exec_spec *s, struct jv in, struct err *e)
{
	struct jv command = jv_get(in, "command"), argv = jv_get(in, "argv");
	size_t n = jv_is(argv, JV_ARRAY) ? jv_count(argv) : 0;

	if (is_given(command) == is_given(argv) ||
	    (is_given(argv) && (n == 0 || n > EXEC_ARGS_MAX)))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "what is to be run is a command or an argv, a "
			       "list of 1 to %d strings",
			       EXEC_ARGS_MAX);
	s->argv = calloc(n + 4, sizeof(*s->argv));
	if (s->argv == NULL)
		return out_of_memory(e);
	return is_given(command) ? take_command(command, s->argv, e)
				 : take_args(argv, s->argv, e);
}

static int take_cwd(struct exec_spec *s, struct jv v, const char *otherwise,
		    struct err *e)
{
	if (!is_given(v)) {
		s->cwd = strdup(otherwise);
		return s->cwd != NULL ? 0 : out_of_memory(e);
	}
	if (text_take(v, "cwd", &s->cwd, e) < 0)
		return e->code;
	if (s->cwd[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "cwd '%.128s' is not absolute", s->cwd);
	return 0;
}

static int take_input(struct exec_spec *s, struct jv in, struct err *e)
{
	struct jv text = jv_get(in, "stdin"), b64 = jv_get(in, "stdin_b64");
	struct jv v = is_given(text) ? text : b64;

	if (!is_given(v))
		return 0;
	s->input = jv_strdup(v, &s->input_len);
	if (s->input == NULL ||
	    (!is_given(text) && base64_read(s->input, &s->input_len) < 0))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "stdin is no string, or stdin_b64 no base64");
	if (s->input_len > EXEC_STDIN_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "stdin has more than %u bytes", EXEC_STDIN_MAX);
	return 0;
}

static int take_number(struct jv in, const char *key, int64_t max, int64_t *out,
		       struct err *e)
{
	struct jv v = jv_get(in, key);
	int64_t n = jv_int(v, -1);

	if (!is_given(v))
		return 0;
	if (n < 0 || n > max)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no integer from 0 to %lld", key,
			       (long long)max);
	*out = n;
	return 0;
}

static int take_session(struct exec_spec *s, struct jv v, struct err *e)
{
	if (!is_given(v))
		return 0;
	if (jv_strcpy(v, s->session, sizeof(s->session)) < 0 ||
	    !id_is(s->session, "ses"))
		return err_set(e, -FAULT_INVALID_ID,
			       "session is no id of a session");
	return 0;
}

int exec_spec_read(struct jv in, const char *cwd, struct exec_spec *out,
		   struct err *e)
{
	int64_t max = EXEC_OUTPUT;

	if (!jv_is(in, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "exec: that is no object");
	if (take_argv(out, in, e) < 0 ||
	    take_cwd(out, jv_get(in, "cwd"), cwd, e) < 0 ||
	    launch_read_env(jv_get(in, "env"), &out->env, e) < 0 ||
	    take_input(out, in, e) < 0 ||
	    take_session(out, jv_get(in, "session"), e) < 0 ||
	    take_number(in, "timeout_ms", EXEC_TIMEOUT_MAX_MS, &out->timeout_ms,
			e) < 0 ||
	    take_number(in, "max_output", EXEC_OUTPUT_MAX, &max, e) < 0)
		return e->code;
	if (is_given(jv_get(in, "exec")) &&
	    (jv_strcpy(jv_get(in, "exec"), out->id, ID_MAX) < 0 ||
	     !id_is(out->id, "exe")))
		return err_set(e, -FAULT_INVALID_ID,
			       "exec is no id of a program that runs");
	out->max_output = (size_t)max;
	out->collect = jv_bool(jv_get(in, "collect"), false);
	return 0;
}

void exec_spec_done(struct exec_spec *s)
{
	text_list_free(s->argv);
	text_list_free(s->env);
	free(s->cwd);
	free(s->input);
	*s = (struct exec_spec){0};
}
