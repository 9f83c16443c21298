// SPDX-License-Identifier: Apache-2.0
/*
 * test_objects.c - The host stream, against guests good and bad
 *
 * The guest is played here: it is the HTTP/2 client at the other end of a
 * socketpair.  The repository and the store are real.
 */
#include "host/daemon/objects.h"

#include <sys/socket.h>

#include "core/h2.h"
#include "core/json.h"
#include "core/store.h"
#include "host/daemon/objects_impl.h"
#include "tests/tap.h"

#define VM    "vm_0123456789abcdef0123456789abcdef"
#define VM2   "vm_00000000000000000000000000000000"
#define SES   "ses_0123456789abcdef0123456789abcdef"
#define OTHER "ses_00000000000000000000000000000000"
#define TRN   "trn_0123456789abcdef0123456789abcdef"
#define NONE  "0123456789abcdef0123456789abcdef01234567"

static struct {
	uv_loop_t loop;
	char dir[64];
	struct store *store;
	struct reader *reader;
	struct depot *depot;
	struct objects *objects;
	struct h2 *guest;
	int connects, commits;
	bool timed_out, depot_closed;
} t;

/* One request of the guest. */
struct asked {
	struct h2_stream *s;
	int status;
	bool over;
	int r;
	bool keeps; /* Reads nothing of the answer. */
	struct jw body;
};

/* --- the guest ---------------------------------------------------------- */

static void asked_on_head(struct h2_stream *s, int status, void *arg)
{
	struct asked *a = arg;

	(void)s;
	a->status = status;
}

static void asked_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	struct asked *a = arg;

	jw_lit(&a->body, data, n);
	if (!a->keeps)
		h2_consume(s, n);
}

static void asked_on_end(struct h2_stream *s, int r, void *arg)
{
	struct asked *a = arg;

	(void)s;
	a->over = true;
	a->r = r;
	a->s = NULL;
}

static const struct h2_stream_events asked_events = {
	.head = asked_on_head, .data = asked_on_data, .end = asked_on_end};

static void guest_on_request(struct h2_stream *s, const char *method,
			     const char *path, void *arg)
{
	(void)s, (void)method, (void)path, (void)arg;
}

static void guest_on_closed(struct h2 *c, int r, void *arg)
{
	(void)r;
	(void)arg;
	if (t.guest == c)
		t.guest = NULL;
	h2_close(c);
}

static const struct h2_events guest_events = {.request = guest_on_request,
					      .closed = guest_on_closed};

static int fake_channel(struct machine *m, const char *name, struct err *e)
{
	uv_pipe_t *pipe = malloc(sizeof(*pipe));
	int fd[2];

	(void)m;
	(void)e;
	STR_EQ(name, "host");
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		      fd),
	   0);
	h2_close(t.guest);
	uv_pipe_init(&t.loop, pipe, 0);
	EQ(uv_pipe_open(pipe, fd[1]), 0);
	EQ(h2_new((uv_stream_t *)pipe, false, &guest_events, NULL, &t.guest),
	   0);
	t.connects++;
	return fd[0];
}

static const struct backend_ops fake_backend = {
	.name = "fake", .wake_ms = 10000, .channel = fake_channel};

/* --- the host ----------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	t.timed_out = true;
}

#define RUN_UNTIL(condition)                                           \
	do {                                                           \
		uv_timer_t *deadline_ = malloc(sizeof(*deadline_));    \
		uv_timer_init(&t.loop, deadline_);                     \
		uv_timer_start(deadline_, on_deadline, 10000, 0);      \
		while (!(condition) && !t.timed_out)                   \
			uv_run(&t.loop, UV_RUN_ONCE);                  \
		uv_close((uv_handle_t *)deadline_, (uv_close_cb)free); \
		OK(!t.timed_out);                                      \
	} while (0)

static void on_committed(const struct vfs_oid *head, void *arg)
{
	(void)head;
	(void)arg;
	t.commits++;
}

static const struct objects_events host_events = {.committed = on_committed};

static int stored;

static void on_stored(struct store_batch *b, int64_t acked, const struct err *e)
{
	(void)e;
	OK(acked == 1);
	event_list_free(&b->events);
	free(b);
	stored++;
}

/* A session of a VM, as its guest has told. */
static void add_session(const char *session, const char *vm)
{
	struct store_batch *b = calloc(1, sizeof(*b));
	char data[256];
	struct event_spec spec = {
		.session = session,
		.type = "session.created",
		.seq = 1,
		.epoch = 1,
		.ts_ms = 1,
		.data = data,
	};
	struct event *ev;

	spec.data_len = (size_t)snprintf(
		data, sizeof(data),
		"{\"vm\":\"%s\",\"agent\":\"echo\",\"cwd\":\"/\","
		"\"create_hash\":\"00\",\"root\":\"%s\","
		"\"config\":{\"artifacts\":[\"*.txt\"]}}",
		vm, session);
	ev = event_new(&spec);
	OK(ev != NULL);
	TAILQ_INIT(&b->events);
	TAILQ_INSERT_TAIL(&b->events, ev, link);
	snprintf(b->session, sizeof(b->session), "%s", session);
	b->done = on_stored;
	store_append(t.store, b);
}

static void setup(void)
{
	struct err e = {0};
	char path[128];

	snprintf(t.dir, sizeof(t.dir), "/tmp/test_objects.XXXXXX");
	OK(mkdtemp(t.dir) != NULL);
	EQ(uv_loop_init(&t.loop), 0);
	snprintf(path, sizeof(path), "%s/hib.db", t.dir);
	EQ(store_open(&t.loop, path, STORE_HOST, &t.store, &e), 0);
	EQ(reader_open(path, &t.reader, &e), 0);
	add_session(SES, VM);
	add_session(OTHER, VM2);
	RUN_UNTIL(stored == 2);
	snprintf(path, sizeof(path), "%s/workspace.git", t.dir);
	t.depot = depot_new(&t.loop, path);
	OK(t.depot != NULL);
	t.objects = objects_open(
		&(struct objects_spec){
			.loop = &t.loop,
			.ops = &fake_backend,
			.reader = t.reader,
			.depot = t.depot,
			.vm = VM,
			.dir = t.dir,
		},
		&host_events, NULL);
	OK(t.objects != NULL);
	RUN_UNTIL(t.guest != NULL);
}

static void on_depot_closed(void *arg)
{
	(void)arg;
	t.depot_closed = true;
}

static void teardown(void)
{
	char command[128];

	objects_close(t.objects);
	depot_close(t.depot, on_depot_closed, NULL);
	h2_close(take_ptr(t.guest));
	store_close(t.store);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	OK(t.depot_closed);
	reader_close(t.reader);
	EQ(uv_loop_close(&t.loop), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	EQ(system(command), 0);
}

/* --- asking ------------------------------------------------------------- */

static void ask(struct asked *a, const char *path)
{
	a->s = h2_request(t.guest, "GET", path, NULL, 0, false, &asked_events,
			  a);
	OK(a->s != NULL);
}

static void say(struct asked *a, const char *text)
{
	EQ(h2_write(a->s, text, strlen(text)), 0);
}

static void post(struct asked *a)
{
	a->s = h2_request(t.guest, "POST", "/checkpoint", NULL, 0, true,
			  &asked_events, a);
	OK(a->s != NULL);
}

#define HEAD_OF(base, session, turn)                                \
	"{\"base\":" base ",\"session\":" session ",\"turn\":" turn \
	",\"n\":1,\"seq\":2,\"diff_from\":null,\"reason\":\"turn\"}\n"
#define HEAD HEAD_OF("null", "null", "null")

/* The whole of a checkpoint, and the whole answer. */
static void checkpoint(struct asked *a, const char *text)
{
	*a = (struct asked){0};
	post(a);
	say(a, text);
	h2_fin(a->s);
	RUN_UNTIL(a->over);
}

static void get(struct asked *a, const char *path)
{
	*a = (struct asked){0};
	ask(a, path);
	RUN_UNTIL(a->over);
}

static void is_error(struct asked *a, enum fault fault)
{
	autojson struct json j = {0};

	EQ(a->status, fault_http_status(fault));
	EQ(json_parse(&j, a->body.buf, a->body.len, NULL), 0);
	OK(jv_eq(jv_path(json_root(&j), "data.code"), fault_name(fault)));
	jw_done(&a->body);
}

/* A checkpoint of one file, into @commit. */
static void commit_file(char commit[VFS_OID_HEX])
{
	autojson struct json j = {0};
	struct asked a;

	checkpoint(&a, HEAD "M 100644 inline a.txt\ndata 5\nhello\ndone\n");
	EQ(a.status, 200);
	EQ(json_parse(&j, a.body.buf, a.body.len, NULL), 0);
	OK(jv_strcpy(jv_get(json_root(&j), "commit"), commit, VFS_OID_HEX) > 0);
	OK(jv_bool(jv_get(json_root(&j), "changed"), false));
	OK(jv_is(jv_get(json_root(&j), "parent"), JV_NULL));
	jw_done(&a.body);
}

/* --- cases -------------------------------------------------------------- */

TEST(what_is_checkpointed_can_be_read)
{
	char commit[VFS_OID_HEX], path[128], blob[VFS_OID_HEX];
	struct asked a;

	setup();
	commit_file(commit);
	EQ(t.commits, 1);
	snprintf(path, sizeof(path), "/tree/%s", commit);
	get(&a, path);
	EQ(a.status, 200);
	OK(a.body.len > 60);
	EQ(strncmp(a.body.buf, "100644 blob ", 12), 0);
	EQ(memcmp(a.body.buf + a.body.len - 7, "\ta.txt", 7), 0);
	snprintf(blob, sizeof(blob), "%.40s", a.body.buf + 12);
	jw_done(&a.body);

	snprintf(path, sizeof(path), "/blob/%s/1/3", blob);
	get(&a, path);
	EQ(a.status, 200);
	EQ(a.body.len, 3);
	EQ(memcmp(a.body.buf, "ell", 3), 0);
	jw_done(&a.body);
	snprintf(path, sizeof(path), "/blob/%s/3/100", blob);
	get(&a, path);
	EQ(a.body.len, 2);
	jw_done(&a.body);
	teardown();
}

TEST(a_turn_is_told_what_it_changed)
{
	autojson struct json j = {0};
	struct asked a;
	struct jv file;

	setup();
	checkpoint(&a, HEAD_OF("null", "\"" SES "\"",
			       "\"" TRN
			       "\"") "M 100644 "
				     "inline a.txt\ndata 6\nhello\n\ndone\n");
	EQ(a.status, 200);
	EQ(json_parse(&j, a.body.buf, a.body.len, NULL), 0);
	file = jv_first(jv_get(json_root(&j), "files"));
	OK(jv_eq(jv_get(file, "path"), "a.txt"));
	OK(jv_eq(jv_get(file, "kind"), "add"));
	EQ(jv_int(jv_get(json_root(&j), "n_files"), 0), 1);
	OK(!jv_bool(jv_get(json_root(&j), "truncated"), true));
	jw_done(&a.body);
	teardown();
}

TEST(a_turn_is_told_what_its_session_waits_for)
{
	autojson struct json j = {0};
	struct asked a;
	struct jv list, file;

	setup();
	checkpoint(&a, HEAD_OF("null", "\"" SES "\"",
			       "\"" TRN
			       "\"") "M 100644 inline d/a.txt\ndata 3\nabc\n"
				     "M 100644 inline a.c\ndata 0\n\ndone\n");
	EQ(a.status, 200);
	EQ(json_parse(&j, a.body.buf, a.body.len, NULL), 0);
	list = jv_get(json_root(&j), "artifacts");
	EQ(jv_count(list), 1);
	file = jv_first(list);
	OK(jv_eq(jv_get(file, "path"), "d/a.txt"));
	OK(jv_eq(jv_get(file, "name"), "a.txt"));
	EQ(jv_int(jv_get(file, "size"), 0), 3);
	jw_done(&a.body);
	teardown();
}

TEST(a_large_one_comes_in_pieces)
{
	const size_t size = 3u << 20;
	char *bytes = malloc(size);
	struct asked a = {0};

	setup();
	memset(bytes, 'x', size);
	post(&a);
	for (const char *p = HEAD; *p != '\0'; p++) {
		EQ(h2_write(a.s, p, 1), 0);
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	say(&a, "M 100644 inline big\ndata 3145728\n");
	EQ(h2_write(a.s, bytes, size), 0);
	say(&a, "\nD nothing\ndone\n");
	h2_fin(a.s);
	RUN_UNTIL(a.over);
	EQ(a.status, 200);
	jw_done(&a.body);
	free(bytes);
	teardown();
}

TEST(a_guest_commits_for_its_own_sessions)
{
	static const char change[] = "deleteall\ndone\n";
	struct asked a;
	char text[512];

	setup();
	snprintf(text, sizeof(text), "%s%s",
		 HEAD_OF("null", "\"" OTHER "\"", "null"), change);
	checkpoint(&a, text);
	is_error(&a, FAULT_SESSION_NOT_FOUND);
	snprintf(text, sizeof(text), "%s%s",
		 HEAD_OF("null", "\"ses_ffffffffffffffffffffffffffffffff\"",
			 "null"),
		 change);
	checkpoint(&a, text);
	is_error(&a, FAULT_SESSION_NOT_FOUND);
	snprintf(text, sizeof(text), "%s%s",
		 HEAD_OF("null", "\"ses_../../heads/main\"", "null"), change);
	checkpoint(&a, text);
	is_error(&a, FAULT_INVALID_ID);
	snprintf(text, sizeof(text), "%s%s",
		 HEAD_OF("null", "\"" SES "\"", "\"main\""), change);
	checkpoint(&a, text);
	is_error(&a, FAULT_INVALID_ID);
	snprintf(text, sizeof(text), "%s%s",
		 HEAD_OF("null", "null", "\"" TRN "\""), change);
	checkpoint(&a, text);
	is_error(&a, FAULT_INVALID_ARGUMENT);
	EQ(t.commits, 0);
	teardown();
}

TEST(a_head_that_is_none_is_refused)
{
	char *text = malloc(CHECKPOINT_HEAD_MAX + 2);
	struct asked a;

	setup();
	checkpoint(&a, "");
	is_error(&a, FAULT_BAD_FRAME);
	checkpoint(&a, "{}");
	is_error(&a, FAULT_BAD_FRAME);
	checkpoint(&a, "garbage\ndone\n");
	is_error(&a, FAULT_BAD_FRAME);
	checkpoint(&a, "{}\ndone\n");
	is_error(&a, FAULT_INVALID_ARGUMENT);
	checkpoint(&a, "{\"reason\":\"turn\",\"base\":\"HEAD\"}\ndone\n");
	is_error(&a, FAULT_INVALID_ARGUMENT);
	memset(text, ' ', CHECKPOINT_HEAD_MAX + 1);
	text[CHECKPOINT_HEAD_MAX + 1] = '\0';
	checkpoint(&a, text);
	is_error(&a, FAULT_MESSAGE_TOO_LARGE);
	free(text);
	teardown();
}

TEST(an_unknown_base_asks_for_everything)
{
	struct asked a;

	setup();
	checkpoint(&a, HEAD_OF("\"" NONE "\"", "null", "null") "done\n");
	is_error(&a, FAULT_STALE_EPOCH);
	teardown();
}

TEST(a_bad_change_set_leaves_nothing)
{
	static const char *const bad[] = {
		"M 100644 inline ../x\ndata 1\nx\ndone\n",
		"M 100644 inline a\ndata 5\nx\n",
		"M 100644 inline a\ndata 1\nx\n", /* Without done. */
		"rm -rf /\ndone\n",
	};
	char text[512], commit[VFS_OID_HEX];
	struct asked a;

	setup();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "%s%s", HEAD, bad[i]);
		checkpoint(&a, text);
		OK(a.status >= 400 && a.status < 500);
		jw_done(&a.body);
	}
	EQ(t.commits, 0);
	commit_file(commit); /* Has no parent. */
	teardown();
}

TEST(a_guest_that_leaves_in_the_middle_loses_it)
{
	const size_t size = CHECKPOINT_PIECE * 2;
	char *bytes = malloc(size), commit[VFS_OID_HEX];
	struct asked a = {0};

	setup();
	memset(bytes, 'x', size);
	post(&a);
	say(&a, HEAD "M 100644 inline a\ndata 9999999\n");
	EQ(h2_write(a.s, bytes, size), 0);
	RUN_UNTIL(h2_queued(a.s) == 0);
	h2_close(take_ptr(t.guest));
	RUN_UNTIL(t.guest != NULL);
	commit_file(commit); /* The lane is free, and there is no parent. */
	EQ(t.commits, 1);
	free(bytes);
	teardown();
}

TEST(one_that_waits_for_another_comes_after_it)
{
	const size_t size = CHECKPOINT_PIECE * 2;
	char *bytes = malloc(size);
	struct asked first = {0}, second = {0};

	setup();
	memset(bytes, 'x', size);
	post(&first);
	say(&first, HEAD "M 100644 inline a\ndata 524288\n");
	EQ(h2_write(first.s, bytes, size), 0);
	RUN_UNTIL(h2_queued(first.s) == 0);
	post(&second);
	say(&second, HEAD "M 100644 inline b\ndata 1\nb\ndone\n");
	h2_fin(second.s);
	for (int i = 0; i < 100; i++)
		uv_run(&t.loop, UV_RUN_NOWAIT);
	EQ(t.commits, 0);
	say(&first, "\ndone\n");
	h2_fin(first.s);
	RUN_UNTIL(first.over && second.over);
	EQ(first.status, 200);
	EQ(second.status, 200);
	EQ(t.commits, 2);
	jw_done(&first.body);
	jw_done(&second.body);
	free(bytes);
	teardown();
}

TEST(more_than_a_few_at_once_are_refused)
{
	struct asked a[CHECKPOINTS_MAX + 1] = {0};

	setup();
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		post(&a[i]);
	RUN_UNTIL(a[CHECKPOINTS_MAX].status != 0);
	EQ(a[CHECKPOINTS_MAX].status, 429);
	for (size_t i = 0; i < CHECKPOINTS_MAX; i++)
		EQ(a[i].status, 0);
	jw_done(&a[CHECKPOINTS_MAX].body);
	teardown();
}

TEST(what_names_no_object_is_refused)
{
	static const char *const paths[] = {
		"/tree/",
		"/tree/HEAD",
		"/tree/" NONE "/x",
		"/blob/" NONE,
		"/blob/" NONE "/0",
		"/blob/" NONE "/0/8388609",
		"/blob/" NONE "/-1/1",
		"/blob/" NONE "/99999999999999999999/1",
		"/blob/" NONE "/0/1/2",
	};
	char commit[VFS_OID_HEX];
	struct asked a;

	setup();
	get(&a, "/tree/" NONE); /* There is no repository yet. */
	is_error(&a, FAULT_FILE_NOT_FOUND);
	commit_file(commit);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		get(&a, paths[i]);
		is_error(&a, FAULT_INVALID_ARGUMENT);
	}
	get(&a, "/tree/" NONE);
	EQ(a.status, 404);
	jw_done(&a.body);
	get(&a, "/blob/" NONE "/0/1");
	is_error(&a, FAULT_FILE_NOT_FOUND);
	get(&a, "/sync");
	is_error(&a, FAULT_ROUTE_NOT_FOUND);
	teardown();
}

TEST(a_guest_that_reads_nothing_is_not_served_more)
{
	enum { N = 40, SIZE = 4 << 20 };
	static struct asked a[N];
	char *text = malloc(SIZE + 256), path[128];
	struct asked list;
	int n;

	setup();
	n = sprintf(text, HEAD "M 100644 inline big\ndata %d\n", SIZE);
	memset(text + n, 'x', SIZE);
	strcpy(text + n + SIZE, "\ndone\n");
	checkpoint(&list, text);
	EQ(list.status, 200);
	snprintf(path, sizeof(path), "/tree/%.40s",
		 strstr(list.body.buf, "commit\":\"") + 9);
	jw_done(&list.body);
	get(&list, path);
	snprintf(path, sizeof(path), "/blob/%.40s/0/%d", list.body.buf + 12,
		 SIZE);
	jw_done(&list.body);
	for (size_t i = 0; i < N; i++) {
		a[i].keeps = true;
		ask(&a[i], path);
	}
	/* What fits the windows goes out, the rest waits. */
	for (int i = 0; i < 20000; i++)
		uv_run(&t.loop, UV_RUN_NOWAIT);
	OK(t.objects->queued <= OBJECTS_QUEUE_MAX + OBJECTS_RANGE_MAX);
	for (size_t i = 0; i < N; i++)
		jw_done(&a[i].body);
	free(text);
	teardown();
}

TEST(closing_ends_what_is_at_work)
{
	char commit[VFS_OID_HEX], path[128];
	static struct asked a[64];

	setup();
	commit_file(commit);
	snprintf(path, sizeof(path), "/tree/%s", commit);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		ask(&a[i], path);
	RUN_UNTIL(a[0].over);
	teardown();
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		OK(a[i].over);
		jw_done(&a[i].body);
	}
}

TESTS(CASE(what_is_checkpointed_can_be_read),
      CASE(a_turn_is_told_what_it_changed),
      CASE(a_turn_is_told_what_its_session_waits_for),
      CASE(a_large_one_comes_in_pieces),
      CASE(a_guest_commits_for_its_own_sessions),
      CASE(a_head_that_is_none_is_refused),
      CASE(an_unknown_base_asks_for_everything),
      CASE(a_bad_change_set_leaves_nothing),
      CASE(a_guest_that_leaves_in_the_middle_loses_it),
      CASE(one_that_waits_for_another_comes_after_it),
      CASE(more_than_a_few_at_once_are_refused),
      CASE(what_names_no_object_is_refused),
      CASE(a_guest_that_reads_nothing_is_not_served_more),
      CASE(closing_ends_what_is_at_work))
