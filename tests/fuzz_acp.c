// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_acp.c - Any bytes from an agent: the session goes on, or says why not
 *
 * The whole guest but its processes: proc.h is played by this file, so that an
 * input is what an agent writes.  The first byte says how far the agent has come
 * by good behaviour: not at all, to an open prompt, or to the loading of its
 * session in a second process; and what it offered and was asked to be set to.
 *
 * In the lines that follow $P and $R stand for the ids of the last prompt and of
 * the last request that the agent was sent.  A line that begins with @ is for
 * the rest of the world instead:
 *
 *	@s                    all is stored, what was killed ends
 *	@e                    a program that serves the agent says x and ends
 *	@session.update {..}  a call of the host about the session
 *
 * In the end the session still answers a prompt, if it is live; if it has
 * failed, that is for a reason that an agent can give; every event is stored and
 * could travel; nothing waits; and no list has outgrown its limit.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/lines.h"
#include "core/log.h"
#include "guest/calls.h"
#include "guest/limits.h"
#include "guest/proc.h"
#include "guest/session_impl.h"

#define LINE_MAX_HERE 65536
#define PROCS_MAX     (2 + TERMINALS_MAX + FILE_OPS_MAX) /* And a dying agent. */

enum { FLAG_MODE = 3, FLAG_WISHES = 4, FLAG_OFFERS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the processes that never were ---------------------------------------- */

struct proc {
	TAILQ_ENTRY(proc) link;
	const struct proc_events *ev;
	void *arg;
	bool agent; /* Else it serves one. */
	bool started, killed;
};

static TAILQ_HEAD(proc_list, proc) procs = TAILQ_HEAD_INITIALIZER(procs);
static unsigned n_procs;
static int64_t last_prompt, last_request; /* Ids that the agent was sent. */

int proc_spawn(uv_loop_t *loop, const struct proc_spec *spec,
	       const struct proc_events *ev, void *arg, struct proc **out,
	       struct err *e)
{
	struct proc *p = calloc(1, sizeof(*p));

	(void)loop;
	(void)e;
	assert(p != NULL && ++n_procs <= PROCS_MAX);
	p->ev = ev;
	p->arg = arg;
	p->agent = spec->out == PROC_STDOUT_LINES;
	TAILQ_INSERT_TAIL(&procs, p, link);
	*out = p;
	return 0;
}

bool proc_is_ending(const struct proc *p)
{
	(void)p;
	return false;
}

pid_t proc_pid(const struct proc *p)
{
	(void)p;
	return 0; /* No process of this machine. */
}

int proc_write(struct proc *p, const char *data, size_t n)
{
	autojson struct json j = {0};
	struct jv m;

	assert(n > 0);
	if (!p->agent)
		return 0;
	assert(data[n - 1] == '\n' && memchr(data, '\n', n - 1) == NULL);
	assert(json_parse(&j, data, n, NULL) == 0);
	m = json_root(&j);
	if (jv_has(jv_get(m, "method")) && jv_has(jv_get(m, "id")))
		last_request = jv_int(jv_get(m, "id"), -1);
	if (jv_eq(jv_get(m, "method"), "session/prompt"))
		last_prompt = last_request;
	return 0;
}

size_t proc_queued(const struct proc *p)
{
	(void)p;
	return 0;
}

void proc_close_stdin(struct proc *p)
{
	(void)p;
}

void proc_pause(struct proc *p)
{
	(void)p;
}

void proc_resume(struct proc *p)
{
	(void)p;
}

void proc_kill(struct proc *p, int signal)
{
	p->killed |= signal == SIGKILL || signal == SIGTERM;
}

void proc_kill_all(struct proc *p)
{
	p->killed = true;
}

static void forget(struct proc *p)
{
	TAILQ_REMOVE(&procs, p, link);
	n_procs--;
	free(p);
}

void proc_abandon(struct proc *p)
{
	forget(p);
}

/* No agent of this test outlives the program. */
bool proc_may_hand_over(const struct proc *p)
{
	(void)p;
	return false;
}

int proc_hand_over(struct proc *p, struct jw *w, struct err *e)
{
	(void)p, (void)w;
	return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED, "not in this test");
}

void proc_leave_behind(struct jv from)
{
	(void)from;
}

int proc_take_over(uv_loop_t *loop, struct jv from,
		   const struct proc_events *ev, void *arg, struct proc **out,
		   struct err *e)
{
	(void)loop, (void)from, (void)ev, (void)arg, (void)out;
	return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED, "not in this test");
}

static void end_proc(struct proc *p, int code, int signal)
{
	const struct proc_end end = {.code = code, .signal = signal};
	const struct proc_events *ev = p->ev;
	void *arg = p->arg;

	ev->exit(p, &end, arg);
	forget(p);
}

static struct proc *find_proc(bool agent)
{
	struct proc *p;

	TAILQ_FOREACH (p, &procs, link)
		if (p->agent == agent)
			return p;
	return NULL;
}

/* Return: whether there was one. */
static bool end_killed(void)
{
	struct proc *p;

	TAILQ_FOREACH (p, &procs, link)
		if (p->killed) {
			end_proc(p, 0, SIGKILL);
			return true;
		}
	return false;
}

static bool start_new(void)
{
	struct proc *p;

	TAILQ_FOREACH (p, &procs, link)
		if (!p->started) {
			p->started = true;
			if (p->ev->started != NULL)
				p->ev->started(p, p->arg);
			return true;
		}
	return false;
}

/* A program that serves the agent has done its work. */
static void end_servant(void)
{
	struct proc *p = find_proc(false);
	char text[] = "x";

	if (p == NULL)
		return;
	if (p->ev->bytes != NULL)
		p->ev->bytes(p, text, 1, p->arg);
	end_proc(p, 0, 0);
}

/* --- the guest ------------------------------------------------------------ */

static const struct guest_options options = {
	.state = "/tmp", .run = "/tmp", .fuse_fd = -1};
static struct guest guest;

static char dir[256]; /* Of guest.db. */

static void remove_dir(void)
{
	char command[sizeof(dir) + 8];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert(system(command) == 0);
}

static void guest_up(void)
{
	const char *tmp = getenv("TMPDIR"); /* Best one in memory. */
	char path[300];
	struct err e = {0};

	log_set_level(LOG_ERROR);
	snprintf(dir, sizeof(dir), "%s/hib-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	assert(mkdtemp(dir) != NULL);
	atexit(remove_dir);
	snprintf(path, sizeof(path), "%s/guest.db", dir);
	guest.loop = uv_default_loop();
	guest.opt = &options;
	guest.state = GUEST_SERVING;
	guest.max_sessions = LIVE_SESSIONS_DEFAULT;
	TAILQ_INIT(&guest.sessions);
	TAILQ_INIT(&guest.starting);
	TAILQ_INIT(&guest.freezing);
	id_new(guest.vm, "vm");
	assert(store_open(guest.loop, path, STORE_GUEST, &guest.store, &e) ==
	       0);
	assert(reader_open(path, &guest.reader, &e) == 0);
	guest.outbox = outbox_new(guest.reader);
	assert(guest.outbox != NULL);
	journal_hub_init(&guest.hub, guest.store);
}

static bool is_quiet(void)
{
	struct session *s;

	TAILQ_FOREACH (s, &guest.sessions, link)
		if (!journal_is_quiet(&s->journal))
			return false;
	return true;
}

/* Until all that was made is stored and has had its effects. */
static void store_all(void)
{
	do {
		journal_hub_flush(&guest.hub);
		uv_run(guest.loop, UV_RUN_NOWAIT);
		journal_hub_flush(&guest.hub);
	} while (!is_quiet());
}

/* The same, and what follows for processes, and so on. */
static void settle(void)
{
	do
		store_all();
	while (end_killed() || start_new());
}

static struct call *call_of_nobody(void)
{
	struct call *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	c->params.i = -1;
	return c;
}

static struct session *create(unsigned flags)
{
	static const char text[] = "{\"command\":\"agent\"}";
	static const char wishes[] =
		"{\"model\":\"m\",\"mode\":\"b\",\"options\":{\"o\":true}}";
	autojson struct json j = {0}, w = {0};
	struct session_spec spec = {.agent = {.i = -1},
				    .agent_name = "fuzz",
				    .cwd = "/",
				    .create_hash = "",
				    .config = {.i = -1},
				    .tags = {.i = -1},
				    .tools = {.i = -1}};
	struct session *s;
	struct err e = {0};

	id_new(spec.id, "ses");
	assert(json_parse(&j, text, strlen(text), &e) == 0);
	assert(json_parse(&w, wishes, strlen(wishes), &e) == 0);
	if (flags & FLAG_WISHES)
		spec.config = json_root(&w);
	assert(launch_new(json_root(&j), (struct jv){.i = -1}, "/",
			  &spec.launch, &e) == 0);
	assert(session_create(&guest, &spec, call_of_nobody(), &e) == 0);
	assert(session_find(&guest, spec.id, &s, &e) == 0);
	return s;
}

/* --- what is said --------------------------------------------------------- */

/* To the agent that runs; one that was killed is not listened to. */
static void agent_says(const char *text, size_t len)
{
	struct proc *p = find_proc(true);
	char *copy;

	if (p == NULL || !p->started)
		return;
	copy = strndup(text, len);
	assert(copy != NULL);
	p->ev->line(p, copy, strlen(copy), p->arg);
	free(copy);
}

static void answer(int64_t id, const char *result)
{
	char line[1024];
	int n = snprintf(line, sizeof(line),
			 "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":%s}",
			 (long long)id, result);

	agent_says(line, (size_t)n);
	settle();
}

/* A line with $P and $R. */
static void agent_says_filled(const char *line, size_t len)
{
	autojw struct jw w = {0};
	char id[24];

	for (size_t i = 0; i < len; i++) {
		bool prompt = i + 1 < len && memcmp(line + i, "$P", 2) == 0;

		if (!prompt && (i + 1 >= len || memcmp(line + i, "$R", 2))) {
			jw_lit(&w, line + i, 1);
			continue;
		}
		snprintf(id, sizeof(id), "%lld",
			 (long long)(prompt ? last_prompt : last_request));
		jw_lit(&w, id, strlen(id));
		i++;
	}
	if (w.len > 0)
		agent_says(w.buf, w.len);
}

/* "@session.cancel {..}": the session's id is put in front of the params.
 * Calls that make or remove sessions would leave nothing to look at. */
static void host_calls(const struct session *s, char *line)
{
	char *params = strchr(line, ' ');
	struct call *c;
	int n;

	if (params != NULL)
		*params++ = '\0';
	if (strncmp(line, "session.", 8) != 0 ||
	    strcmp(line, "session.purge") == 0 ||
	    strcmp(line, "session.create") == 0)
		return;
	c = call_of_nobody();
	n = asprintf(&c->body, "{\"session\":\"%s\"%s%s}", s->id,
		     params && params[0] == '{' && params[1] == '"' ? "," : "",
		     params && params[0] == '{' ? params + 1 : "");
	assert(n > 0);
	if (params && params[0] == '{' && params[1] == '"')
		c->body[n - 1] = '\0'; /* The params have their own. */
	if (json_parse(&c->json, c->body, strlen(c->body), NULL) < 0 ||
	    !jv_is(json_root(&c->json), JV_OBJECT) ||
	    c->json.depth > CALL_DEPTH_MAX) {
		json_done(&c->json);
		free(c->body);
		free(c);
		return;
	}
	c->params = json_root(&c->json);
	calls_dispatch(&guest, line, c);
}

static int feed_line(char *line, size_t len, void *arg)
{
	if (len == 0 || line[0] != '@')
		agent_says_filled(line, len);
	else if (strcmp(line, "@s") == 0)
		settle();
	else if (strcmp(line, "@e") == 0)
		end_servant();
	else
		host_calls(arg, line + 1);
	return 0;
}

static void feed(struct session *s, const void *data, size_t size)
{
	struct proc *agent;
	struct lines l;
	char *copy = malloc(size + 1);

	assert(copy != NULL);
	memcpy(copy, data, size);
	lines_init(&l, LINE_MAX_HERE);
	if (lines_feed(&l, copy, size, feed_line, s) < 0 &&
	    (agent = find_proc(true)) != NULL)
		agent->ev->overlong(agent, agent->arg);
	lines_done(&l);
	free(copy);
}

/* --- good behaviour ------------------------------------------------------- */

static bool is_in_turn(const struct session *s)
{
	return s->state == SESSION_RUNNING || s->state == SESSION_WAITING;
}

static void begin_prompt(struct session *s)
{
	static const char content[] = "[{\"type\":\"text\",\"text\":\"x\"}]";
	autojson struct json j = {0};
	struct prompt_spec p = {0};
	struct err e = {0};

	assert(json_parse(&j, content, strlen(content), &e) == 0);
	p.content = json_root(&j);
	assert(session_prompt(s, &p, call_of_nobody(), &e) == 0);
	settle();
	assert(is_in_turn(s));
}

static void initialize(void)
{
	answer(last_request, "{\"protocolVersion\":1,\"agentCapabilities\":"
			     "{\"loadSession\":true}}");
}

/* The agent's part of a good start, and a prompt. */
static void open_prompt(struct session *s, unsigned flags)
{
	initialize();
	answer(last_request,
	       flags & FLAG_OFFERS
		       ? "{\"sessionId\":\"s\",\"modes\":{\"currentModeId\":"
			 "\"a\",\"availableModes\":[{\"id\":\"a\"},{\"id\":"
			 "\"b\"}]},\"configOptions\":[{\"id\":\"m\","
			 "\"category\":\"model\",\"type\":\"select\","
			 "\"currentValue\":\"n\",\"options\":[{\"value\":"
			 "\"m\"}]},{\"id\":\"o\",\"type\":\"boolean\"}]}"
		       : "{\"sessionId\":\"s\"}");
	for (int i = 0; i < 3 && s->state == SESSION_STARTING; i++)
		answer(last_request, "null");
	if (s->state == SESSION_IDLE)
		begin_prompt(s);
}

/* The prompt is answered, the agent ends, and the next one is asked to load. */
static void open_load(struct session *s)
{
	struct session_wake wake = {0};
	struct err e = {0};

	if (!is_in_turn(s))
		return;
	answer(last_prompt, "{\"stopReason\":\"end_turn\"}");
	end_proc(find_proc(true), 1, 0);
	settle();
	assert(session_resume(s, &wake, call_of_nobody(), &e) == 0);
	settle();
	initialize();
}

/* --- what must hold ------------------------------------------------------- */

static void check_bounds(const struct session *s)
{
	assert(s->n_asks <= REQUESTS_MAX);
	assert(s->n_queued <= PROMPT_QUEUE_MAX);
	assert(s->n_config_jobs <= CONFIG_JOBS_MAX);
}

/* Every turn ends when its prompt is answered, and another prompt is taken;
 * unless what it has said before is held against it. */
static void check_answers(struct session *s)
{
	for (int i = 0; i < 2 + PROMPT_QUEUE_MAX && is_in_turn(s); i++)
		answer(last_prompt, "{\"stopReason\":\"end_turn\"}");
	assert(!is_in_turn(s));
	if (s->state != SESSION_IDLE)
		return;
	begin_prompt(s);
	answer(last_prompt, "null");
	assert(s->state == SESSION_IDLE);
}

/* The first two are of a session that was created with wishes. */
static void check_reason(struct session *s, unsigned flags)
{
	static const char *const reasons[] = {
		"invalid_argument",    "capability_unsupported",
		"agent_auth_required", "agent_protocol_error",
		"agent_exited",	       "no_progress"};
	const char *args[] = {s->id, NULL};
	autofree char *code = NULL;

	if (s->state != SESSION_FAILED)
		return;
	assert(reader_value(guest.reader,
			    "SELECT json_extract(last_error,'$.code') "
			    "FROM session WHERE id=?1",
			    args, &code, NULL) == 1);
	for (size_t i = flags & FLAG_WISHES ? 0 : 2; i < ARRAY_LEN(reasons);
	     i++)
		if (strcmp(code, reasons[i]) == 0)
			return;
	fprintf(stderr, "failed as %s\n", code);
	abort();
}

static int check_event(const struct event *ev, void *arg)
{
	struct event *again;
	struct err e = {0};

	(void)arg;
	if (event_parse(ev->line, ev->len - 1, &again, &e) < 0) {
		fprintf(stderr, "%s: %s\n", e.msg, ev->line);
		abort();
	}
	free(again);
	return 0;
}

static void check_log(const struct session *s)
{
	const struct event_query q = {.session = s->id};
	struct err e = {0};

	assert(reader_each_event(guest.reader, &q, check_event, NULL, &e) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session *s;
	struct proc *p;

	if (guest.store == NULL)
		guest_up();
	if (size == 0)
		return 0;
	last_prompt = last_request = -1;
	s = create(data[0]);
	settle();
	if ((data[0] & FLAG_MODE) > 0)
		open_prompt(s, data[0]);
	if ((data[0] & FLAG_MODE) > 1)
		open_load(s);

	feed(s, data + 1, size - 1);
	check_bounds(s);
	settle();
	check_answers(s);
	check_reason(s, data[0]);
	while ((p = find_proc(true)) != NULL) {
		end_proc(p, 1, 0);
		settle();
	}
	assert(!session_is_live(s) && session_is_settled(s));
	check_reason(s, data[0]);
	check_log(s);
	session_abandon(s);
	while (n_procs > 0)
		end_servant();
	uv_run(guest.loop, UV_RUN_NOWAIT);
	return 0;
}
