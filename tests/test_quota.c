// SPDX-License-Identifier: Apache-2.0
/*
 * test_quota.c - What a session's config may say of limits
 */
#include "core/quota.h"
#include "tests/tap.h"

static int read_text(const char *text, struct quota *q, struct err *e)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), e), 0);
	return quota_read(json_root(&j), q, e);
}

TEST(what_is_absent_has_its_default)
{
	static const char *const texts[] = {
		"{}", "{\"limits\":null}", "{\"limits\":{}}",
		"{\"limits\":{\"processes\":null,\"other\":true}}"};
	struct quota q;
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		memset(&q, 1, sizeof(q));
		EQ(read_text(texts[i], &q, &e), 0);
		EQ(q.processes, QUOTA_PROCESSES_DEFAULT);
		EQ(q.memory_bytes + q.cpu_percent + q.open_files, 0);
	}
}

TEST(each_has_its_field_and_may_be_none)
{
	struct quota q;
	struct err e = {0};

	EQ(read_text("{\"limits\":{\"processes\":0,\"memory_bytes\":"
		     "8589934592,\"cpu_percent\":150,\"open_files\":64}}",
		     &q, &e),
	   0);
	EQ(q.processes, 0);
	EQ(q.memory_bytes, INT64_C(8589934592));
	EQ(q.cpu_percent, 150);
	EQ(q.open_files, 64);
}

TEST(wrong_ones_are_refused)
{
	static const char *const texts[] = {
		"{\"limits\":[]}",
		"{\"limits\":7}",
		"{\"limits\":{\"processes\":-1}}",
		"{\"limits\":{\"processes\":\"7\"}}",
		"{\"limits\":{\"processes\":4194305}}",
		"{\"limits\":{\"cpu_percent\":0.5}}",
		"{\"limits\":{\"open_files\":true}}",
		"{\"limits\":{\"memory_bytes\":99999999999999999999}}",
	};
	struct quota q = {.open_files = 5};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = {0};

		EQ(read_text(texts[i], &q, &e), -FAULT_INVALID_ARGUMENT);
		EQ(q.open_files, 5);
	}
}

TESTS(CASE(what_is_absent_has_its_default),
      CASE(each_has_its_field_and_may_be_none), CASE(wrong_ones_are_refused))
