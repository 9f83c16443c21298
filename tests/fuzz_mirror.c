// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mirror.c - A hostile guest harms no log, and none but its own
 *
 * The first byte chooses the size of the pieces and whether the stream is
 * closed while batches are on their way.  A line that begins with '{' is sent
 * as it is; of any other the first four bytes choose session, type, number and
 * epoch, and the rest is the inside of data, so that most events are stored and
 * the fuzzer's work goes into what they do.  A byte from 0x80 on may stand for
 * a word.
 *
 * At the end the logs have no gaps, pass the store's own check, belong to the
 * guest's VM, and reach at least as far as was acknowledged; the bytes given
 * back are those that were sent; and another VM's session is what it was.
 */
#include "host/daemon/mirror.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/daemon/link.h"

#define VM     "vm_0123456789abcdef0123456789abcdef"
#define VM2    "vm_00000000000000000000000000000000"
#define TRN    "trn_0123456789abcdef0123456789abcde"
#define N_SES  3
#define N_MINE 2 /* The last one is of VM2. */

enum { CLOSE_EARLY = 1, BIG_PIECES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const ses[N_SES] = {
	"ses_00000000000000000000000000000001",
	"ses_00000000000000000000000000000002",
	"ses_00000000000000000000000000000003",
};

static const char *const words[] = {
	"\"id\":\"msg_0123456789abcdef0123456789abcdef\"",
	"\"id\":\"req_0123456789abcdef0123456789abcdef\"",
	"\"from\":\"",
	"\"to\":\"",
	"starting\"",
	"idle\"",
	"running\"",
	"waiting\"",
	"suspended\"",
	"closed\"",
	"\"suspended_from\":\"",
	"\"wait_kind\":\"permission\"",
	"\"stop_reason\":\"end_turn\"",
	"\"content\":[{\"type\":\"text\",\"text\":\"",
	"\"}]",
	"\"kind\":\"",
	"permission\"",
	"\"outcome\":\"answered\"",
	"\"files\":[{\"path\":\"a\",\"kind\":\"add\",\"patch\":\"+\"}]",
	"\"usage\":{\"tokens\":1}",
	"\"n\":1",
	"\"name\":\"x\",\"size\":1",
	"\"key\":\"k\",\"value\":\"v\"",
	"\"to_seq\":1,\"abandoned\":[2,3]",
	"\"title\":\"",
	"\"error\":{\"code\":1}",
	"\"deadline_ms\":1",
	"\"first_seq\":1",
	"\\u0000",
	"\\ud800",
	"\"v\":1,\"session\":\"ses_00000000000000000000000000000001\"",
	",\"seq\":",
	",\"epoch\":1,\"ts\":1",
	",\"type\":\"session.created\"",
	",\"type\":\"session.state\"",
	",\"type\":\"session.rewound\"",
	",\"data\":{",
	",\"ctx\":{",
	"\"vm\":\"" VM "\"",
};

struct link {
	size_t consumed;
	int64_t acked[N_SES];
	bool dropped;
};

static struct {
	char dir[64], path[80];
	uv_loop_t loop;
	struct store *store;
	struct reader *reader;
	struct mirror *mirror;
} t;

/* --- the link ----------------------------------------------------------- */

void link_ack(struct link *l, const char *session, int64_t seq)
{
	for (size_t i = 0; i < N_SES; i++)
		if (strcmp(session, ses[i]) == 0)
			l->acked[i] = seq;
}

void link_resync(struct link *l, const struct err *why)
{
	assert(why->code < 0 && why->msg[0] != '\0');
	assert(!l->dropped);
	l->dropped = true;
}

void link_later(struct link *l, const struct err *why)
{
	link_resync(l, why);
}

void link_consume(struct link *l, size_t n)
{
	l->consumed += n;
}

/* --- the guest ---------------------------------------------------------- */

static void put(struct jw *w, const char *s)
{
	jw_lit(w, s, strlen(s));
}

static void put_words(struct jw *w, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t word = (unsigned char)s[i] - 0x80u;

		if ((unsigned char)s[i] >= 0x80 && word < ARRAY_LEN(words))
			put(w, words[word]);
		else
			jw_lit(w, &s[i], 1);
	}
}

static void put_envelope(struct jw *w, const char *session, int64_t seq,
			 int64_t epoch, const char *type)
{
	char head[256];

	snprintf(head, sizeof(head),
		 "{\"v\":1,\"session\":\"%s\",\"seq\":%lld,\"epoch\":%lld,"
		 "\"ts\":%lld,\"turn\":\"" TRN "%c\",\"type\":\"%s\","
		 "\"data\":{",
		 session, (long long)seq, (long long)epoch, (long long)seq,
		 "01"[seq / 4 % 2], type);
	put(w, head);
}

static void put_event(struct jw *w, int64_t seq[N_SES], const char *s, size_t n)
{
	size_t i = (unsigned char)s[0] % N_SES, n_types = 0;
	int64_t epoch = 1 + (unsigned char)s[3] % 3;
	const char *type;

	while (event_types[n_types] != NULL)
		n_types++;
	if ((unsigned char)s[2] % 16 == 1)
		seq[i] += 2;
	else if ((unsigned char)s[2] % 16 != 2 || seq[i] == 0)
		seq[i]++;
	type = event_types[(unsigned char)s[1] % n_types];
	if (seq[i] == 1)
		type = event_types[0];
	put_envelope(w, ses[i], seq[i], epoch, type);
	put_words(w, s + 4, n - 4);
	put(w, seq[i] == 1 ? ",\"vm\":\"" VM "\"}}\n" : "}}\n");
}

/* The stream that the input stands for. */
static void put_stream(struct jw *w, const char *s, size_t size)
{
	int64_t seq[N_SES] = {[N_MINE] = 1};

	while (size > 0) {
		const char *nl = memchr(s, '\n', size);
		size_t n = nl ? (size_t)(nl - s) : size;

		if (n > 4 && s[0] != '{') {
			put_event(w, seq, s, n);
		} else {
			put_words(w, s, n);
			put(w, nl ? "\n" : "");
		}
		n += nl != NULL;
		s += n;
		size -= n;
	}
	assert(!w->failed);
}

/* Return: 0, or why the guest would be dropped. */
static int feed(struct mirror_feed *f, struct link *l, struct jw *w,
		size_t step)
{
	for (size_t i = 0; i < w->len; i += step) {
		size_t n = w->len - i < step ? w->len - i : step;
		struct err e = {0};
		int r = mirror_feed_data(f, w->buf + i, n, &e);

		assert(r == e.code && r <= 0);
		if (r < 0)
			return r;
		if (i / step % 4 == 0)
			uv_run(&t.loop, UV_RUN_NOWAIT);
		if (l->dropped)
			return -ECONNRESET;
	}
	return 0;
}

/* --- the host ----------------------------------------------------------- */

static void remove_files(void)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal",
					    ".ballast"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s%s", t.path, names[i]);
		(void)unlink(path);
	}
	assert(rmdir(t.dir) == 0);
}

static void teardown(void)
{
	store_close(t.store);
	assert(uv_run(&t.loop, UV_RUN_DEFAULT) == 0);
	mirror_free(t.mirror);
	reader_close(t.reader);
	assert(uv_loop_close(&t.loop) == 0);
	remove_files();
}

static void setup_once(void)
{
	struct err e = {0};
	int r;

	if (t.store != NULL)
		return;
	snprintf(t.dir, sizeof(t.dir), "/dev/shm/fuzz_mirror.XXXXXX");
	assert(mkdtemp(t.dir) != NULL);
	snprintf(t.path, sizeof(t.path), "%s/hib.db", t.dir);
	assert(uv_loop_init(&t.loop) == 0);
	r = store_open(&t.loop, t.path, STORE_HOST, &t.store, &e);
	assert(r == 0);
	r = reader_open(t.path, &t.reader, &e);
	assert(r == 0);
	t.mirror = mirror_new(t.store, t.reader);
	assert(t.mirror != NULL);
	atexit(teardown);
}

static void on_purged(const struct err *e, void *arg)
{
	(void)arg;
	assert(e->code == 0);
}

static int purge(const struct session_brief *b, void *arg)
{
	(void)arg;
	return store_purge(t.store, b->id, on_purged, NULL);
}

static int on_left(const struct session_brief *b, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s is left\n", b->id);
	return -EEXIST;
}

/* Making a store takes longer than all else, so it is emptied instead. */
static void purge_all(void)
{
	assert(reader_sessions(t.reader, NULL, purge, NULL, NULL) == 0);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert(reader_sessions(t.reader, NULL, on_left, NULL, NULL) == 0);
}

/* Another VM has a session already. */
static void store_foreign(void)
{
	autojw struct jw w = {0};
	struct link l = {0};
	struct mirror_feed *f = mirror_feed_new(t.mirror, &l, VM2);
	struct err e = {0};

	assert(f != NULL);
	put_envelope(&w, ses[N_MINE], 1, 1, "session.created");
	put(&w, "\"vm\":\"" VM2 "\"}}\n");
	assert(mirror_feed_data(f, w.buf, w.len, &e) == 0);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert(l.consumed == w.len && !l.dropped);
	mirror_feed_close(f);
}

static int check_session(const struct session_brief *b, void *arg)
{
	const char *args[] = {b->id, NULL};
	const struct link *l = arg;
	autofree char *ok = NULL;
	int r;

	r = reader_value(t.reader,
			 "SELECT count(*)=max(seq) AND max(seq)=s.last_seq"
			 " FROM event JOIN session s ON s.n=session_n"
			 " WHERE s.id=?1",
			 args, &ok, NULL);
	assert(r == 1 && strcmp(ok, "1") == 0);
	if (strcmp(b->id, ses[N_MINE]) == 0) {
		assert(strcmp(b->vm_id, VM2) == 0);
		assert(b->last_seq == 1 && b->epoch == 1);
		return 0;
	}
	assert(strcmp(b->vm_id, VM) == 0);
	for (size_t i = 0; i < N_MINE; i++)
		if (strcmp(b->id, ses[i]) == 0)
			assert(l->acked[i] <= b->last_seq);
	return 0;
}

static void on_finding(const char *session, int64_t seq, const char *what,
		       void *arg)
{
	(void)arg;
	fprintf(stderr, "%s %lld: %s\n", session ? session : "-",
		(long long)seq, what);
}

static void check_store(struct link *l)
{
	struct err e = {0};

	assert(l->acked[N_MINE] == 0);
	assert(reader_sessions(t.reader, NULL, check_session, l, &e) == 0);
	assert(reader_check(t.reader, on_finding, NULL, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojw struct jw stream = {0};
	struct mirror_feed *f;
	struct link l = {0};
	size_t step;
	int r;

	if (size < 1)
		return 0;
	put_stream(&stream, (const char *)data + 1, size - 1);
	step = data[0] & BIG_PIECES ? stream.len + 1 : data[0] / 4u + 1;

	setup_once();
	store_foreign();
	f = mirror_feed_new(t.mirror, &l, VM);
	assert(f != NULL);
	r = feed(f, &l, &stream, step);
	if (!(data[0] & CLOSE_EARLY))
		uv_run(&t.loop, UV_RUN_DEFAULT);
	assert(l.consumed <= stream.len);
	if (r == 0 && !l.dropped && !(data[0] & CLOSE_EARLY))
		assert(l.consumed == stream.len);
	mirror_feed_close(f);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	check_store(&l);
	purge_all();
	return 0;
}
