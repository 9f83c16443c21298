// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_fixture.c - A server that does what the official conformance suite asks for
 *
 *	mcp_fixture			serve stdio
 *	mcp_fixture --http [PORT]	serve http://127.0.0.1:PORT/mcp, say the
 *					port on stdout
 *
 * Names and texts are those that the scenarios of the suite look for.  It is
 * our server core and our HTTP front with the thinnest owner that there can be.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "mcp/front.h"
#include "mcp/server.h"
#include "mcp/stream.h"

#define STEP_MS	 50  /* Between two notifications of a tool. */
#define RETRY_MS 300 /* Before a client that was let go comes back. */
#define TEXT_MAX 128

#define LIT(w, text) jw_lit(w, text, sizeof(text) - 1)

#define PNG                                                                        \
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA" \
	"WjR9awAAAABJRU5ErkJggg=="
#define WAV	     "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="
#define TEXT(t)	     "{\"content\":[{\"type\":\"text\",\"text\":\"" t "\"}]}"
#define NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{}}"
#define ONE_STRING(n)                                             \
	"{\"type\":\"object\",\"properties\":{\"" n               \
	"\":{\"type\":\"string\",\"description\":\"Any text\"}}," \
	"\"required\":[\"" n "\"]}"
#define FORM(message, properties, required)                                  \
	"{\"message\":\"" message "\",\"requestedSchema\":{\"type\":"        \
	"\"object\",\"properties\":{" properties "},\"required\":[" required \
	"]}}"
#define SAMPLE(text)                                                        \
	"{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\"," \
	"\"text\":\"" text "\"}}],\"maxTokens\":100}"

static uv_loop_t *loop;
static struct mcp_server *server;
static bool over_http;
static bool has_more_tools, has_more_prompts; /* The lists change. */

/* --- answers -------------------------------------------------------------- */

static void reply_writer(struct mcp_request *q, const struct jw *w)
{
	if (w->failed)
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
	else
		mcp_reply_raw(q, w->buf, w->len);
}

/* Text content: @before, then the JSON of @v, or its text if it is a string. */
static void reply_text(struct mcp_request *q, const char *before, struct jv v)
{
	autojw struct jw w = {0}, text = {0};
	autofree char *string = jv_strdup(v, NULL);

	jw_lit(&text, before, strlen(before));
	if (string != NULL)
		jw_lit(&text, string, strlen(string));
	else if (jv_has(v))
		jw_value(&text, v);
	jw_obj(&w);
	jw_key(&w, "content");
	jw_arr(&w);
	jw_obj(&w);
	jw_kstr(&w, "type", "text");
	jw_key(&w, "text");
	jw_strn(&w, text.buf, text.len);
	jw_obj_end(&w);
	jw_arr_end(&w);
	jw_obj_end(&w);
	reply_writer(q, &w);
}

/* --- tools that take their time ------------------------------------------- */

struct slow {
	uv_timer_t timer;
	struct mcp_request *request;
	void (*step)(struct slow *s);
	int n;
};

static void on_slow_closed(uv_handle_t *h)
{
	free(h->data);
}

static void end_slow(struct slow *s)
{
	uv_close((uv_handle_t *)&s->timer, on_slow_closed);
}

static void on_slow(uv_timer_t *t)
{
	struct slow *s = t->data;

	s->step(s);
	s->n++;
}

static void start_slow(struct mcp_request *q, void (*step)(struct slow *s),
		       uint64_t first_ms)
{
	struct slow *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		mcp_reply_error(q, RPC_INTERNAL, "out of memory", NULL);
		return;
	}
	s->request = q;
	s->step = step;
	s->timer.data = s;
	(void)uv_timer_init(loop, &s->timer);
	(void)uv_timer_start(&s->timer, on_slow, first_ms, STEP_MS);
}

static void step_log(struct slow *s)
{
	static const char *const texts[] = {"\"Tool execution started\"",
					    "\"Tool processing data\"",
					    "\"Tool execution completed\""};

	if (s->n < 3) {
		mcp_log(s->request, "info", "fixture", texts[s->n]);
		return;
	}
	mcp_reply(s->request, TEXT("Logged."));
	end_slow(s);
}

static void step_progress(struct slow *s)
{
	if (s->n < 3) {
		mcp_progress(s->request, s->n * 50, 100, "on the way");
		return;
	}
	mcp_reply(s->request, TEXT("Progressed."));
	end_slow(s);
}

static void step_reconnect(struct slow *s)
{
	mcp_reply(s->request, TEXT("Reconnected."));
	end_slow(s);
}

static void call_log(struct mcp_request *q)
{
	start_slow(q, step_log, 0);
}

static void call_progress(struct mcp_request *q)
{
	start_slow(q, step_progress, 0);
}

/* On HTTP the client is sent away and finds the answer when it comes back. */
static void call_reconnect(struct mcp_request *q)
{
	size_t len;
	const char *id = jv_raw(q->id, &len);

	start_slow(q, step_reconnect, 2 * STEP_MS);
	if (over_http)
		mcp_link_retry(mcp_conn_arg(q->conn), id, len, RETRY_MS);
}

/* --- tools that ask ------------------------------------------------------- */

static const struct mcp_question
	ask_name = {"user_name", "elicitation/create",
		    FORM("What is your name?", "\"name\":{\"type\":\"string\"}",
			 "\"name\"")},
	ask_capital = {"capital_question", "sampling/createMessage",
		       SAMPLE("What is the capital of France?")},
	ask_greeting = {"greeting", "sampling/createMessage",
			SAMPLE("Generate a greeting")},
	ask_roots = {"client_roots", "roots/list", "{}"},
	ask_confirm = {"confirm", "elicitation/create",
		       FORM("Please confirm", "\"ok\":{\"type\":\"boolean\"}",
			    "\"ok\"")},
	ask_step1 = {"step1", "elicitation/create",
		     FORM("Step 1: What is your name?",
			  "\"name\":{\"type\":\"string\"}", "\"name\"")},
	ask_step2 = {"step2", "elicitation/create",
		     FORM("Step 2: What is your favorite color?",
			  "\"color\":{\"type\":\"string\"}", "\"color\"")},
	ask_context = {"user_context", "elicitation/create",
		       FORM("What context should the prompt use?",
			    "\"context\":{\"type\":\"string\"}",
			    "\"context\"")},
	ask_defaults =
		{"answer", "elicitation/create",
		 FORM("Please check these values",
		      "\"name\":{\"type\":\"string\",\"default\":"
		      "\"John Doe\"},\"age\":{\"type\":\"integer\","
		      "\"default\":30},\"score\":{\"type\":\"number\","
		      "\"default\":95.5},\"status\":{\"type\":\"string\","
		      "\"enum\":[\"active\",\"inactive\",\"pending\"],"
		      "\"default\":\"active\"},\"verified\":{\"type\":"
		      "\"boolean\",\"default\":true}",
		      "")},
	ask_enums = {
		"answer", "elicitation/create",
		FORM("Please choose",
		     "\"untitledSingle\":{\"type\":\"string\",\"enum\":["
		     "\"option1\",\"option2\",\"option3\"]},\"titledSingle\":{"
		     "\"type\":\"string\",\"oneOf\":[{\"const\":\"value1\","
		     "\"title\":\"First Option\"},{\"const\":\"value2\","
		     "\"title\":\"Second Option\"},{\"const\":\"value3\","
		     "\"title\":\"Third Option\"}]},\"legacyEnum\":{\"type\":"
		     "\"string\",\"enum\":[\"opt1\",\"opt2\",\"opt3\"],"
		     "\"enumNames\":[\"Option One\",\"Option Two\","
		     "\"Option Three\"]},\"untitledMulti\":{\"type\":\"array\","
		     "\"items\":{\"type\":\"string\",\"enum\":[\"option1\","
		     "\"option2\",\"option3\"]}},\"titledMulti\":{\"type\":"
		     "\"array\",\"items\":{\"anyOf\":[{\"const\":\"value1\","
		     "\"title\":\"First Choice\"},{\"const\":\"value2\","
		     "\"title\":\"Second Choice\"},{\"const\":\"value3\","
		     "\"title\":\"Third Choice\"}]}}",
		     "")};

/* "action=accept, content={...}" behind @before; or ask for it. */
static void elicit(struct mcp_request *q, const struct mcp_question *question,
		   const char *before)
{
	struct jv a = mcp_answer(q, question->key);
	char text[TEXT_MAX], action[16];

	if (jv_strcpy(jv_get(a, "action"), action, sizeof(action)) < 0) {
		mcp_ask(q, question, 1, NULL);
		return;
	}
	snprintf(text, sizeof(text), "%.64saction=%s, content=", before,
		 action);
	reply_text(q, text, jv_get(a, "content"));
}

static void call_elicit(struct mcp_request *q)
{
	struct mcp_question question = {"answer", "elicitation/create", NULL};
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kvalue(&w, "message", jv_path(q->params, "arguments.message"));
	jw_kraw(&w, "requestedSchema",
		"{\"type\":\"object\",\"properties\":{\"username\":{\"type\":"
		"\"string\",\"description\":\"User's response\"},\"email\":{"
		"\"type\":\"string\",\"description\":\"User's email address\"}"
		"},\"required\":[\"username\",\"email\"]}");
	jw_obj_end(&w);
	question.params = w.failed ? NULL : w.buf;
	elicit(q, &question, "User response: ");
}

static void call_defaults(struct mcp_request *q)
{
	elicit(q, &ask_defaults, "Elicitation completed: ");
}

static void call_enums(struct mcp_request *q)
{
	elicit(q, &ask_enums, "Elicitation completed: ");
}

static void call_streaming(struct mcp_request *q)
{
	elicit(q, &ask_confirm, "Confirmed: ");
}

static void call_sample(struct mcp_request *q)
{
	struct mcp_question question = {"answer", "sampling/createMessage",
					NULL};
	struct jv text = jv_path(mcp_answer(q, "answer"), "content.text");
	autojw struct jw w = {0};

	if (jv_has(text)) {
		reply_text(q, "LLM response: ", text);
		return;
	}
	jw_obj(&w);
	jw_key(&w, "messages");
	LIT(&w, "[{\"role\":\"user\",\"content\":{\"type\":\"text\","
		"\"text\":");
	jw_value(&w, jv_path(q->params, "arguments.prompt"));
	LIT(&w, "}}]");
	jw_kint(&w, "maxTokens", 100);
	jw_obj_end(&w);
	question.params = w.failed ? NULL : w.buf;
	mcp_ask(q, &question, 1, NULL);
}

static void call_input_name(struct mcp_request *q)
{
	char name[TEXT_MAX], text[TEXT_MAX + 16];
	struct jv v = jv_path(mcp_answer(q, "user_name"), "content.name");

	if (jv_strcpy(v, name, sizeof(name)) < 0) {
		mcp_ask(q, &ask_name, 1, NULL);
		return;
	}
	snprintf(text, sizeof(text), "Hello, %s!", name);
	reply_text(q, text, (struct jv){.i = -1});
}

static void call_input_sample(struct mcp_request *q)
{
	struct jv text =
		jv_path(mcp_answer(q, "capital_question"), "content.text");

	if (jv_has(text))
		reply_text(q, "", text);
	else
		mcp_ask(q, &ask_capital, 1, NULL);
}

static void call_input_roots(struct mcp_request *q)
{
	struct jv roots = jv_get(mcp_answer(q, "client_roots"), "roots");

	if (jv_is(roots, JV_ARRAY))
		reply_text(q, "Roots: ", roots);
	else
		mcp_ask(q, &ask_roots, 1, NULL);
}

/* The state of the request: 1, 0 for none, -1 when it was answered as forged. */
static int state_of(struct mcp_request *q, char state[MCP_STATE_MAX + 1])
{
	int r = mcp_state(q, state);

	if (r >= 0)
		return r;
	mcp_reply_error(q, RPC_INVALID_PARAMS, "requestState is not ours",
			NULL);
	return -1;
}

static void call_input_state(struct mcp_request *q)
{
	char state[MCP_STATE_MAX + 1];
	int r = state_of(q, state);

	if (r < 0)
		return;
	if (r == 1 && jv_has(mcp_answer(q, "confirm")))
		mcp_reply(q, TEXT("state-ok"));
	else
		mcp_ask(q, &ask_confirm, 1, "asked");
}

static void call_input_many(struct mcp_request *q)
{
	const struct mcp_question all[] = {ask_name, ask_greeting, ask_roots};
	char state[MCP_STATE_MAX + 1];

	if (state_of(q, state) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!jv_has(mcp_answer(q, all[i].key))) {
			mcp_ask(q, all, ARRAY_LEN(all), "asked");
			return;
		}
	mcp_reply(q, TEXT("All there."));
}

static void call_input_rounds(struct mcp_request *q)
{
	char state[MCP_STATE_MAX + 1];
	int r = state_of(q, state);

	if (r < 0)
		return;
	if (strcmp(state, "2") == 0 && jv_has(mcp_answer(q, "step2")))
		mcp_reply(q, TEXT("Both steps done."));
	else if (r == 1 && (state[0] == '2' || jv_has(mcp_answer(q, "step1"))))
		mcp_ask(q, &ask_step2, 1, "2");
	else
		mcp_ask(q, &ask_step1, 1, "1");
}

/* Ask for what the client can do, and nothing else. */
static void call_input_capabilities(struct mcp_request *q)
{
	struct mcp_question some[3];
	size_t n = 0;

	if (mcp_client_has(q, "elicitation"))
		some[n++] = ask_name;
	if (mcp_client_has(q, "sampling"))
		some[n++] = ask_capital;
	if (mcp_client_has(q, "roots"))
		some[n++] = ask_roots;
	if (n == 0 || jv_has(mcp_answer(q, some[0].key)))
		mcp_reply(q, TEXT("Enough."));
	else
		mcp_ask(q, some, n, NULL);
}

static void call_missing(struct mcp_request *q)
{
	if (mcp_client_has(q, "sampling"))
		mcp_reply(q, TEXT("You can sample."));
	else
		mcp_reply_missing(q, "sampling");
}

/* --- other tools ---------------------------------------------------------- */

static void call_echo(struct mcp_request *q)
{
	autojw struct jw w = {0};

	LIT(&w, "{\"content\":[{\"type\":\"text\",\"text\":");
	jw_value(&w, jv_path(q->params, "arguments.message"));
	LIT(&w, "}]}");
	reply_writer(q, &w);
}

static void call_change_tools(struct mcp_request *q)
{
	has_more_tools = !has_more_tools;
	mcp_reply(q, TEXT("Changed."));
	mcp_server_list_changed(server, "tools");
}

static void call_change_prompts(struct mcp_request *q)
{
	has_more_prompts = !has_more_prompts;
	mcp_reply(q, TEXT("Changed."));
	mcp_server_list_changed(server, "prompts");
}

#define SCHEMA_2020                                                               \
	"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":" \
	"\"object\",\"$defs\":{\"address\":{\"$anchor\":\"addressDef\",\"type\":" \
	"\"object\",\"properties\":{\"street\":{\"type\":\"string\"},\"city\":{"  \
	"\"type\":\"string\"}}}},\"properties\":{\"name\":{\"type\":\"string\"}," \
	"\"address\":{\"$ref\":\"#/$defs/address\"},\"contactMethod\":{\"type\":" \
	"\"string\",\"enum\":[\"phone\",\"email\"]},\"phone\":{\"type\":"         \
	"\"string\"},\"email\":{\"type\":\"string\"}},\"allOf\":[{\"anyOf\":[{"   \
	"\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}],\"if\":{"        \
	"\"properties\":{\"contactMethod\":{\"const\":\"phone\"}},\"required\":[" \
	"\"contactMethod\"]},\"then\":{\"required\":[\"phone\"]},\"else\":{"      \
	"\"required\":[\"email\"]},\"additionalProperties\":false}"

/* One with a result needs no function. */
static const struct tool {
	const char *name, *schema, *result;
	void (*call)(struct mcp_request *q);
} tools[] = {
	{"echo", ONE_STRING("message"), NULL, call_echo},
	{"test_simple_text", NO_ARGUMENTS,
	 TEXT("This is a simple text response for testing."), NULL},
	{"test_image_content", NO_ARGUMENTS,
	 "{\"content\":[{\"type\":\"image\",\"data\":\"" PNG
	 "\",\"mimeType\":\"image/png\"}]}",
	 NULL},
	{"test_audio_content", NO_ARGUMENTS,
	 "{\"content\":[{\"type\":\"audio\",\"data\":\"" WAV
	 "\",\"mimeType\":\"audio/wav\"}]}",
	 NULL},
	{"test_embedded_resource", NO_ARGUMENTS,
	 "{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":"
	 "\"test://embedded-resource\",\"mimeType\":\"text/plain\",\"text\":"
	 "\"This is an embedded resource content.\"}}]}",
	 NULL},
	{"test_multiple_content_types", NO_ARGUMENTS,
	 "{\"content\":[{\"type\":\"text\",\"text\":\"Multiple content types "
	 "test:\"},{\"type\":\"image\",\"data\":\"" PNG
	 "\",\"mimeType\":\"image/png\"},{\"type\":\"resource\",\"resource\":{"
	 "\"uri\":\"test://mixed-content-resource\",\"mimeType\":"
	 "\"application/json\",\"text\":\"{\\\"test\\\":\\\"data\\\","
	 "\\\"value\\\":123}\"}}]}",
	 NULL},
	{"test_error_handling", NO_ARGUMENTS,
	 "{\"content\":[{\"type\":\"text\",\"text\":\"This tool intentionally "
	 "returns an error for testing\"}],\"isError\":true}",
	 NULL},
	{"test_tool_with_logging", NO_ARGUMENTS, NULL, call_log},
	{"test_logging_tool", NO_ARGUMENTS, NULL, call_log},
	{"test_tool_with_progress", NO_ARGUMENTS, NULL, call_progress},
	{"test_reconnection", NO_ARGUMENTS, NULL, call_reconnect},
	{"test_sampling", ONE_STRING("prompt"), NULL, call_sample},
	{"test_elicitation", ONE_STRING("message"), NULL, call_elicit},
	{"test_elicitation_sep1034_defaults", NO_ARGUMENTS, NULL,
	 call_defaults},
	{"test_elicitation_sep1330_enums", NO_ARGUMENTS, NULL, call_enums},
	{"test_streaming_elicitation", NO_ARGUMENTS, NULL, call_streaming},
	{"json_schema_2020_12_tool", SCHEMA_2020, TEXT("Valid."), NULL},
	{"test_missing_capability", NO_ARGUMENTS, NULL, call_missing},
	{"test_trigger_tool_change", NO_ARGUMENTS, NULL, call_change_tools},
	{"test_trigger_prompt_change", NO_ARGUMENTS, NULL, call_change_prompts},
	{"test_input_required_result_elicitation", NO_ARGUMENTS, NULL,
	 call_input_name},
	{"test_input_required_result_sampling", NO_ARGUMENTS, NULL,
	 call_input_sample},
	{"test_input_required_result_list_roots", NO_ARGUMENTS, NULL,
	 call_input_roots},
	{"test_input_required_result_request_state", NO_ARGUMENTS, NULL,
	 call_input_state},
	{"test_input_required_result_multiple_inputs", NO_ARGUMENTS, NULL,
	 call_input_many},
	{"test_input_required_result_multi_round", NO_ARGUMENTS, NULL,
	 call_input_rounds},
	{"test_input_required_result_tampered_state", NO_ARGUMENTS, NULL,
	 call_input_state},
	{"test_input_required_result_capabilities", NO_ARGUMENTS, NULL,
	 call_input_capabilities},
	{"test_more", NO_ARGUMENTS, TEXT("More."), NULL}, /* Comes and goes. */
};

static size_t n_tools(void)
{
	return ARRAY_LEN(tools) - !has_more_tools;
}

static void serve_tools_list(struct mcp_request *q)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "tools");
	jw_arr(&w);
	for (size_t i = 0; i < n_tools(); i++) {
		jw_obj(&w);
		jw_kstr(&w, "name", tools[i].name);
		jw_kstr(&w, "description", "A tool of the conformance suite");
		jw_kraw(&w, "inputSchema", tools[i].schema);
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	jw_obj_end(&w);
	reply_writer(q, &w);
}

static void serve_tools_call(struct mcp_request *q)
{
	struct jv name = jv_get(q->params, "name");

	for (size_t i = 0; i < n_tools(); i++) {
		if (!jv_eq(name, tools[i].name))
			continue;
		if (tools[i].call != NULL)
			tools[i].call(q);
		else
			mcp_reply(q, tools[i].result);
		return;
	}
	mcp_reply_error(q, RPC_INVALID_PARAMS, "unknown tool", NULL);
}

/* --- resources ------------------------------------------------------------ */

static void serve_resources_list(struct mcp_request *q)
{
	mcp_reply(q, "{\"resources\":[{\"uri\":\"test://static-text\","
		     "\"name\":\"Static text\",\"description\":\"Text\","
		     "\"mimeType\":\"text/plain\"},{\"uri\":"
		     "\"test://static-binary\",\"name\":\"Static binary\","
		     "\"description\":\"An image\",\"mimeType\":\"image/png\"},"
		     "{\"uri\":\"test://watched-resource\",\"name\":"
		     "\"Watched\",\"description\":\"One to subscribe to\","
		     "\"mimeType\":\"text/plain\"}]}");
}

static void serve_templates_list(struct mcp_request *q)
{
	mcp_reply(q, "{\"resourceTemplates\":[{\"uriTemplate\":"
		     "\"test://template/{id}/data\",\"name\":\"Template\","
		     "\"description\":\"Data by id\",\"mimeType\":"
		     "\"application/json\"}]}");
}

/* The id in test://template/{id}/data.  Return: whether it is such a URI. */
static bool template_id(const char *uri, char id[TEXT_MAX])
{
	int end = 0;

	return sscanf(uri, "test://template/%127[^/]/data%n", id, &end) == 1 &&
	       end > 0 && uri[end] == '\0';
}

static void reply_not_found(struct mcp_request *q, struct jv uri)
{
	autojw struct jw data = {0};

	jw_obj(&data);
	jw_kvalue(&data, "uri", uri);
	jw_obj_end(&data);
	mcp_reply_error(q,
			q->era == MCP_ERA_MODERN ? RPC_INVALID_PARAMS
						 : MCP_RESOURCE_NOT_FOUND,
			"resource not found", data.failed ? NULL : data.buf);
}

static void serve_resources_read(struct mcp_request *q)
{
	struct jv uri = jv_get(q->params, "uri");
	char text[MCP_URI_MAX], id[TEXT_MAX], out[1024];

	if (jv_strcpy(uri, text, sizeof(text)) < 0)
		text[0] = '\0';
	if (strcmp(text, "test://static-text") == 0 ||
	    strcmp(text, "test://watched-resource") == 0) {
		snprintf(out, sizeof(out),
			 "{\"contents\":[{\"uri\":\"%.64s\",\"mimeType\":"
			 "\"text/plain\",\"text\":\"This is the content of the "
			 "static text resource.\"}]}",
			 text);
	} else if (strcmp(text, "test://static-binary") == 0) {
		snprintf(out, sizeof(out),
			 "{\"contents\":[{\"uri\":\"%.64s\",\"mimeType\":"
			 "\"image/png\",\"blob\":\"" PNG "\"}]}",
			 text);
	} else if (template_id(text, id) && strpbrk(id, "\"\\") == NULL) {
		snprintf(out, sizeof(out),
			 "{\"contents\":[{\"uri\":\"test://template/%s/data\","
			 "\"mimeType\":\"application/json\",\"text\":\"{"
			 "\\\"id\\\":\\\"%s\\\",\\\"templateTest\\\":true,"
			 "\\\"data\\\":\\\"Data for ID: %s\\\"}\"}]}",
			 id, id, id);
	} else {
		reply_not_found(q, uri);
		return;
	}
	mcp_reply(q, out);
}

static void serve_subscribe(struct mcp_request *q)
{
	mcp_reply(q, NULL);
}

/* --- prompts -------------------------------------------------------------- */

static void serve_prompts_list(struct mcp_request *q)
{
	autojw struct jw w = {0};
	static const char list[] =
		"{\"prompts\":[{\"name\":\"test_simple_prompt\","
		"\"description\":\"A text\"},{\"name\":"
		"\"test_prompt_with_arguments\",\"description\":\"Arguments\","
		"\"arguments\":[{\"name\":\"arg1\",\"description\":\"First\","
		"\"required\":true},{\"name\":\"arg2\",\"description\":"
		"\"Second\",\"required\":true}]},{\"name\":"
		"\"test_prompt_with_embedded_resource\",\"description\":"
		"\"A resource\",\"arguments\":[{\"name\":\"resourceUri\","
		"\"description\":\"Its URI\",\"required\":true}]},{\"name\":"
		"\"test_prompt_with_image\",\"description\":\"An image\"},{"
		"\"name\":\"test_input_required_result_prompt\","
		"\"description\":\"One that asks\"}";

	jw_lit(&w, list, sizeof(list) - 1);
	if (has_more_prompts)
		LIT(&w,
		    ",{\"name\":\"test_more\",\"description\":\"Comes and goes\"}");
	LIT(&w, "]}");
	reply_writer(q, &w);
}

#define USER(content) "{\"role\":\"user\",\"content\":" content "}"
#define SAYS(text)    USER("{\"type\":\"text\",\"text\":\"" text "\"}")

static void get_arguments(struct mcp_request *q)
{
	char a[TEXT_MAX], b[TEXT_MAX], text[3 * TEXT_MAX];
	autojw struct jw w = {0};

	(void)jv_strcpy(jv_path(q->params, "arguments.arg1"), a, sizeof(a));
	(void)jv_strcpy(jv_path(q->params, "arguments.arg2"), b, sizeof(b));
	snprintf(text, sizeof(text),
		 "Prompt with arguments: arg1='%s', arg2='%s'", a, b);
	LIT(&w, "{\"messages\":[{\"role\":\"user\",\"content\":");
	jw_obj(&w);
	jw_kstr(&w, "type", "text");
	jw_kstr(&w, "text", text);
	jw_obj_end(&w);
	LIT(&w, "}]}");
	reply_writer(q, &w);
}

static void get_resource(struct mcp_request *q)
{
	autojw struct jw w = {0};
	static const char end[] =
		"}}," SAYS("Please process the embedded resource above.") "]}";

	LIT(&w, "{\"messages\":[{\"role\":\"user\",\"content\":");
	jw_obj(&w);
	jw_kstr(&w, "type", "resource");
	jw_key(&w, "resource");
	jw_obj(&w);
	jw_kvalue(&w, "uri", jv_path(q->params, "arguments.resourceUri"));
	jw_kstr(&w, "mimeType", "text/plain");
	jw_kstr(&w, "text", "Embedded resource content for testing.");
	jw_obj_end(&w);
	jw_lit(&w, end, sizeof(end) - 1);
	reply_writer(q, &w);
}

static void get_asking(struct mcp_request *q)
{
	if (jv_has(jv_path(mcp_answer(q, "user_context"), "content.context")))
		mcp_reply(q, "{\"messages\":[" SAYS("Context is there.") "]}");
	else
		mcp_ask(q, &ask_context, 1, NULL);
}

static void serve_prompts_get(struct mcp_request *q)
{
	struct jv name = jv_get(q->params, "name");

	if (jv_eq(name, "test_simple_prompt"))
		mcp_reply(q,
			  "{\"messages\":[" SAYS("This is a simple prompt for "
						 "testing.") "]}");
	else if (jv_eq(name, "test_prompt_with_arguments"))
		get_arguments(q);
	else if (jv_eq(name, "test_prompt_with_embedded_resource"))
		get_resource(q);
	else if (jv_eq(name, "test_prompt_with_image"))
		mcp_reply(
			q,
			"{\"messages\":[" USER(
				"{\"type\":\"image\",\"data\":\"" PNG
				"\",\"mimeType\":\"image/png\"}") "," SAYS("Please analyze the image above.") "]}");
	else if (jv_eq(name, "test_input_required_result_prompt"))
		get_asking(q);
	else
		mcp_reply_error(q, RPC_INVALID_PARAMS, "unknown prompt", NULL);
}

static void serve_complete(struct mcp_request *q)
{
	mcp_reply(q, "{\"completion\":{\"values\":[\"paris\",\"park\","
		     "\"party\"],\"total\":3,\"hasMore\":false}}");
}

/* --- the server ----------------------------------------------------------- */

static void on_request(struct mcp_request *q, void *arg)
{
	static const struct {
		const char *method;
		void (*serve)(struct mcp_request *q);
	} table[] = {
		{"tools/call", serve_tools_call},
		{"tools/list", serve_tools_list},
		{"resources/list", serve_resources_list},
		{"resources/templates/list", serve_templates_list},
		{"resources/read", serve_resources_read},
		{"resources/subscribe", serve_subscribe},
		{"resources/unsubscribe", serve_subscribe},
		{"prompts/list", serve_prompts_list},
		{"prompts/get", serve_prompts_get},
		{"completion/complete", serve_complete},
	};

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(q->method, table[i].method) == 0) {
			table[i].serve(q);
			return;
		}
	mcp_reply_error(q, RPC_METHOD_NOT_FOUND, "method not found", NULL);
}

static const struct mcp_server_ops ops = {.request = on_request};

static const struct mcp_info info = {
	.name = "mcp-fixture",
	.title = "Conformance fixture",
	.version = HIB_VERSION,
	.instructions = "Call what you like.",
	.capabilities = "{\"tools\":{\"listChanged\":true},\"prompts\":{"
			"\"listChanged\":true},\"resources\":{\"subscribe\":"
			"true,\"listChanged\":true},\"logging\":{},"
			"\"completions\":{}}",
};

/* --- stdio ---------------------------------------------------------------- */

struct stdio {
	struct mcp_stream *stream;
	struct mcp_conn *conn;
};

static void on_send(const char *msg, size_t len,
		    const struct mcp_request *related, void *arg)
{
	(void)related;
	mcp_stream_send(((struct stdio *)arg)->stream, msg, len);
}

static void on_data(char *data, size_t n, void *arg)
{
	(void)mcp_conn_feed(((struct stdio *)arg)->conn, data, n);
}

static void on_ended(int status, void *arg)
{
	struct stdio *s = arg;

	(void)status;
	mcp_conn_close(s->conn);
	mcp_stream_close(s->stream);
}

static int serve_stdio(void)
{
	static const struct mcp_stream_ops stream_ops = {on_data, on_ended};
	struct stdio s = {0};

	(void)signal(SIGPIPE, SIG_IGN);
	if (mcp_stream_open(loop, STDIN_FILENO, STDOUT_FILENO, &stream_ops, &s,
			    &s.stream) < 0)
		return 1;
	s.conn = mcp_conn_new(server, &(struct mcp_conn_spec){on_send, &s, 0});
	if (s.conn == NULL)
		return 1;
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}

/* --- HTTP ----------------------------------------------------------------- */

static void on_http(struct http_req *r, void *arg)
{
	if (strcmp(http_path(r), "/mcp") == 0)
		mcp_front_request(arg, r, "fixture");
	else
		http_reply(r, 404, NULL, "", 0);
}

static int serve_http(int port)
{
	static const struct http_handler handler = {.request = on_http};
	struct mcp_front *front = mcp_front_serve(loop, server);
	struct http_server *http =
		front ? http_server_new(loop, &handler, front) : NULL;
	struct err e = {0};

	if (http == NULL)
		return 1;
	port = http_server_listen_tcp(http, "127.0.0.1", port, &e);
	if (port < 0) {
		fprintf(stderr, "mcp_fixture: %s\n", e.msg);
		return 1;
	}
	printf("%d\n", port);
	fflush(stdout);
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	over_http = argc > 1 && strcmp(argv[1], "--http") == 0;
	loop = uv_default_loop();
	server = mcp_server_new(loop, &ops, NULL);
	if (server == NULL || mcp_server_open(server, &info) < 0)
		return 1;
	r = over_http ? serve_http(argc > 2 ? atoi(argv[2]) : 0)
		      : serve_stdio();
	mcp_server_free(server);
	return r;
}
