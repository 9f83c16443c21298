// SPDX-License-Identifier: Apache-2.0
/*
 * test_builtin.c - A toy server of our own, its tools and their callers
 */
#include "guest/mcp_builtin.h"
#include "tests/tap.h"

static uv_loop_t loop;
static struct builtin_call *held;
static unsigned n_cancelled, n_done, n_progress;
static char last[4096];

/*
 * The toy.
 */

static void toy_echo(struct builtin_call *q)
{
	autofree char *text = NULL;
	struct err e = {0};

	if (builtin_need_text(q, "text", 16, &text, &e) < 0)
		builtin_fault(q, &e);
	else
		builtin_text(q, "%s", text);
}

static void toy_add(struct builtin_call *q)
{
	int64_t a = 1, b = 2;
	struct err e = {0};
	char sum[32];

	if (builtin_get_int(q, "a", -10, 10, &a, &e) < 0 ||
	    builtin_get_int(q, "b", -10, 10, &b, &e) < 0) {
		builtin_fault(q, &e);
		return;
	}
	snprintf(sum, sizeof(sum), "{\"sum\":%lld}", (long long)(a + b));
	builtin_reply_value(q, sum);
}

static void hold_on_cancelled(struct builtin_call *q)
{
	n_cancelled++;
	held = NULL;
	builtin_error(q, "cancelled");
}

static void toy_hold(struct builtin_call *q)
{
	held = q;
	q->cancelled = hold_on_cancelled;
	builtin_progress(q, 1, 2, "held");
}

static const struct builtin_tool tools[] = {
	{.name = "echo",
	 .description = "Say it again.",
	 .input_schema = "{\"type\":\"object\",\"properties\":{\"text\":{"
			 "\"type\":\"string\"}},\"required\":[\"text\"],"
			 "\"additionalProperties\":false}",
	 .annotations = "{\"readOnlyHint\":true}",
	 .call = toy_echo},
	{.name = "add",
	 .description = "Add two numbers.",
	 .input_schema = "{\"type\":\"object\",\"properties\":{"
			 "\"a\":{\"type\":\"integer\"},"
			 "\"b\":{\"type\":\"integer\"}}}",
	 .call = toy_add},
	{.name = "hold",
	 .description = "Answer later.",
	 .input_schema = "{\"type\":\"object\"}",
	 .call = toy_hold},
};

static void toy_list(struct session *s, struct jw *w)
{
	(void)s;
	jw_raw(w, "{\"name\":\"late\"}", 15);
}

static bool toy_call(struct builtin_call *q)
{
	if (strcmp(q->tool, "late") != 0)
		return false;
	builtin_text(q, "late");
	return true;
}

static const struct builtin toy = {
	.name = "toy",
	.title = "Toy",
	.tools = tools,
	.n_tools = ARRAY_LEN(tools),
	.list = toy_list,
	.call = toy_call,
};

/*
 * A caller.
 */

static void on_done(const char *result, size_t len, void *arg)
{
	(void)arg;
	n_done++;
	snprintf(last, sizeof(last), "%.*s", (int)len, result);
}

static void on_progress(const char *params, void *arg)
{
	(void)arg;
	n_progress++;
	STR_EQ(params, "{\"progress\":1,\"total\":2,\"message\":\"held\"}");
}

static struct mcp_builtin *open_toy(void)
{
	uv_loop_init(&loop);
	return mcp_builtin_new(&loop, &toy, NULL);
}

static void close_toy(struct mcp_builtin *m)
{
	mcp_builtin_free(m);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&loop), 0);
}

static int call(struct mcp_builtin *m, const char *params,
		struct builtin_call **out)
{
	const struct mcp_builtin_caller by = {on_done, on_progress, NULL};
	autojson struct json j = {0};
	struct err e = {0};

	EQ(json_parse(&j, params, strlen(params), &e), 0);
	return mcp_builtin_call(m, json_root(&j), &by, out, &e);
}

static const char *ask(struct mcp_builtin *m, const char *params)
{
	struct builtin_call *q;
	unsigned before = n_done;

	EQ(call(m, params, &q), 0);
	EQ(n_done, before);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(n_done, before + 1);
	return last;
}

/*
 * Cases.
 */

static void lists_its_tools(void)
{
	struct mcp_builtin *m = open_toy();
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct jv list;

	mcp_builtin_list(m, &w);
	EQ(json_parse(&j, w.buf, w.len, NULL), 0);
	list = json_root(&j);
	EQ(jv_count(list), 4);
	OK(jv_eq(jv_get(jv_first(list), "name"), "echo"));
	OK(jv_is(jv_path(jv_first(list), "inputSchema.properties.text"),
		 JV_OBJECT));
	OK(jv_bool(jv_path(jv_first(list), "annotations.readOnlyHint"), false));
	close_toy(m);
}

static void answers_come_from_the_loop(void)
{
	struct mcp_builtin *m = open_toy();

	STR_EQ(ask(m, "{\"name\":\"echo\",\"arguments\":{\"text\":\"a\\nb\"}}"),
	       "{\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"}]}");
	STR_EQ(ask(m, "{\"name\":\"add\"}"),
	       "{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"sum\\\":3}\"}],"
	       "\"structuredContent\":{\"sum\":3}}");
	STR_EQ(ask(m, "{\"name\":\"late\"}"),
	       "{\"content\":[{\"type\":\"text\",\"text\":\"late\"}]}");
	close_toy(m);
}

static bool fails_with(struct mcp_builtin *m, const char *params,
		       const char *words)
{
	autojson struct json j = {0};
	const char *result = ask(m, params);
	struct jv root;

	EQ(json_parse(&j, result, strlen(result), NULL), 0);
	root = json_root(&j);
	OK(jv_bool(jv_get(root, "isError"), false));
	OK(jv_eq(jv_path(root, "structuredContent.error.data.code"),
		 "invalid_argument"));
	return jv_eq(jv_get(jv_first(jv_get(root, "content")), "text"), words);
}

static void bad_arguments_are_errors_of_the_tool(void)
{
	struct mcp_builtin *m = open_toy();

	OK(fails_with(m, "{\"name\":\"echo\"}", "text is missing"));
	OK(fails_with(m, "{\"name\":\"echo\",\"arguments\":{\"text\":null}}",
		      "text is missing"));
	OK(fails_with(m, "{\"name\":\"echo\",\"arguments\":{\"text\":7}}",
		      "text is no string"));
	OK(fails_with(m,
		      "{\"name\":\"echo\",\"arguments\":{\"text\":\"\","
		      "\"x\":1}}",
		      "there is no argument 'x'"));
	OK(fails_with(m,
		      "{\"name\":\"echo\",\"arguments\":{\"text\":\"12345678901"
		      "234567\"}}",
		      "text has 17 bytes, or a NUL; 16 are allowed"));
	OK(fails_with(m, "{\"name\":\"add\",\"arguments\":{\"a\":11}}",
		      "a is no whole number from -10 to 10"));
	OK(fails_with(m, "{\"name\":\"add\",\"arguments\":{\"b\":0.5}}",
		      "b is no whole number from -10 to 10"));
	close_toy(m);
}

static void unknown_tools_and_broken_calls_are_refused(void)
{
	struct mcp_builtin *m = open_toy();
	struct builtin_call *q;

	EQ(call(m, "{\"name\":\"none\"}", &q), -ENOENT);
	EQ(call(m, "{\"name\":7}", &q), -EINVAL);
	EQ(call(m, "{\"name\":\"echo\",\"arguments\":[]}", &q), -EINVAL);
	EQ(call(m, "[]", &q), -EINVAL);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(n_done, 0);
	close_toy(m);
}

static void a_tool_may_answer_later(void)
{
	struct mcp_builtin *m = open_toy();
	struct builtin_call *q;

	EQ(call(m, "{\"name\":\"hold\"}", &q), 0);
	EQ(n_progress, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(n_done, 0);
	OK(held == q);
	builtin_text(held, "at last");
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(n_done, 1);
	close_toy(m);
}

static void a_cancelled_call_is_answered_to_nobody(void)
{
	struct mcp_builtin *m = open_toy();
	struct builtin_call *q;

	EQ(call(m, "{\"name\":\"hold\"}", &q), 0);
	mcp_builtin_cancel(q);
	EQ(n_cancelled, 1);
	EQ(call(m, "{\"name\":\"add\"}", &q), 0);
	mcp_builtin_cancel(q);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(n_done, 0);
	close_toy(m);
}

static void a_call_outlives_its_session(void)
{
	struct mcp_builtin *m = open_toy();
	struct builtin_call *q;

	EQ(call(m, "{\"name\":\"hold\"}", &q), 0);
	q->cancelled = NULL;
	mcp_builtin_free(m);
	OK(held->session == NULL);
	builtin_progress(held, 2, 2, NULL);
	builtin_text(held, "too late");
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(n_done, 0);
	EQ(uv_loop_close(&loop), 0);
}

TESTS(CASE(lists_its_tools), CASE(answers_come_from_the_loop),
      CASE(bad_arguments_are_errors_of_the_tool),
      CASE(unknown_tools_and_broken_calls_are_refused),
      CASE(a_tool_may_answer_later),
      CASE(a_cancelled_call_is_answered_to_nobody),
      CASE(a_call_outlives_its_session))
