// SPDX-License-Identifier: Apache-2.0
/*
 * old_guest.c - A guest daemon of an earlier time, from what it once said
 *
 * It stands in the place of hib-guest and plays a record of tests/old_guest/,
 * which is beside it as old_guest.txt.  A request gets the next answer of its
 * path in this boot's part of the record; without the members that this guest
 * needed it is refused, and so is one that it did not know.  How far it got, its
 * log, and what the host has confirmed of it are in /hib/state.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/event.h"
#include "core/h2.h"
#include "core/lines.h"
#include "core/unixsock.h"

#define RECORD "/opt/hib/old_guest.txt"
#define LOG    "/hib/state/old.log"
#define BOOTS  "/hib/state/old.boots"
#define ACKED  "/hib/state/old.acked"
#define RUN    "/hib/run/"
#define EVENTS 1000
#define VARS   16
#define UNKNOWN                                             \
	"{\"code\":50100,\"message\":\"not in this time\"," \
	"\"data\":{\"code\":\"method_unknown\",\"retryable\":false}}"
#define REFUSED                                                \
	"{\"code\":40000,\"message\":\"a member is missing\"," \
	"\"data\":{\"code\":\"invalid_argument\",\"retryable\":false}}"

struct ask {
	struct h2_stream *stream;
	char path[H2_PATH_MAX + 1];
	struct jw body;
	struct lines lines; /* Of /sync. */
};

static uv_loop_t loop;
static char *record[EVENTS]; /* Lines of this boot; "": played. */
static struct event *events[EVENTS];
static size_t n_record, n_events;
static int64_t chain;
static struct ask *sync_ask;
static struct {
	char name[32];
	char *value;
} vars[VARS];

static void die(const char *why)
{
	fprintf(stderr, "old guest: %s\n", why);
	_exit(1);
}

/* --- variables -------------------------------------------------------------- */

static void var_set(const char *name, const char *value, size_t len)
{
	size_t i = 0;

	while (vars[i].value != NULL && strcmp(vars[i].name, name) != 0)
		i++;
	if (i + 1 >= VARS)
		die("too many variables");
	snprintf(vars[i].name, sizeof(vars[i].name), "%s", name);
	free(vars[i].value);
	vars[i].value = strndup(value, len);
}

static const char *var_get(const char *name, size_t len)
{
	for (size_t i = 0; vars[i].value != NULL; i++)
		if (strlen(vars[i].name) == len &&
		    strncmp(vars[i].name, name, len) == 0)
			return vars[i].value;
	return NULL;
}

/* "$NAME" for each variable there is. */
static char *fill_in(const char *text)
{
	struct jw w = {0};

	while (*text != '\0') {
		size_t plain = strcspn(text, "$");
		size_t name = strspn(text + plain + (text[plain] == '$'),
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		const char *value = var_get(text + plain + 1, name);

		jw_lit(&w, text, plain);
		text += plain;
		if (*text == '\0')
			break;
		if (value == NULL)
			die("a variable has no value");
		jw_lit(&w, value, strlen(value));
		text += 1 + name;
	}
	return jw_take(&w, NULL);
}

/* --- its log ---------------------------------------------------------------- */

static void log_take(const char *line)
{
	struct event *ev;
	struct err e;

	if (n_events == EVENTS || event_parse(line, strlen(line), &ev, &e) < 0)
		die("not an event");
	chain = event_chain(chain, ev->seq, ev->type, ev->data, ev->data_len);
	events[n_events++] = ev;
	var_set("SES", ev->session, strlen(ev->session));
}

static void log_add(const char *line)
{
	FILE *f = fopen(LOG, "ae");

	if (f == NULL || fprintf(f, "%s\n", line) < 0 || fclose(f) != 0)
		die("no log");
	log_take(line);
	if (sync_ask != NULL) {
		h2_write(sync_ask->stream, line, strlen(line));
		h2_write(sync_ask->stream, "\n", 1);
	}
}

static void log_read(void)
{
	FILE *f = fopen(LOG, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while (f != NULL && (n = getline(&line, &cap, f)) > 0) {
		line[n - 1] = '\0';
		log_take(line);
	}
	free(line);
	if (f != NULL)
		fclose(f);
}

/* {"have":{ses:seq}} or {"ack":{ses:seq}} */
static int sync_on_line(char *line, size_t len, void *arg)
{
	struct ask *a = arg;
	autojson struct json j = {0};
	const char *ses = var_get("SES", 3);
	int64_t seq;
	FILE *f;

	if (json_parse(&j, line, len, NULL) < 0)
		die("a line of sync is no JSON");
	if (jv_has(jv_get(json_root(&j), "have"))) {
		seq = jv_int(
			jv_get(jv_get(json_root(&j), "have"), ses ? ses : "-"),
			0);
		for (size_t i = (size_t)seq; i < n_events; i++)
			h2_write(a->stream, events[i]->line, events[i]->len);
		return 0;
	}
	seq = jv_int(jv_get(jv_get(json_root(&j), "ack"), ses ? ses : "-"), -1);
	f = fopen(ACKED, "we");
	if (seq < 0 || f == NULL || fprintf(f, "%lld\n", (long long)seq) < 0 ||
	    fclose(f) != 0)
		die("an ack of nothing");
	return 0;
}

/* --- the record ------------------------------------------------------------- */

/* Lines of the @boot-th part, the last one for all later ones. */
static void record_read(int boot)
{
	FILE *f = fopen(RECORD, "re");
	char *line = NULL;
	size_t cap = 0;
	int part = -1;
	ssize_t n;

	while (f != NULL && (n = getline(&line, &cap, f)) > 0) {
		line[n - 1] = '\0';
		if (strcmp(line, "BOOT") == 0 && part++ == boot)
			break;
		if (strcmp(line, "BOOT") == 0)
			n_record = 0;
		else if (line[0] != '#' && n_record < EVENTS)
			record[n_record++] = strdup(line);
	}
	free(line);
	if (n_record == 0)
		die("no record");
}

static int count_boot(void)
{
	FILE *f = fopen(BOOTS, "a+e");
	int n = 0;

	if (f == NULL)
		die("no state");
	rewind(f);
	while (fgetc(f) == '.')
		n++;
	fputc('.', f);
	fclose(f);
	return n;
}

/* "path", "path=$NAME"...: are they there?  Keep the values. */
static bool has_members(char *members, struct jv in)
{
	char *word, *name;

	while ((word = strsep(&members, " ")) != NULL) {
		size_t len;
		const char *raw;
		struct jv v;

		name = strstr(word, "=$");
		if (name != NULL)
			*name = '\0';
		v = jv_path(in, word);
		raw = jv_raw(v, &len);
		if (word[0] != '\0' && raw == NULL)
			return false;
		if (name != NULL && jv_is(v, JV_STRING))
			var_set(name + 2, raw + 1, len - 2);
		else if (name != NULL)
			var_set(name + 2, raw, len);
	}
	return true;
}

static void play_line(struct ask *a, const char *line)
{
	char *text;
	int status;

	if (strncmp(line, "EVENT ", 6) == 0) {
		log_add(line + 6);
	} else if (strncmp(line, "ANSWER ", 7) == 0) {
		status = (int)strtol(line + 7, &text, 10);
		h2_reply(a->stream, status, text + 1, strlen(text + 1));
	}
}

/* What follows its request. */
static void play(struct ask *a, size_t i)
{
	char number[32];

	snprintf(number, sizeof(number), "%lld", (long long)chain);
	var_set("CHAIN", number, strlen(number));
	for (; i < n_record && strncmp(record[i], "ASK ", 4) != 0; i++) {
		autofree char *line = fill_in(record[i]);

		record[i][0] = '\0';
		if (line != NULL)
			play_line(a, line);
	}
}

static void answer(struct ask *a)
{
	autojson struct json j = {0};
	size_t n = strlen(a->path);

	if (a->body.buf != NULL &&
	    json_parse(&j, a->body.buf, a->body.len, NULL) < 0)
		die("a request is no JSON");
	for (size_t i = 0; i < n_record; i++) {
		char *line = record[i];

		if (strncmp(line, "ASK ", 4) != 0 ||
		    strncmp(line + 4, a->path, n) != 0 ||
		    (line[4 + n] != ' ' && line[4 + n] != '\0'))
			continue;
		if (!has_members(line + 4 + n + (line[4 + n] == ' '),
				 json_root(&j))) {
			h2_reply(a->stream, 400, REFUSED, strlen(REFUSED));
			return;
		}
		line[0] = '\0';
		play(a, i + 1);
		return;
	}
	h2_reply(a->stream, 501, UNKNOWN, strlen(UNKNOWN));
}

/* --- the channel ------------------------------------------------------------ */

static void ask_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct ask *a = arg;

	if (a == sync_ask)
		(void)lines_feed(&a->lines, data, n, sync_on_line, a);
	else
		jw_lit(&a->body, data, n);
	h2_consume(s, n);
}

static void ask_on_fin(struct h2_stream *s, void *arg)
{
	(void)s;
	if (arg != sync_ask)
		answer(arg);
}

static void ask_on_end(struct h2_stream *s, int r, void *arg)
{
	struct ask *a = arg;

	(void)s;
	if (r == 0 && strcmp(a->path, "/call/poweroff") == 0)
		_exit(0);
	if (a == sync_ask)
		sync_ask = NULL;
	lines_done(&a->lines);
	jw_done(&a->body);
	free(a);
}

static const struct h2_stream_events ask_events = {
	.data = ask_on_data,
	.fin = ask_on_fin,
	.end = ask_on_end,
};

static void on_request(struct h2_stream *s, const char *method,
		       const char *path, void *arg)
{
	struct ask *a = calloc(1, sizeof(*a));

	(void)arg;
	if (a == NULL || strcmp(method, "POST") != 0)
		die("no request of its time");
	a->stream = s;
	snprintf(a->path, sizeof(a->path), "%s", path);
	lines_init(&a->lines, EVENT_LINE_MAX);
	h2_stream_set(s, &ask_events, a);
	if (strcmp(path, "/sync") == 0) {
		sync_ask = a;
		h2_respond(s, 200);
	}
}

static void on_closed(struct h2 *c, int r, void *arg)
{
	(void)r, (void)arg;
	h2_close(c);
}

static const struct h2_events h2_events = {.request = on_request,
					   .closed = on_closed};

static void on_connection(uv_stream_t *listener, int status)
{
	bool host = listener->data != NULL;
	uv_pipe_t *io = malloc(sizeof(*io));
	struct h2 *h2;

	if (status < 0 || io == NULL)
		die("no connection");
	uv_pipe_init(&loop, io, 0);
	if (uv_accept(listener, (uv_stream_t *)io) < 0 ||
	    h2_new((uv_stream_t *)io, !host, &h2_events, NULL, &h2) < 0)
		die("no connection");
}

static void listen_at(uv_pipe_t *pipe, const char *path, void *data)
{
	int fd = unixsock_listen(path, NULL);

	uv_pipe_init(&loop, pipe, 0);
	pipe->data = data;
	if (fd < 0 || uv_pipe_open(pipe, fd) < 0 ||
	    uv_listen((uv_stream_t *)pipe, 8, on_connection) < 0)
		die("no socket");
}

int main(void)
{
	uv_pipe_t api, host;

	(void)signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	record_read(count_boot());
	log_read();
	listen_at(&api, RUN "api.sock", NULL);
	listen_at(&host, RUN "host.sock", &host);
	return uv_run(&loop, UV_RUN_DEFAULT);
}
