// SPDX-License-Identifier: Apache-2.0
/*
 * hostile_guest.c - A guest daemon that means harm to its host
 *
 * It stands in the place of hib-guest, with the true one beside it as
 * hib-guest.true.  What it does is one word in /opt/agents/hostile/<host name>
 * (HIB_HOME/agents/hostile on the host); without such a file, and for all that
 * is no daemon, it becomes the true one.
 *
 * It listens as a guest does.  A conduct of raw bytes says those on each
 * connection, again and again, and never reads.  The others speak HTTP/2, behave
 * until they are up, and do their harm where their row in the table says so.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "core/h2.h"
#include "core/id.h"
#include "core/json.h"
#include "core/unixsock.h"

#define TRUE_GUEST "/opt/hib/hib-guest.true"
#define WORDS	   "/opt/agents/hostile/"
#define RUN	   "/hib/run/"
#define QUEUE	   (1u << 20) /* Bytes that wait for the host to take them. */
#define LONG	   (100u << 20)
#define FAR	   INT64_C(4611686018427387904)
#define BURNERS	   4
#define FORKS	   400
#define PIECE	   65536

/* A stream and what it has been asked; or of ours, to the host. */
struct ask {
	struct h2_stream *stream;
	char path[H2_PATH_MAX + 1];
	struct jw body;
	size_t left; /* Bytes still to be said. */
};

struct conduct {
	const char *word;
	/* Bytes that are said instead of HTTP/2, the second ones for ever. */
	bool raw;
	const char *first, *then;
	size_t first_len, then_len;
	bool host; /* They are said on the host stream. */
	/* What it does at a point; NULL: as it should. */
	void (*at_start)(void);
	void (*on_hello)(struct ask *a, struct jv params);
	void (*on_sync)(struct ask *a);
	void (*on_call)(struct ask *a, const char *method);
	void (*on_exec)(struct ask *a, struct jv in);
	void (*on_host)(struct h2 *h2);
};

static uv_loop_t loop;
static const struct conduct *conduct;
static char vm[ID_MAX], flooded[ID_MAX], ran[ID_MAX];
static int64_t said; /* Events of the flooded session. */
static char noise[PIECE];

/* --- what a good guest says ------------------------------------------------- */

static void reply(struct ask *a, const char *text)
{
	h2_reply(a->stream, 200, text, strlen(text));
}

static bool is(const char *word);

static void hello_with(struct ask *a, const char *sessions)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kint(&w, "version", 1);
	jw_kint(&w, "min_version", 1);
	jw_kstr(&w, "vm", vm);
	jw_kstr(&w, "boot_id", "a \"boot\"\n\033[31m");
	jw_kbool(&w, "started", false);
	jw_kbool(&w, "frozen", is("frozen"));
	jw_kbool(&w, "paused", is("paused") || is("never-thaws"));
	jw_kraw(&w, "sessions", sessions);
	jw_obj_end(&w);
	reply(a, w.buf);
}

static void answer(struct ask *a, const char *method)
{
	reply(a, strcmp(method, "freeze") == 0 ? "{\"last_seq\":{}}" : "{}");
	if (strcmp(method, "poweroff") == 0)
		_exit(0);
}

/* --- harm: floods ----------------------------------------------------------- */

static void say_event(struct h2_stream *s)
{
	char line[1024];
	int n;

	if (++said == 1)
		n = snprintf(line, sizeof(line),
			     "{\"v\":1,\"session\":\"%s\",\"seq\":1,"
			     "\"epoch\":1,\"ts\":1,\"type\":"
			     "\"session.created\",\"data\":{\"vm\":\"%s\","
			     "\"agent\":\"echo\",\"cwd\":\"/\","
			     "\"create_hash\":\"00\",\"root\":\"%s\"}}\n",
			     flooded, vm, flooded);
	else
		n = snprintf(line, sizeof(line),
			     "{\"v\":1,\"session\":\"%s\",\"seq\":%lld,"
			     "\"epoch\":1,\"ts\":1,\"type\":"
			     "\"agent.stderr\",\"data\":{\"text\":\"x\"}}\n",
			     flooded, (long long)said);
	h2_write(s, line, (size_t)n);
}

static void flood(struct ask *a)
{
	while (h2_queued(a->stream) < QUEUE)
		say_event(a->stream);
}

static void flood_anew(struct ask *a)
{
	id_new(flooded, "ses");
	said = 0;
	h2_respond(a->stream, 200);
	flood(a);
}

static void noise_on_sync(struct ask *a)
{
	h2_respond(a->stream, 200);
	h2_write(a->stream, noise, PIECE);
}

/* A line that never ends. */
static void line_on_drained(struct ask *a)
{
	while (h2_queued(a->stream) < QUEUE)
		h2_write(a->stream, noise, PIECE);
}

static void line_on_sync(struct ask *a)
{
	h2_respond(a->stream, 200);
	line_on_drained(a);
}

/* --- harm: lies ------------------------------------------------------------- */

static void lie_on_hello(struct ask *a, struct jv params)
{
	char text[512], id[ID_MAX];

	(void)params;
	id_new(id, "ses");
	snprintf(text, sizeof(text),
		 "[{\"id\":\"%s\",\"last_seq\":%lld,\"chain\":1},"
		 "{\"id\":\"%s\",\"last_seq\":-9},{\"id\":7},null,{}]",
		 id, (long long)FAR, id);
	hello_with(a, text);
}

static void stranger_on_hello(struct ask *a, struct jv params)
{
	(void)params;
	id_new(vm, "vm");
	hello_with(a, "[]");
}

static void lie_on_call(struct ask *a, const char *method)
{
	char text[256], id[ID_MAX];

	id_new(id, "ses");
	if (strcmp(method, "freeze") == 0)
		snprintf(text, sizeof(text), "{\"last_seq\":{\"%s\":%lld}}", id,
			 (long long)FAR);
	else
		snprintf(text, sizeof(text),
			 "{\"session\":\"%s\",\"turn\":7,\"last_seq\":%lld}",
			 id, (long long)FAR);
	reply(a, text);
}

/* A program that writes for ever, and of which far more is said to come. */
static void exec_on_drained(struct ask *a)
{
	static const char head[] = "{\"type\":\"stdout\",\"data\":\"\\n";
	static char line[PIECE];

	memset(line, 'x', PIECE);
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + PIECE - 3, "\"}\n", 3);
	while (h2_queued(a->stream) < QUEUE)
		h2_write(a->stream, line, PIECE);
}

static void exec_for_ever(struct ask *a, struct jv in)
{
	(void)jv_strcpy(jv_get(in, "exec"), ran, sizeof(ran));
	h2_respond(a->stream, 200);
	exec_on_drained(a);
}

static void sent_on_call(struct ask *a, const char *method)
{
	char text[256];

	if (strcmp(method, "freeze") != 0) {
		answer(a, method);
		return;
	}
	snprintf(text, sizeof(text),
		 "{\"last_seq\":{},\"warm\":true,\"exec_sent\":{\"%s\":%lld}}",
		 ran, (long long)FAR);
	reply(a, text);
}

/* Events with a gap. */
static void gap_on_sync(struct ask *a)
{
	id_new(flooded, "ses");
	said = 0;
	h2_respond(a->stream, 200);
	say_event(a->stream);
	said += 5;
	say_event(a->stream);
}

/* --- harm: what never ends -------------------------------------------------- */

static void nothing_on_hello(struct ask *a, struct jv params)
{
	(void)a, (void)params;
}

static void nothing_on_call(struct ask *a, const char *method)
{
	(void)a, (void)method;
}

static void body_on_drained(struct ask *a)
{
	while (h2_queued(a->stream) < QUEUE && a->left > 0) {
		size_t n = a->left < PIECE ? a->left : PIECE;

		h2_write(a->stream, noise, n);
		a->left -= n;
	}
	if (a->left == 0)
		h2_fin(a->stream);
}

static void long_body(struct ask *a)
{
	a->left = LONG;
	h2_respond(a->stream, 200);
	body_on_drained(a);
}

static void long_on_hello(struct ask *a, struct jv params)
{
	(void)params;
	long_body(a);
}

static void long_on_call(struct ask *a, const char *method)
{
	(void)method;
	long_body(a);
}

/* The connection is good for nothing as soon as it is up. */
static void flap_on_sync(struct ask *a)
{
	h2_reply(a->stream, 200, "", 0);
}

static void early_on_hello(struct ask *a, struct jv params)
{
	(void)params;
	h2_goaway(h2_of(a->stream));
	h2_reset(a->stream);
}

/* --- harm: what a VM has ---------------------------------------------------- */

static void burn(void)
{
	struct rlimit few = {FORKS, FORKS};

	(void)setrlimit(RLIMIT_NPROC, &few);
	for (int i = 0; i < FORKS; i++) {
		if (fork() != 0)
			continue;
		while (i < BURNERS)
			(void)fork();
		for (;;)
			pause();
	}
}

static void fill_console(void)
{
	if (fork() != 0)
		return;
	for (;;)
		(void)!write(STDERR_FILENO, noise, PIECE);
}

static void fill_disk(void)
{
	int fd;

	if (fork() != 0)
		return;
	fd = open("/home/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, noise, PIECE) > 0)
		;
	dprintf(STDERR_FILENO, "full\n");
	for (;;)
		pause();
}

/* --- harm: the host stream -------------------------------------------------- */

static void ask_anything(struct h2 *h2, const char *method, const char *path,
			 size_t len);

static void asks_on_host(struct h2 *h2)
{
	static const char blob[] =
		"/blob/0123456789012345678901234567890123456789/0/8388608";

	for (int i = 0; i < 3000; i++) {
		ask_anything(h2, "GET", blob, 0);
		ask_anything(h2, "POST", "/checkpoint", LONG);
		ask_anything(h2, "POST", "/diff", LONG);
		ask_anything(h2, "POST", "/mcp/ses_x/y", LONG);
		ask_anything(h2, "BREW", "/\033/../..", LONG);
	}
}

/* --- harm: bytes ------------------------------------------------------------ */

#define SAYS(once, again)                                            \
	.raw = true, .first = (once), .first_len = sizeof(once) - 1, \
	.then = (again), .then_len = sizeof(again) - 1

#define PREFACE	 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define PING	 "\0\0\10\6\0\0\0\0\0pingping"
#define RESET	 "\0\0\4\3\0\0\0\0\1\0\0\0\10"
#define WINDOW	 "\0\0\4\10\0\0\0\0\0\0\0\0\0"
#define HUGE	 "\377\377\377\0\0\0\0\0\1"
#define PUSH	 "\0\0\5\5\4\0\0\0\1\0\0\0\2\210"
#define EMPTY	 "\0\0\0\0\0\0\0\0\1"
/* A head whose end never comes: ":status: 200", then "x: <16 bytes>". */
#define FIELD "\0\1x\20xxxxxxxxxxxxxxxx"
#define HEAD  "\0\0\25\1\0\0\0\0\1\210" FIELD
#define MORE  "\0\0\24\11\0\0\0\0\1" FIELD

static const struct conduct conducts[] = {
	{"silent", SAYS("", "")},
	{"noise", SAYS("", "\1\2\3\377not HTTP/2 at all\r\n\r\n")},
	{"http1", SAYS("", "HTTP/1.1 200 OK\r\n\r\n")},
	{"pings", SAYS(SETTINGS, PING)},
	{"settings", SAYS("", SETTINGS)},
	{"resets", SAYS(SETTINGS, RESET)},
	{"windows", SAYS(SETTINGS, WINDOW)},
	{"huge-frame", SAYS(SETTINGS, HUGE)},
	{"push", SAYS(SETTINGS, PUSH)},
	{"endless-head", SAYS(SETTINGS HEAD, MORE)},
	{"empty-frames", SAYS(SETTINGS "\0\0\1\1\4\0\0\0\1\210", EMPTY)},
	{"mute", .on_hello = nothing_on_hello},
	{"long-hello", .on_hello = long_on_hello},
	{"lying-hello", .on_hello = lie_on_hello},
	{"stranger", .on_hello = stranger_on_hello},
	{"paused", .on_call = NULL},
	{"never-thaws", .on_call = nothing_on_call},
	{"frozen", .on_call = NULL},
	{"early", .on_hello = early_on_hello},
	{"flap", .on_sync = flap_on_sync},
	{"flood", .on_sync = flood_anew},
	{"garbage", .on_sync = noise_on_sync},
	{"endless-line", .on_sync = line_on_sync},
	{"gap", .on_sync = gap_on_sync},
	{"never", .on_call = nothing_on_call},
	{"long-answer", .on_call = long_on_call},
	{"lying-answer", .on_call = lie_on_call},
	{"lying-sent", .on_exec = exec_for_ever, .on_call = sent_on_call},
	{"burn", .at_start = burn},
	{"console", .at_start = fill_console},
	{"disk", .at_start = fill_disk},
	{"host-asks", .on_host = asks_on_host},
	{"host-noise", .host = true, SAYS("", "\1\2\3\377no preface\r\n")},
	{"host-pings", .host = true, SAYS(PREFACE SETTINGS, PING)},
};

static bool is(const char *word)
{
	return strcmp(conduct->word, word) == 0;
}

/* --- HTTP/2 ----------------------------------------------------------------- */

static void ask_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct ask *a = arg;

	if (strcmp(a->path, "/sync") != 0)
		jw_lit(&a->body, data, n);
	h2_consume(s, n);
}

static void ask_on_fin(struct h2_stream *s, void *arg)
{
	struct ask *a = arg;
	autojson struct json j = {0};
	struct jv in;

	(void)s;
	if (a->path[0] == '\0') /* An answer to us. */
		return;
	if (a->body.buf != NULL)
		(void)json_parse(&j, a->body.buf, a->body.len, NULL);
	in = json_root(&j);
	if (strcmp(a->path, "/hello") == 0) {
		(void)jv_strcpy(jv_get(in, "vm"), vm, sizeof(vm));
		if (conduct->on_hello != NULL)
			conduct->on_hello(a, in);
		else
			hello_with(a, "[]");
	} else if (strcmp(a->path, "/exec") == 0 && conduct->on_exec != NULL) {
		conduct->on_exec(a, in);
	} else if (strncmp(a->path, "/call/", 6) != 0) {
		reply(a, "{}");
	} else if (conduct->on_call != NULL) {
		conduct->on_call(a, a->path + 6);
	} else {
		answer(a, a->path + 6);
	}
}

static void ask_on_drained(struct h2_stream *s, void *arg)
{
	struct ask *a = arg;

	(void)s;
	if (a->left > 0)
		body_on_drained(a);
	else if (conduct->on_sync == flood_anew)
		flood(a);
	else if (conduct->on_sync == line_on_sync)
		line_on_drained(a);
	else if (strcmp(a->path, "/exec") == 0 && conduct->on_exec != NULL)
		exec_on_drained(a);
}

static void ask_on_end(struct h2_stream *s, int r, void *arg)
{
	struct ask *a = arg;

	(void)s, (void)r;
	jw_done(&a->body);
	free(a);
}

static const struct h2_stream_events ask_events = {
	.data = ask_on_data,
	.fin = ask_on_fin,
	.drained = ask_on_drained,
	.end = ask_on_end,
};

static struct ask *ask_new(const char *path)
{
	struct ask *a = calloc(1, sizeof(*a));

	if (a == NULL)
		_exit(1);
	snprintf(a->path, sizeof(a->path), "%s", path);
	return a;
}

static void ask_anything(struct h2 *h2, const char *method, const char *path,
			 size_t len)
{
	struct ask *a = ask_new("");

	a->stream =
		h2_request(h2, method, path, NULL, 0, len > 0, &ask_events, a);
	if (a->stream == NULL) {
		free(a);
		return;
	}
	a->left = len;
	if (len > 0)
		h2_write(a->stream, noise, PIECE);
}

static void on_request(struct h2_stream *s, const char *method,
		       const char *path, void *arg)
{
	struct ask *a = ask_new(path);

	(void)method, (void)arg;
	a->stream = s;
	h2_stream_set(s, &ask_events, a);
	if (strcmp(path, "/sync") != 0)
		return;
	if (conduct->on_sync != NULL)
		conduct->on_sync(a);
	else
		h2_respond(s, 200);
}

static void on_h2_closed(struct h2 *c, int r, void *arg)
{
	(void)r, (void)arg;
	h2_close(c);
}

static const struct h2_events h2_events = {.request = on_request,
					   .closed = on_h2_closed};

/* --- bytes ------------------------------------------------------------------ */

struct raw {
	uv_write_t req;
	uv_stream_t *io;
	char *bytes;
	uv_buf_t buf;
};

static void raw_free(uv_handle_t *h)
{
	struct raw *w = h->data;

	free(w->bytes);
	free(w->io);
	free(w);
}

static void raw_on_written(uv_write_t *req, int status)
{
	struct raw *w = container_of(req, struct raw, req);
	size_t n = conduct->then_len;

	w->buf.len = 0;
	for (; w->buf.len + n <= PIECE; w->buf.len += n)
		memcpy(w->bytes + w->buf.len, conduct->then, n);
	if (status < 0 || uv_write(req, w->io, &w->buf, 1, raw_on_written) < 0)
		uv_close((uv_handle_t *)w->io, raw_free);
}

static void raw_begin(uv_stream_t *io)
{
	struct raw *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->bytes = malloc(PIECE)) == NULL)
		_exit(1);
	w->io = io;
	io->data = w;
	if (conduct->then_len == 0)
		return; /* Nothing is said, nothing read. */
	memcpy(w->bytes, conduct->first, conduct->first_len);
	w->buf = uv_buf_init(w->bytes, (unsigned)conduct->first_len);
	if (uv_write(&w->req, io, &w->buf, 1, raw_on_written) < 0)
		uv_close((uv_handle_t *)io, raw_free);
}

/* --- the sockets ------------------------------------------------------------ */

static void on_connection(uv_stream_t *listener, int status)
{
	bool host = listener->data != NULL;
	uv_pipe_t *io = malloc(sizeof(*io));
	struct h2 *h2;

	if (status < 0 || io == NULL)
		_exit(1);
	uv_pipe_init(&loop, io, 0);
	if (uv_accept(listener, (uv_stream_t *)io) < 0)
		_exit(1);
	dprintf(STDERR_FILENO, "%s: connected\n", host ? "host" : "api");
	if (conduct->raw && conduct->host == host)
		raw_begin((uv_stream_t *)io);
	else if (h2_new((uv_stream_t *)io, !host, &h2_events, NULL, &h2) < 0)
		_exit(1);
	else if (host && conduct->on_host != NULL)
		conduct->on_host(h2);
}

static void listen_at(uv_pipe_t *pipe, const char *path, bool host)
{
	int fd = unixsock_listen(path, NULL);

	uv_pipe_init(&loop, pipe, 0);
	pipe->data = host ? pipe : NULL;
	if (fd < 0 || uv_pipe_open(pipe, fd) < 0 ||
	    uv_listen((uv_stream_t *)pipe, 8, on_connection) < 0)
		_exit(1);
}

static void read_word(void)
{
	char path[PATH_MAX], word[64] = "";
	struct utsname us;
	ssize_t n = -1;
	int fd;

	if (uname(&us) < 0)
		return;
	snprintf(path, sizeof(path), WORDS "%s", us.nodename);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, word, sizeof(word) - 1);
	close(fd);
	for (size_t i = 0; n > 0 && i < ARRAY_LEN(conducts); i++)
		if (strcmp(conducts[i].word, word) == 0)
			conduct = &conducts[i];
}

int main(int argc, char **argv)
{
	uv_pipe_t api, host;

	if (argc == 1 || strcmp(argv[1], "--fuse-fd") == 0)
		read_word();
	if (conduct == NULL) {
		execv(TRUE_GUEST, argv);
		return 127;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_IGN);
	memset(noise, 'x', sizeof(noise));
	uv_loop_init(&loop);
	listen_at(&api, RUN "api.sock", false);
	listen_at(&host, RUN "host.sock", true);
	if (conduct->at_start != NULL)
		conduct->at_start();
	return uv_run(&loop, UV_RUN_DEFAULT);
}
