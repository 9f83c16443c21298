// SPDX-License-Identifier: Apache-2.0
/*
 * test_reexec.c - The guest daemon becomes its newer self
 *
 * As test_guest.c; the newer program is the same one.
 */
#include <dirent.h>
#include <stdio.h>

#include "tests/guest_host.h"
#include "tests/tap.h"

/* As the host does after the answer: come again, and go on. */
static void meet_again(struct host *h, int64_t upgrades)
{
	char have[128];
	struct reply *r;

	disconnect(h);
	do {
		host_connect(h);
		r = begin_text(h, "/hello",
			       "{\"version\":1,\"vm\":\"" VM "\"}");
		finish(r);
		if (r->status != 200) { /* The old one, on its way out. */
			drop(r);
			disconnect(h);
			r = NULL;
		}
	} while (r == NULL);
	EQ(jv_int(jv_get(r->v, "upgrades"), -1), upgrades);
	OK(jv_bool(jv_get(r->v, "started"), false));
	drop(r);
	done(begin_text(h, "/start", "{\"generation\":1}"));
	snprintf(have, sizeof(have), "{\"have\":{\"" SES "\":%zu}}\n", h->n);
	sync_begin(h, have);
}

static void upgrade(struct host *h, int64_t upgrades)
{
	struct reply *r = begin(h, "reexec", "{}");

	expect_ok(r);
	OK(jv_has(jv_get(r->v, "build")));
	drop(r);
	meet_again(h, upgrades);
}

static unsigned count_fds(const struct host *h)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)h->pid);
	d = opendir(path);
	if (d == NULL) /* It lets nobody but root look. */
		SKIP("%s: %s", path, strerror(errno));
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void agent_goes_on(struct host *h)
{
	int64_t pid;
	size_t n;

	create(h);
	says(h, "one", "one");
	pid = pid_of(h);
	n = h->n;
	upgrade(h, 1);
	state_is(h, "idle");
	EQ(pid_of(h), pid);
	EQ(h->n, n); /* It says nothing of it. */
	says(h, "two", "two");
	EQ(pid_of(h), pid);
	check_log(h, SES);
	EQ(count(h, SES, "agent.started"), 1);
	/* And it still hears how its agent ends. */
	done(simple(h, "session.close", ""));
	await(h, "agent.exited");
}

TEST(an_agent_goes_on_under_the_new_program)
{
	struct host *h = up();

	agent_goes_on(h);
	down(h);
}

TEST(so_it_does_in_namespaces_of_its_own)
{
	struct host *h = up_isolated();

	agent_goes_on(h);
	power_cut(h);
}

TEST(nothing_is_left_open_by_many_of_them)
{
	struct host *h = up();
	unsigned n_fds;

	create(h);
	says(h, "0", "0");
	upgrade(h, 1);
	says(h, "1", "1");
	n_fds = count_fds(h);
	for (int i = 2; i < 10; i++) {
		upgrade(h, i);
		says(h, "again", "again");
	}
	OK(count_fds(h) <= n_fds);
	check_log(h, SES);
	down(h);
}

TEST(a_turn_is_not_cut)
{
	struct host *h = up();

	create(h);
	done(prompt(h, "!sleep 60000"));
	await(h, "acp.request");
	refused(begin(h, "reexec", "{}"), "turn_active");
	done(simple(h, "session.cancel", ""));
	await(h, "turn.cancelled");
	await(h, "session.state");
	upgrade(h, 1);
	says(h, "on", "on");
	check_log(h, SES);
	down(h);
}

TEST(what_the_agent_offers_is_known_as_before)
{
	struct host *h = up();
	struct reply *r;
	char *before;

	create(h);
	r = resume(h, "", "");
	expect_ok(r);
	before = strdup(r->text.buf);
	drop(r);
	upgrade(h, 1);
	r = resume(h, "", "");
	expect_ok(r);
	OK(jv_has(jv_get(r->v, "config_options")));
	STR_EQ(r->text.buf, before);
	drop(r);
	free(before);
	down(h);
}

TEST(one_with_mcp_servers_is_suspended_before)
{
	struct host *h = up();
	const char *mcp = mcp_local(h, "");

	done(create_as(h, SES, "", mcp));
	await(h, "session.ready");
	done(begin(h, "reexec", "{}"));
	await(h, "agent.exited");
	meet_again(h, 1);
	state_is(h, "suspended");
	done(resume(h, "", mcp));
	says(h, "on", "on");
	check_log(h, SES);
	down(h);
}

TESTS(CASE(an_agent_goes_on_under_the_new_program),
      CASE(so_it_does_in_namespaces_of_its_own),
      CASE(nothing_is_left_open_by_many_of_them), CASE(a_turn_is_not_cut),
      CASE(what_the_agent_offers_is_known_as_before),
      CASE(one_with_mcp_servers_is_suspended_before))
