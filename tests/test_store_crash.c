// SPDX-License-Identifier: Apache-2.0
/*
 * test_store_crash.c - What was acked is there, however the writer ends
 *
 * A child appends to many sessions at once and writes each ack into a pipe.
 * The parent reads some of them, kills the child in the middle of its work, and
 * looks: every acked event is there, no log has a gap, and nothing is damaged.
 * The next child goes on where the last one was killed.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/store_kit.h"

#define SESSIONS  40
#define KILLS	  10 /* In each case; there are three. */
#define BATCH_MAX 5
#define ACKS_MAX  600 /* Read before a kill. */
#define FILE_MAX  (3u << 20)

static const char chunk[] =
	"{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"params\":"
	"\"it is some text of the size that an agent sends in one piece\"}}";

struct ack {
	int session;
	int64_t seq; /* Negative: the code of a failure. */
};

/* What parent and child both know. */
struct run {
	struct kit kit;
	struct log logs[SESSIONS];
	int64_t acked[SESSIONS];
	enum store_role role;
	int pipe[2];
};

/*
 * The child.
 */

struct writer {
	struct store_batch b;
	struct run *run;
	int i; /* Its session. */
	bool ended;
};

static void append_more(struct writer *w);

static void tell(struct writer *w, int64_t seq)
{
	struct ack a = {.session = w->i, .seq = seq};

	if (write(w->run->pipe[1], &a, sizeof(a)) != (ssize_t)sizeof(a))
		_exit(3);
}

static void on_appended(struct store_batch *b, int64_t acked,
			const struct err *e)
{
	struct writer *w = container_of(b, struct writer, b);

	(void)e;
	event_list_free(&b->events);
	tell(w, acked);
	if (acked >= 0)
		append_more(w);
}

static struct event *next_event(struct log *l)
{
	if (++l->seq == 1)
		return log_event(l, 1, "session.created", NULL, "{}");
	if (l->seq % 10 == 0)
		return log_event(l, l->seq, "session.config", NULL,
				 "{\"model\":\"m\"}");
	return log_event(l, l->seq, "acp.update", NULL, chunk);
}

static void append_more(struct writer *w)
{
	struct log *l = &w->run->logs[w->i];
	int n = 1 + (int)(l->seq % BATCH_MAX);

	w->b = (struct store_batch){.done = on_appended};
	TAILQ_INIT(&w->b.events);
	strcpy(w->b.session, l->session);
	for (int i = 0; i < n; i++) {
		struct event *ev = next_event(l);

		TAILQ_INSERT_TAIL(&w->b.events, ev, link);
	}
	store_append(w->run->kit.store, &w->b);
}

/* Runs until it is killed or every append has failed. */
static void child(struct run *run)
{
	static struct writer writers[SESSIONS];

	kit_start(&run->kit);
	for (int i = 0; i < SESSIONS; i++) {
		struct log *l = &run->logs[i];

		l->seq = atoll(kit_ask(
			&run->kit, "SELECT last_seq FROM session WHERE id=?1",
			l->session));
		writers[i].run = run;
		writers[i].i = i;
		append_more(&writers[i]);
	}
	uv_run(&run->kit.loop, UV_RUN_DEFAULT);
	kit_stop(&run->kit);
	_exit(0);
}

static pid_t start_child(struct run *run)
{
	pid_t pid;

	EQ(pipe2(run->pipe, O_CLOEXEC), 0);
	pid = fork();
	OK(pid >= 0);
	if (pid == 0)
		child(run);
	close(run->pipe[1]);
	return pid;
}

/*
 * The parent.
 */

/* Return: false at the end of the pipe. */
static bool read_ack(struct run *run)
{
	struct ack a;
	ssize_t n = read(run->pipe[0], &a, sizeof(a));

	if (n == 0)
		return false;
	EQ(n, sizeof(a)); /* Writes of this size are atomic. */
	if (a.seq < 0) {
		EQ(a.seq, -ENOSPC);
		return true;
	}
	OK(a.seq > run->acked[a.session]);
	run->acked[a.session] = a.seq;
	return true;
}

static void check_logs(const struct run *run)
{
	for (int i = 0; i < SESSIONS; i++) {
		const char *sums;
		long long n, max, last;

		sums = kit_ask(&run->kit,
			       "SELECT count(*)||' '||max(e.seq)||' '||"
			       "s.last_seq FROM event e JOIN session s"
			       " ON s.n=e.session_n WHERE s.id=?1",
			       run->logs[i].session);
		if (run->acked[i] == 0 && sums[0] == '\0')
			continue;
		EQ(sscanf(sums, "%lld %lld %lld", &n, &max, &last), 3);
		EQ(n, max);
		EQ(n, last);
		OK(n >= run->acked[i]);
	}
	EQ(kit_check(&run->kit), 0);
}

static void run_open(struct run *run, enum store_role role)
{
	memset(run, 0, sizeof(*run));
	kit_open(&run->kit, role);
	kit_stop(&run->kit);
	for (int i = 0; i < SESSIONS; i++)
		run->logs[i] = log_new();
}

static void run_close(struct run *run)
{
	EQ(uv_loop_close(&run->kit.loop), 0);
	kit_remove(&run->kit);
}

/* Kill a child after each of several numbers of acks. */
static void kill_again_and_again(enum store_role role, unsigned seed)
{
	static struct run run;
	int status;

	run_open(&run, role);
	for (int i = 0; i < KILLS; i++) {
		int n = 1 + rand_r(&seed) % ACKS_MAX;
		pid_t pid = start_child(&run);

		while (n-- > 0)
			OK(read_ack(&run));
		EQ(kill(pid, SIGKILL), 0);
		EQ(waitpid(pid, &status, 0), pid);
		OK(WIFSIGNALED(status));
		while (read_ack(&run)) /* What was on its way. */
			;
		close(run.pipe[0]);
		check_logs(&run);
	}
	run_close(&run);
}

TEST(acked_events_of_a_guest_survive_its_death)
{
	kill_again_and_again(STORE_GUEST, 1);
}

TEST(acked_events_of_a_host_survive_its_death)
{
	kill_again_and_again(STORE_HOST, 2);
}

TEST(acked_events_survive_another_series_of_deaths)
{
	kill_again_and_again(STORE_HOST, 3);
}

/* The store's own file of a fresh folder must come into being whole. */
TEST(a_writer_killed_while_opening_leaves_a_store_or_none)
{
	struct kit k;
	int status;

	kit_open(&k, STORE_HOST);
	kit_stop(&k);
	for (useconds_t us = 0; us < 4000; us += 100) {
		pid_t pid;

		EQ(unlink(k.db), 0);
		pid = fork();
		if (pid == 0) {
			kit_start(&k);
			pause();
		}
		usleep(us);
		EQ(kill(pid, SIGKILL), 0);
		EQ(waitpid(pid, &status, 0), pid);
		kit_start(&k);
		EQ(kit_check(&k), 0);
		kit_stop(&k);
	}
	EQ(uv_loop_close(&k.loop), 0);
	kit_remove(&k);
}

TEST(F119_files_that_cannot_grow_lose_nothing_acked)
{
	static struct run run;
	struct rlimit before, small;
	int status;
	pid_t pid;

	run_open(&run, STORE_GUEST);
	EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = FILE_MAX;
	signal(SIGXFSZ, SIG_IGN);
	EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
	pid = start_child(&run);
	EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
	while (read_ack(&run))
		;
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	check_logs(&run);
	for (int i = 0; i < SESSIONS; i++)
		OK(run.acked[i] > 0);

	/* Without the limit the logs go on. */
	pid = start_child(&run);
	for (int i = 0; i < 5 * SESSIONS; i++)
		OK(read_ack(&run));
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
	close(run.pipe[0]);
	check_logs(&run);
	run_close(&run);
}

TESTS(CASE(acked_events_of_a_guest_survive_its_death),
      CASE(acked_events_of_a_host_survive_its_death),
      CASE(acked_events_survive_another_series_of_deaths),
      CASE(a_writer_killed_while_opening_leaves_a_store_or_none),
      CASE(F119_files_that_cannot_grow_lose_nothing_acked))
