// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_acp.c - Any bytes from an agent: the session goes on, or it ends
 *
 * The whole guest but its processes: proc.h is played by this file, so that an
 * input is what an agent writes.  If the first byte is odd the agent has said
 * its part of the handshake well, and a prompt is open.  After each input the
 * agent exits; then the session must have come to an end that the log states,
 * with every event stored and nothing waiting.  What the agent has run, its
 * terminals and files, does nothing and ends with it.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/lines.h"
#include "core/log.h"
#include "guest/guest.h"
#include "guest/proc.h"
#include "guest/session.h"

#define LINE_MAX_HERE 65536
#define INITIALIZED                                                        \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":1," \
	"\"agentCapabilities\":{\"loadSession\":true}}}\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the process that never was ------------------------------------------- */

struct proc {
	const struct proc_events *ev;
	void *arg;
};

static struct proc *running; /* NULL: none. */

int proc_spawn(uv_loop_t *loop, const struct proc_spec *spec,
	       const struct proc_events *ev, void *arg, struct proc **out,
	       struct err *e)
{
	struct proc *p = calloc(1, sizeof(*p));

	(void)loop;
	(void)e;
	assert(p != NULL && spec->join == running);
	*p = (struct proc){ev, arg};
	if (running == NULL)
		running = p;
	*out = p;
	return 0;
}

pid_t proc_pid(const struct proc *p)
{
	(void)p;
	return 0; /* No process of this machine. */
}

int proc_write(struct proc *p, const char *data, size_t n)
{
	assert(p != running || (n > 0 && data[n - 1] == '\n'));
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
	(void)signal;
	(void)p;
}

void proc_kill_all(struct proc *p)
{
	(void)p;
}

void proc_abandon(struct proc *p)
{
	if (p == running)
		running = NULL;
	free(p);
}

static void agent_exits(void)
{
	const struct proc_end end = {.code = 1};
	struct proc *p = take_ptr(running);

	p->ev->exit(p, &end, p->arg);
	free(p);
}

/* --- the guest ------------------------------------------------------------ */

static const struct guest_options options = {.state = "/tmp", .run = "/tmp"};
static struct guest guest;

static void guest_up(void)
{
	char dir[] = "/tmp/hib-fuzz-XXXXXX", path[64];
	struct err e = {0};

	log_set_level(LOG_ERROR);
	assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/guest.db", dir);
	guest.loop = uv_default_loop();
	guest.opt = &options;
	guest.state = GUEST_SERVING;
	guest.max_sessions = 1;
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

/* Until all that was made is stored and has had its effects. */
static void settle(struct session *s)
{
	do {
		journal_hub_flush(&guest.hub);
		uv_run(guest.loop, UV_RUN_NOWAIT);
		journal_hub_flush(&guest.hub);
	} while (running == NULL ? !session_is_settled(s)
				 : store_queued(guest.store) > 0);
}

static struct call *call_of_nobody(void)
{
	struct call *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	c->params.i = -1;
	return c;
}

static struct session *create(void)
{
	static const char text[] = "{\"command\":\"agent\"}";
	autojson struct json j = {0};
	struct session_spec spec = {.agent = {.i = -1},
				    .agent_name = "fuzz",
				    .cwd = "/",
				    .create_hash = "",
				    .config = {.i = -1},
				    .mcp = {.i = -1},
				    .tags = {.i = -1}};
	struct session *s;
	struct err e = {0};

	id_new(spec.id, "ses");
	assert(json_parse(&j, text, strlen(text), &e) == 0);
	assert(launch_new(json_root(&j), (struct jv){.i = -1}, "/",
			  &spec.launch, &e) == 0);
	assert(session_create(&guest, &spec, call_of_nobody(), &e) == 0);
	assert(session_find(&guest, spec.id, &s, &e) == 0);
	return s;
}

static int feed_line(char *line, size_t len, void *arg)
{
	(void)arg;
	running->ev->line(running, line, len, running->arg);
	return 0;
}

static void feed(const void *data, size_t size)
{
	struct lines l;
	char *copy = malloc(size + 1);

	assert(copy != NULL);
	memcpy(copy, data, size);
	lines_init(&l, LINE_MAX_HERE);
	if (lines_feed(&l, copy, size, feed_line, NULL) < 0)
		running->ev->overlong(running, running->arg);
	lines_done(&l);
	free(copy);
}

/* The agent's part of a good start, and a prompt. */
static void open_prompt(struct session *s)
{
	static const char said[] = INITIALIZED
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"sessionId\":"
		"\"s\"}}\n";
	static const char content[] = "[{\"type\":\"text\",\"text\":\"x\"}]";
	autojson struct json j = {0};
	struct prompt_spec p = {0};
	struct err e = {0};

	feed(said, sizeof(said) - 1);
	assert(json_parse(&j, content, strlen(content), &e) == 0);
	p.content = json_root(&j);
	assert(session_prompt(s, &p, call_of_nobody(), &e) == 0);
	settle(s);
}

/* The prompt is answered, the agent ends, and the next one is asked to load. */
static void open_load(struct session *s)
{
	static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":"
				     "{\"stopReason\":\"end_turn\"}}\n";
	struct session_wake wake = {0};
	struct err e = {0};

	feed(answer, sizeof(answer) - 1);
	settle(s);
	agent_exits();
	settle(s);
	assert(session_resume(s, &wake, call_of_nobody(), &e) == 0);
	running->ev->started(running, running->arg);
	settle(s);
	feed(INITIALIZED, sizeof(INITIALIZED) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session *s;

	if (guest.store == NULL)
		guest_up();
	if (size == 0)
		return 0;
	s = create();
	running->ev->started(running, running->arg);
	settle(s); /* It hears of nothing that is not stored. */
	if (data[0] % 4 > 0)
		open_prompt(s);
	if (data[0] % 4 > 1)
		open_load(s);
	feed(data + 1, size - 1);
	settle(s);
	while (running != NULL) {
		agent_exits();
		settle(s);
	}
	assert(!session_is_live(s));
	session_abandon(s);
	uv_run(guest.loop, UV_RUN_NOWAIT);
	return 0;
}
