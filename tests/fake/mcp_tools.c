// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_tools.c - The tools of the scriptable MCP server
 *
 * Each is a thing that a server may do, well or badly; the table at the end has
 * them all.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/fake/mcp_server.h"

#define BIG_LINE (11u << 20) /* More than any client takes. */

extern char **environ;

/* Arguments: a copy of a string, or @otherwise. */
static char *text_arg(const struct tool_call *c, const char *name,
		      const char *otherwise)
{
	char *text = jv_strdup(jv_get(c->args, name), NULL);

	return text != NULL ? text : must(strdup(otherwise));
}

static int64_t number_arg(const struct tool_call *c, const char *name,
			  int64_t otherwise)
{
	return jv_int(jv_get(c->args, name), otherwise);
}

static char *xs(size_t n)
{
	char *text = must(malloc(n + 1));

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

/* --- answers ------------------------------------------------------------- */

static void do_echo(const struct tool_call *c)
{
	size_t n = 0;
	autofree char *text = jv_strdup(jv_get(c->args, "message"), &n);

	if (text == NULL)
		answer_failed(c, "message is not a string");
	else
		answer_textn(c->id, c->modern, text, n);
}

static void do_add(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%lld",
		    (long long)(number_arg(c, "a", 0) + number_arg(c, "b", 0)));
}

static void do_args(const struct tool_call *c)
{
	size_t n = 0;
	const char *raw = jv_raw(c->args, &n);

	answer_textn(c->id, c->modern, raw != NULL ? raw : "(none)",
		     raw != NULL ? n : 6);
}

static void do_big(const struct tool_call *c)
{
	size_t n = (size_t)number_arg(c, "bytes", 1 << 20);
	autofree char *text = xs(n);

	answer_textn(c->id, c->modern, text, n);
}

/* Valid JSON in bytes that no writer of ours would make. */
static void do_odd(const struct tool_call *c)
{
	static const char odd[] =
		"{ \"n\" : 1.0E+2, \"big\":12345678901234567890, \"zero\":-0,"
		"\"e\":\"\\u00e9\\/\\ud83d\\ude00\", \"$schema\":{\"a\":[ ]},"
		"\"a\":1,\"A\":2,\t\"\":null}";
	struct jw *w = answer_begin(c->id, c->modern);

	jw_kraw(w, "content", "[{\"type\" : \"text\",\"text\":\"\\u006fdd\"}]");
	jw_kraw(w, "structuredContent", odd);
	answer_end(w);
}

static void do_deep(const struct tool_call *c)
{
	int64_t n = number_arg(c, "depth", 5000);
	struct jw *w = answer_begin(c->id, c->modern);

	jw_kraw(w, "content", "[]");
	jw_key(w, "structuredContent");
	jw_lit(w, "{\"deep\":", 8);
	for (int64_t i = 0; i < n; i++)
		jw_lit(w, "[", 1);
	for (int64_t i = 0; i < n; i++)
		jw_lit(w, "]", 1);
	jw_lit(w, "}", 1);
	answer_end(w);
}

static void do_image(const struct tool_call *c)
{
	struct jw *w = answer_begin(c->id, c->modern);

	jw_kraw(w, "content",
		"[{\"type\":\"image\",\"data\":\"iVBORw0KGgo=\","
		"\"mimeType\":\"image/png\"}]");
	answer_end(w);
}

static void do_fail(const struct tool_call *c)
{
	autofree char *why = text_arg(c, "message", "failed as asked");

	answer_failed(c, "%s", why);
}

static void do_fault(const struct tool_call *c)
{
	autofree char *why = text_arg(c, "message", "fault as asked");

	answer_fault(c->id, (int)number_arg(c, "code", -32603), why,
		     "{\"odd\": 1.50}");
}

static void do_hang(const struct tool_call *c)
{
	(void)c;
}

/* --- time ---------------------------------------------------------------- */

static bool slow_step(struct later *l)
{
	answer_text(l->id, l->modern, "slept %lld", (long long)l->ms);
	return false;
}

static void do_slow(const struct tool_call *c)
{
	later_add(c, number_arg(c, "ms", 1000), 1, slow_step);
}

static bool progress_step(struct later *l)
{
	struct jw *w;

	if (l->token != NULL) {
		w = note_begin("notifications/progress");
		jw_kraw(w, "progressToken", l->token);
		jw_kint(w, "progress", l->step);
		jw_kint(w, "total", l->steps);
		jw_kstr(w, "message", "going on");
		note_end(w);
	}
	if (l->step < l->steps)
		return true;
	answer_text(l->id, l->modern, "%lld steps", (long long)l->steps);
	return false;
}

static void do_progress(const struct tool_call *c)
{
	later_add(c, number_arg(c, "ms", 20), number_arg(c, "steps", 3),
		  progress_step);
}

/* --- lists and logs ------------------------------------------------------ */

static void do_add_tool(const struct tool_call *c)
{
	autofree char *name = text_arg(c, "name", "extra");

	if (!extra_tool_add(name)) {
		answer_failed(c, "no room");
		return;
	}
	list_changed("tools");
	answer_text(c->id, c->modern, "added %s", name);
}

static void do_remove_tool(const struct tool_call *c)
{
	autofree char *name = text_arg(c, "name", "extra");

	if (!extra_tool_remove(name)) {
		answer_failed(c, "there is no %s", name);
		return;
	}
	list_changed("tools");
	answer_text(c->id, c->modern, "removed %s", name);
}

static void do_touch(const struct tool_call *c)
{
	autofree char *uri = text_arg(c, "uri", "test://text");
	struct jw *w = note_begin("notifications/resources/updated");

	jw_kstr(w, "uri", uri);
	note_end(w);
	answer_text(c->id, c->modern, "touched");
}

static void do_log(const struct tool_call *c)
{
	autofree char *text = text_arg(c, "message", "a line of log");
	struct jw *w;

	if (!c->modern || c->log_level != NULL) {
		w = note_begin("notifications/message");
		jw_kstr(w, "level", "info");
		jw_kstr(w, "logger", "fake");
		jw_kstr(w, "data", text);
		note_end(w);
	}
	answer_text(c->id, c->modern, "logged");
}

/* --- questions to the client --------------------------------------------- */

static void do_elicit(const struct tool_call *c)
{
	struct jv schema = jv_get(c->args, "schema");
	autofree char *message = text_arg(c, "message", "Please fill in");
	autojw struct jw w = {0};

	jw_obj(&w);
	if (c->modern)
		jw_kstr(&w, "mode", "form");
	jw_kstr(&w, "message", message);
	if (jv_has(schema))
		jw_kvalue(&w, "requestedSchema", schema);
	else
		jw_kraw(&w, "requestedSchema",
			"{\"type\":\"object\",\"properties\":{\"name\":"
			"{\"type\":\"string\"}},\"required\":[\"name\"]}");
	jw_obj_end(&w);
	ask_client(c, "elicitation/create", w.buf);
}

static void do_elicit_url(const struct tool_call *c)
{
	autofree char *url = text_arg(c, "url", "https://example.org/login");
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "mode", "url");
	jw_kstr(&w, "message", "Please log in");
	jw_kstr(&w, "elicitationId", "e1");
	jw_kstr(&w, "url", url);
	jw_obj_end(&w);
	ask_client(c, "elicitation/create", w.buf);
}

static void do_sample(const struct tool_call *c)
{
	ask_client(c, "sampling/createMessage",
		   "{\"maxTokens\":100,\"messages\":[{\"role\":\"user\","
		   "\"content\":{\"type\":\"text\",\"text\":\"hi\"}}]}");
}

static void do_roots(const struct tool_call *c)
{
	ask_client(c, "roots/list", NULL);
}

/* --- about the process --------------------------------------------------- */

static void answer_strings(const struct tool_call *c, char **v)
{
	autojw struct jw text = {0};

	for (; *v != NULL; v++) {
		jw_lit(&text, *v, strlen(*v));
		jw_lit(&text, "\n", 1);
	}
	answer_textn(c->id, c->modern, text.len > 0 ? text.buf : "", text.len);
}

static void do_env(const struct tool_call *c)
{
	autofree char *name = text_arg(c, "name", "");
	const char *value = getenv(name);

	if (*name == '\0')
		answer_strings(c, environ);
	else
		answer_text(c->id, c->modern, "%s", value ? value : "(unset)");
}

static void do_argv(const struct tool_call *c)
{
	answer_strings(c, server_argv());
}

static void do_cwd(const struct tool_call *c)
{
	autofree char *cwd = getcwd(NULL, 0);

	answer_text(c->id, c->modern, "%s", cwd != NULL ? cwd : "?");
}

static void do_pid(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%d", (int)getpid());
}

static void do_uid(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%u", (unsigned)geteuid());
}

static void do_caps(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%s", c->caps ? c->caps : "(none)");
}

static void do_count(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%lld", (long long)calls_seen());
}

/* Open descriptors: a line "NUMBER TARGET" for each. */
static void do_fds(const struct tool_call *c)
{
	autojw struct jw text = {0};
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	char target[512], line[600];

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target,
				       sizeof(target));

		if (n < 0 || strtol(d->d_name, NULL, 10) == dirfd(dir))
			continue;
		n = snprintf(line, sizeof(line), "%s %.*s\n", d->d_name, (int)n,
			     target);
		jw_lit(&text, line, (size_t)n);
	}
	if (dir != NULL)
		closedir(dir);
	answer_textn(c->id, c->modern, text.len > 0 ? text.buf : "", text.len);
}

static void do_read(const struct tool_call *c)
{
	autofree char *path = text_arg(c, "path", "");
	autojw struct jw text = {0};
	FILE *f = fopen(path, "re");
	char buf[4096];
	size_t n;

	if (f == NULL) {
		answer_failed(c, "%s: %s", path, strerror(errno));
		return;
	}
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		jw_lit(&text, buf, n);
	fclose(f);
	answer_textn(c->id, c->modern, text.len > 0 ? text.buf : "", text.len);
}

static void do_write(const struct tool_call *c)
{
	autofree char *path = text_arg(c, "path", "");
	autofree char *text = text_arg(c, "text", "");
	FILE *f = fopen(path, "we");
	bool written = f != NULL && fputs(text, f) >= 0;

	if (f != NULL && fclose(f) != 0)
		written = false;
	if (written)
		answer_text(c->id, c->modern, "written");
	else
		answer_failed(c, "%s: %s", path, strerror(errno));
}

/* --- misbehaviour -------------------------------------------------------- */

static void do_crash(const struct tool_call *c)
{
	int sig = (int)number_arg(c, "signal", 0);

	flush();
	if (sig == 0)
		_exit((int)number_arg(c, "code", 1));
	(void)signal(sig, SIG_DFL);
	raise(sig);
}

/* It goes without a word while its pipes stay open. */
static void do_close_stdout(const struct tool_call *c)
{
	(void)c;
	flush();
	close(STDOUT_FILENO);
}

static void do_noise(const struct tool_call *c)
{
	static const char noise[] = "this is no JSON\n\n[1,2]\n{\"half\":\n";
	int64_t n = number_arg(c, "lines", 1);

	for (int64_t i = 1; i <= n; i++) {
		put(noise, sizeof(noise) - 1);
		fprintf(stderr, "noise %lld\n", (long long)i);
	}
	answer_text(c->id, c->modern, "noisy");
}

static void do_stderr(const struct tool_call *c)
{
	autofree char *text = text_arg(c, "text", "noise");
	int64_t n = number_arg(c, "times", 1);

	for (int64_t i = 0; i < n; i++)
		fprintf(stderr, "%s\n", text);
	answer_text(c->id, c->modern, "said");
}

/* A line longer than any client takes, then the answer. */
static void do_bigline(const struct tool_call *c)
{
	size_t n = (size_t)number_arg(c, "bytes", BIG_LINE);
	autofree char *text = xs(n);

	put(text, n);
	put("\n", 1);
	answer_text(c->id, c->modern, "long");
}

/* A line as it is, before the answer. */
static void do_raw(const struct tool_call *c)
{
	autofree char *line = text_arg(c, "line", "");

	put(line, strlen(line));
	put("\n", 1);
	answer_text(c->id, c->modern, "sent");
}

static void do_twice(const struct tool_call *c)
{
	answer_text("\"nobody asked\"", c->modern, "stray");
	answer_text(c->id, c->modern, "first");
	answer_text(c->id, c->modern, "second");
}

static void do_fork(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%d", (int)start_sleeper(true));
}

static void do_child(const struct tool_call *c)
{
	answer_text(c->id, c->modern, "%d", (int)start_sleeper(false));
}

#define TEXT(name)   "\"" name "\":{\"type\":\"string\"}"
#define NUMBER(name) "\"" name "\":{\"type\":\"integer\"}"

const struct tool tools[] = {
	{"echo", "Say the message", TEXT("message"), do_echo},
	{"add", "Add two numbers", NUMBER("a") "," NUMBER("b"), do_add},
	{"args", "The arguments as they came", "", do_args},
	{"big", "A text of so many bytes", NUMBER("bytes"), do_big},
	{"odd", "Odd but valid bytes", "", do_odd},
	{"deep", "A value nested so deep", NUMBER("depth"), do_deep},
	{"image", "An image", "", do_image},
	{"fail", "A result that is an error", TEXT("message"), do_fail},
	{"fault", "A JSON-RPC error", NUMBER("code"), do_fault},
	{"hang", "No answer", "", do_hang},
	{"slow", "An answer after a while", NUMBER("ms"), do_slow},
	{"progress", "Steps, then an answer", NUMBER("steps") "," NUMBER("ms"),
	 do_progress},
	{"add_tool", "One tool more", TEXT("name"), do_add_tool},
	{"remove_tool", "One tool less", TEXT("name"), do_remove_tool},
	{"touch", "A resource has changed", TEXT("uri"), do_touch},
	{"log", "A log message", TEXT("message"), do_log},
	{"elicit", "Ask for a form", TEXT("message"), do_elicit},
	{"elicit_url", "Ask to open a URL", TEXT("url"), do_elicit_url},
	{"sample", "Ask the client's model", "", do_sample},
	{"roots", "Ask for the roots", "", do_roots},
	{"env", "The environment", TEXT("name"), do_env},
	{"argv", "The arguments of the process", "", do_argv},
	{"cwd", "The working directory", "", do_cwd},
	{"pid", "The number of the process", "", do_pid},
	{"uid", "Its user", "", do_uid},
	{"caps", "What the client can do", "", do_caps},
	{"count", "Calls seen so far", "", do_count},
	{"fds", "Open descriptors", "", do_fds},
	{"read", "Read a file", TEXT("path"), do_read},
	{"write", "Write a file", TEXT("path") "," TEXT("text"), do_write},
	{"crash", "End in a bad way", NUMBER("signal") "," NUMBER("code"),
	 do_crash},
	{"close_stdout", "Say nothing any more", "", do_close_stdout},
	{"noise", "Lines that are no messages", NUMBER("lines"), do_noise},
	{"stderr", "Lines on stderr", TEXT("text") "," NUMBER("times"),
	 do_stderr},
	{"bigline", "A line that is too long", NUMBER("bytes"), do_bigline},
	{"raw", "A line as it is", TEXT("line"), do_raw},
	{"twice", "Answer twice", "", do_twice},
	{"fork", "Leave a process behind", "", do_fork},
	{"child", "Start a child", "", do_child},
	{0},
};
