// SPDX-License-Identifier: Apache-2.0
/*
 * test_stall.c - A thread that waits for what does not come
 */
#include <errno.h>
#include <sys/socket.h>

#include "tests/tap.h"
#include "vfs/stall.h"

#define SILENT_MS 50

/* A socket that nobody writes to. */
static int read_nothing(void)
{
	int s[2];
	char c;

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	return recv(s[0], &c, 1, 0) < 0 ? -errno : 0;
}

TEST(who_waits_is_interrupted)
{
	struct stall s;

	EQ(stall_begin(&s, SILENT_MS), 0);
	EQ(read_nothing(), -EINTR);
	OK(stall_end(&s));
}

TEST(and_again_if_it_waits_for_more)
{
	struct stall s;

	EQ(stall_begin(&s, SILENT_MS), 0);
	for (int i = 0; i < 3; i++)
		EQ(read_nothing(), -EINTR);
	OK(stall_end(&s));
}

TEST(who_gets_on_is_not)
{
	struct stall s;

	EQ(stall_begin(&s, 20 * SILENT_MS), 0);
	for (int i = 0; i < 40; i++) {
		EQ(usleep(SILENT_MS * 1000), 0);
		stall_tick(&s);
	}
	OK(!stall_end(&s));
}

TEST(the_end_does_not_wait)
{
	struct stall s;

	EQ(stall_begin(&s, 3600000), 0);
	OK(!stall_end(&s));
}

TESTS(CASE(who_waits_is_interrupted), CASE(and_again_if_it_waits_for_more),
      CASE(who_gets_on_is_not), CASE(the_end_does_not_wait))
