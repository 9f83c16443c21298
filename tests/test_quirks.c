// SPDX-License-Identifier: Apache-2.0
/*
 * test_quirks.c - What a manifest may say of an agent
 */
#include "guest/quirks.h"
#include "tests/tap.h"

static int read_text(const char *text, struct quirks *q, struct err *e)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), e), 0);
	return quirks_read(jv_get(json_root(&j), "quirks"), q, e);
}

TEST(none_is_all_zeroes)
{
	const struct quirks none = {0};
	struct quirks q;
	struct err e = {0};

	memset(&q, 1, sizeof(q));
	EQ(read_text("{}", &q, &e), 0);
	EQ(memcmp(&q, &none, sizeof(q)), 0);
	memset(&q, 1, sizeof(q));
	EQ(read_text("{\"quirks\":null}", &q, &e), 0);
	EQ(memcmp(&q, &none, sizeof(q)), 0);
}

TEST(each_has_its_field)
{
	struct quirks q;
	struct err e = {0};

	EQ(read_text("{\"quirks\":{\"no_fs\":true,\"missing_empty\":true,"
		     "\"steer\":null,\"unknown\":[1],\"exit_ms\":2000}}",
		     &q, &e),
	   0);
	OK(q.no_fs && q.missing_empty);
	OK(!q.no_terminal && !q.no_load && !q.steer);
	OK(q.has_exit_ms);
	EQ(q.exit_ms, 2000);
	EQ(q.late_replay_ms, 0);
	EQ(read_text("{\"quirks\":{\"no_terminal\":true,\"no_load\":true,"
		     "\"steer\":true,\"late_replay_ms\":1}}",
		     &q, &e),
	   0);
	OK(q.no_terminal && q.no_load && q.steer && !q.no_fs);
	EQ(q.late_replay_ms, 1);
	OK(!q.has_exit_ms);
}

TEST(wrong_ones_are_refused)
{
	static const char *const wrong[] = {
		"{\"quirks\":[]}",
		"{\"quirks\":\"no_fs\"}",
		"{\"quirks\":{\"no_fs\":1}}",
		"{\"quirks\":{\"exit_ms\":true}}",
		"{\"quirks\":{\"exit_ms\":-1}}",
		"{\"quirks\":{\"exit_ms\":60001}}",
		"{\"quirks\":{\"late_replay_ms\":1.5}}",
	};
	struct quirks q = {.steer = true};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err e = {0};

		EQ(read_text(wrong[i], &q, &e), -FAULT_INVALID_ARGUMENT);
		OK(q.steer);
	}
}

TESTS(CASE(none_is_all_zeroes), CASE(each_has_its_field),
      CASE(wrong_ones_are_refused))
