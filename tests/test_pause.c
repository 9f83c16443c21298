// SPDX-License-Identifier: Apache-2.0
/*
 * test_pause.c - The guest daemon stands still, and goes on
 *
 * As test_guest.c.  Where processes are to be stopped the guest is process 1 of
 * namespaces of its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "tests/guest_host.h"
#include "tests/tap.h"

static struct host *up_isolated(void)
{
	struct host *h = host_new();

	h->isolate = true;
	host_spawn(h);
	host_serve(h);
	sync_begin(h, "{\"have\":{}}\n");
	return h;
}

static struct reply *freeze(struct host *h)
{
	return begin(h, "freeze", "{\"warm\":true,\"reason\":\"suspend\"}");
}

static struct reply *thaw(struct host *h)
{
	return begin(h, "thaw",
		     "{\"generation\":2,\"now\":1700000000000,\"reason\":"
		     "\"resume\"}");
}

/* What the log of SES ends with, as an answer says. */
static int64_t last_seq(const struct reply *r)
{
	return jv_int(jv_path(r->v, "last_seq." SES), 0);
}

static void paused_is(struct host *h, bool want)
{
	struct reply *r = hello(h);

	EQ(jv_bool(jv_get(r->v, "paused"), !want), want);
	OK(!jv_bool(jv_get(r->v, "frozen"), true));
	drop(r);
}

TEST(F212_a_pause_is_told_refuses_calls_and_ends)
{
	struct host *h = up();
	struct reply *r;
	int64_t seq;

	create(h);
	says(h, "before", "before");
	paused_is(h, false);
	r = freeze(h);
	expect_ok(r);
	seq = last_seq(r);
	OK(jv_bool(jv_get(r->v, "warm"), false));
	EQ(jv_int(jv_get(r->v, "execs"), -1), 0);
	drop(r);
	expect(await(h, "session.state"),
	       "\"from\":\"idle\",\"to\":\"suspended\",\"reason\":\"suspend\","
	       "\"suspended_from\":\"idle\"");
	EQ(h->events[h->n - 1]->seq, seq);
	paused_is(h, true);
	refused(prompt(h, "no"), "draining");
	refused(simple(h, "session.get", ""), "draining");
	refused(begin_text(h, "/start", "{\"generation\":1}"), "draining");
	/* Said again: the same. */
	r = freeze(h);
	expect_ok(r);
	EQ(last_seq(r), seq);
	drop(r);
	r = thaw(h);
	expect_ok(r);
	EQ(last_seq(r), seq + 2);
	drop(r);
	expect(await(h, "session.resumed"), "\"restore\":\"warm\"");
	expect(await(h, "session.state"),
	       "\"from\":\"suspended\",\"to\":\"idle\",\"reason\":\"resume\"");
	paused_is(h, false);
	r = thaw(h);
	expect_ok(r);
	EQ(last_seq(r), seq + 2);
	drop(r);
	says(h, "after", "after");
	check_log(h, SES);
	down(h);
}

/* Pause, and see that nothing comes any more; then go on. */
static void nap(struct host *h)
{
	struct reply *r = freeze(h);
	int64_t seq;

	expect_ok(r);
	seq = last_seq(r);
	drop(r);
	while (h->events[h->n - 1]->seq < seq)
		tick(h);
	EQ(h->events[h->n - 1]->seq, seq);
	STR_EQ(h->events[h->n - 1]->type, "session.state");
	done(thaw(h));
}

static size_t numbered(const struct host *h)
{
	char want[32];
	size_t k = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->events[i]->type, "acp.update") != 0)
			continue;
		snprintf(want, sizeof(want), "\"i=%zu ", ++k);
		expect(h->events[i], want);
	}
	return k;
}

static bool turn_is_over(const struct host *h)
{
	return count(h, SES, "turn.completed") > 0;
}

/* Return: how often. */
static unsigned stream_and_nap(struct host *h)
{
	unsigned n_naps = 0;

	create(h);
	done(prompt(h, "!flood 20000 100 40"));
	while (!turn_is_over(h)) {
		for (long n = random() % 4; n >= 0; n--)
			tick(h);
		if (turn_is_over(h))
			break;
		nap(h);
		n_naps++;
	}
	EQ(count(h, SES, "session.resumed"), n_naps);
	EQ(numbered(h), 20000);
	check_log(h, SES);
	down(h);
	return n_naps;
}

TEST(F212_F118_pauses_of_a_stream_lose_and_double_nothing)
{
	srandom((unsigned)time(NULL));
	OK(stream_and_nap(up_isolated()) >= 20);
}

TEST(pauses_of_a_stream_whose_processes_go_on_lose_nothing)
{
	(void)stream_and_nap(up());
}

TESTS(CASE(F212_a_pause_is_told_refuses_calls_and_ends),
      CASE(F212_F118_pauses_of_a_stream_lose_and_double_nothing),
      CASE(pauses_of_a_stream_whose_processes_go_on_lose_nothing))
