// SPDX-License-Identifier: Apache-2.0
/*
 * bench_store.c - How fast events are stored and read
 *
 * Appends events of EVENT_BYTES, round-robin over SESSIONS logs, in batches of
 * several sizes, so that a batch is one commit: the next one is sent when the
 * last is done.  "piped" keeps PIPED batches under way, as the daemons do, and
 * lets natural batching work.  The baseline, in the same run and the same
 * folder, is write+fdatasync of the same bytes to a plain file.
 *
 *	bench_store [--json] [--dir DIR] [--events N]
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/reader.h"
#include "core/store.h"

#define EVENT_BYTES 400
#define SESSIONS    100
#define PIPED	    64
#define LOG_EVENTS  1000000 /* Of the log that is read. */

static const unsigned batch_sizes[] = {1, 8, 64, 512};

struct bench {
	uv_loop_t loop;
	struct store *store;
	char dir[256], db[300];
	unsigned long n_events;
	bool json, first;
};

struct session {
	char id[ID_MAX];
	int64_t seq;
};

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_store: %s: %s\n", what,
		e ? e->msg : strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(struct bench *b, const char *name, double value,
		   const char *unit)
{
	if (b->json)
		printf("%s{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}",
		       b->first ? "[" : ",\n", name, value, unit);
	else
		printf("%-28s %12.1f %s\n", name, value, unit);
	b->first = false;
	fflush(stdout);
}

/*
 * Events.
 */

static struct event *new_event(struct session *s)
{
	static char data[EVENT_BYTES];
	int n = (int)sizeof(data) - 2;

	if (data[0] == '\0') {
		memset(data, 'x', sizeof(data));
		memcpy(data, "{\"msg\":\"", 8);
		memcpy(data + n, "\"}", 2);
	}
	s->seq++;
	return event_new(&(struct event_spec){
		.session = s->id,
		.turn = "trn_0123456789abcdef0123456789abcdef",
		.type = "acp.update",
		.seq = s->seq,
		.epoch = 1,
		.ts_ms = 1763683200000 + s->seq,
		.data = data,
		.data_len = sizeof(data),
	});
}

static struct event *new_created(struct session *s)
{
	return event_new(&(struct event_spec){.session = s->id,
					      .type = "session.created",
					      .seq = ++s->seq,
					      .epoch = 1,
					      .data = "{}",
					      .data_len = 2});
}

/*
 * Appending.
 */

struct load {
	struct bench *bench;
	struct session *sessions;
	unsigned n_sessions, next, batch;
	unsigned long left, done;
	bool create;
};

struct slot {
	struct store_batch b;
	struct load *load;
};

static void send_batch(struct slot *s);

static void on_stored(struct store_batch *b, int64_t acked, const struct err *e)
{
	struct slot *s = container_of(b, struct slot, b);

	if (acked < 0)
		die("append", e);
	event_list_free(&b->events);
	if (s->load->left > 0)
		send_batch(s);
}

static void send_batch(struct slot *s)
{
	struct load *l = s->load;
	struct session *ses = &l->sessions[l->next++ % l->n_sessions];
	unsigned n = l->batch;

	if (n > l->left)
		n = (unsigned)l->left;
	s->b = (struct store_batch){.done = on_stored};
	TAILQ_INIT(&s->b.events);
	strcpy(s->b.session, ses->id);
	for (unsigned i = 0; i < n; i++) {
		struct event *ev =
			l->create ? new_created(ses) : new_event(ses);

		if (ev == NULL)
			die("event", NULL);
		TAILQ_INSERT_TAIL(&s->b.events, ev, link);
	}
	l->left -= n;
	store_append(l->bench->store, &s->b);
}

/* Return: seconds. */
static double run_load(struct load *l, unsigned n_slots)
{
	struct slot slots[PIPED];
	double start = seconds();

	for (unsigned i = 0; i < n_slots && l->left > 0; i++) {
		slots[i].load = l;
		send_batch(&slots[i]);
	}
	uv_run(&l->bench->loop, UV_RUN_DEFAULT);
	return seconds() - start;
}

static void create_sessions(struct bench *b, struct session *s, unsigned n)
{
	struct load l = {.bench = b,
			 .sessions = s,
			 .n_sessions = n,
			 .batch = 1,
			 .left = n,
			 .create = true};

	for (unsigned i = 0; i < n; i++)
		id_new(s[i].id, "ses");
	run_load(&l, 1);
}

static double append_rate(struct bench *b, struct session *s, unsigned batch,
			  unsigned slots)
{
	struct load l = {.bench = b,
			 .sessions = s,
			 .n_sessions = SESSIONS,
			 .batch = batch,
			 .left = b->n_events};

	/* Small commits take long each: fewer tell as much. */
	if (slots == 1 && batch < 64)
		l.left = b->n_events * batch / 64;
	unsigned long n = l.left;

	return (double)n / run_load(&l, slots);
}

/* The same bytes, in the same portions, to a plain file. */
static double plain_rate(struct bench *b, unsigned batch)
{
	unsigned long n = batch < 64 ? b->n_events * batch / 64 : b->n_events;
	struct session s = {.id = "ses_0123456789abcdef0123456789abcdef"};
	struct event *ev = new_event(&s);
	size_t portion = ev->len * batch;
	autofree char *bytes = malloc(portion);
	char path[300];
	double start;
	int fd;

	for (unsigned i = 0; bytes != NULL && i < batch; i++)
		memcpy(bytes + i * ev->len, ev->line, ev->len);
	free(ev);
	snprintf(path, sizeof(path), "%s/plain", b->dir);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || bytes == NULL)
		die(path, NULL);
	start = seconds();
	for (unsigned long done = 0; done < n; done += batch)
		if (write(fd, bytes, portion) != (ssize_t)portion ||
		    fdatasync(fd) < 0)
			die(path, NULL);
	close(fd);
	return (double)n / (seconds() - start);
}

static void bench_append(struct bench *b)
{
	static struct session s[SESSIONS];
	char name[64];

	create_sessions(b, s, SESSIONS);
	for (size_t i = 0; i < ARRAY_LEN(batch_sizes); i++) {
		unsigned n = batch_sizes[i];
		double plain = plain_rate(b, n);
		double rate = append_rate(b, s, n, 1);

		snprintf(name, sizeof(name), "append_%u", n);
		report(b, name, rate, "events/s");
		snprintf(name, sizeof(name), "plain_%u", n);
		report(b, name, plain, "events/s");
		snprintf(name, sizeof(name), "ratio_%u", n);
		report(b, name, 100 * rate / plain, "%");
	}
	report(b, "append_piped_1", append_rate(b, s, 1, PIPED), "events/s");
	report(b, "append_piped_64", append_rate(b, s, 64, 8), "events/s");
}

/*
 * Reading.
 */

static void read_page(struct reader *r, const struct event_query *q,
		      struct event_page *page)
{
	struct err e = {0};

	jw_reset(page->out);
	if (reader_events(r, q, page, &e) < 0)
		die("read", &e);
}

static void bench_pages(struct bench *b, struct reader *r, const char *id)
{
	autojw struct jw out = {0};
	struct event_page page = {.out = &out};
	struct event_query q = {.session = id, .limit = 100};
	double start;

	q.since = LOG_EVENTS - 100;
	start = seconds();
	read_page(r, &q, &page);
	report(b, "last_100_of_1000000", (seconds() - start) * 1e6, "us");

	q.since = 0;
	q.types = "turn.*";
	start = seconds();
	read_page(r, &q, &page);
	report(b, "turns_of_1000000", (seconds() - start) * 1e6, "us");

	q = (struct event_query){.session = id, .limit = 1000};
	start = seconds();
	do {
		read_page(r, &q, &page);
		q.since = page.next_since;
	} while (page.has_more);
	report(b, "replay", LOG_EVENTS / (seconds() - start), "events/s");
}

static void bench_read(struct bench *b)
{
	static struct session s[1];
	autoreader struct reader *r = NULL;
	struct load l = {.bench = b,
			 .sessions = s,
			 .n_sessions = 1,
			 .batch = 512,
			 .left = LOG_EVENTS - 1};
	struct err e = {0};

	create_sessions(b, s, 1);
	run_load(&l, 1);
	if (reader_open(b->db, &r, &e) < 0)
		die("reader", &e);
	bench_pages(b, r, s->id);
}

/*
 * Opening.
 */

static void bench_open(struct bench *b)
{
	struct err e = {0};
	double start;

	snprintf(b->db, sizeof(b->db), "%s/new.db", b->dir);
	start = seconds();
	if (store_open(&b->loop, b->db, STORE_GUEST, &b->store, &e) < 0)
		die("store", &e);
	report(b, "create_store", (seconds() - start) * 1e6, "us");
	store_close(b->store);
	uv_run(&b->loop, UV_RUN_DEFAULT);

	start = seconds();
	if (store_open(&b->loop, b->db, STORE_GUEST, &b->store, &e) < 0)
		die("store", &e);
	report(b, "open_store", (seconds() - start) * 1e6, "us");
	store_close(b->store);
	uv_run(&b->loop, UV_RUN_DEFAULT);
}

static void options(struct bench *b, int argc, char **argv)
{
	const char *parent = "/tmp";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			b->json = true;
		else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
			parent = argv[++i];
		else if (strcmp(argv[i], "--events") == 0 && i + 1 < argc)
			b->n_events = strtoul(argv[++i], NULL, 10);
		else
			die("usage: bench_store [--json] [--dir DIR]"
			    " [--events N]",
			    NULL);
	}
	snprintf(b->dir, sizeof(b->dir), "%s/hib-bench-XXXXXX", parent);
	if (mkdtemp(b->dir) == NULL)
		die(b->dir, NULL);
}

int main(int argc, char **argv)
{
	struct bench b = {.n_events = 200000, .first = true};
	struct err e = {0};
	char cmd[300];

	options(&b, argc, argv);
	if (uv_loop_init(&b.loop) < 0)
		die("loop", NULL);
	bench_open(&b);
	snprintf(b.db, sizeof(b.db), "%s/s.db", b.dir);
	if (store_open(&b.loop, b.db, STORE_HOST, &b.store, &e) < 0)
		die("store", &e);
	bench_append(&b);
	bench_read(&b);
	store_close(b.store);
	uv_run(&b.loop, UV_RUN_DEFAULT);
	uv_loop_close(&b.loop);
	if (b.json)
		printf("]\n");
	snprintf(cmd, sizeof(cmd), "rm -rf %s", b.dir);
	return system(cmd) != 0;
}
