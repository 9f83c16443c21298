// SPDX-License-Identifier: Apache-2.0
/*
 * test_wire.c - Which version of the guest channel two sides agree on
 */
#include "core/wire.h"

#include "tests/tap.h"

static struct err e;

static int agree(int64_t min, int64_t max, const char *hello)
{
	const struct wire_versions ours = {.min = min, .max = max};
	autojson struct json j = {0};

	e = (struct err){0};
	EQ(json_parse(&j, hello, strlen(hello), NULL), 0);
	return wire_agree(&ours, json_root(&j), "hibd", "the guest", &e);
}

TEST(the_highest_common_version_is_used)
{
	EQ(agree(1, 1, "{\"version\":1,\"min_version\":1}"), 1);
	EQ(agree(1, 3, "{\"version\":2,\"min_version\":1}"), 2);
	EQ(agree(2, 3, "{\"version\":7,\"min_version\":3}"), 3);
}

TEST(the_first_peers_speak_one_version)
{
	EQ(agree(1, 4, "{\"version\":1}"), 1);
	EQ(agree(1, 4, "{}"), 1);
	EQ(agree(2, 4, "{\"version\":1}"), -FAULT_CAPABILITY_UNSUPPORTED);
}

TEST(without_a_common_version_the_older_side_is_named)
{
	EQ(agree(3, 4, "{\"version\":2,\"min_version\":1}"),
	   -FAULT_CAPABILITY_UNSUPPORTED);
	STR_EQ(e.msg, "the guest is too old for hibd: it speaks versions 1 to "
		      "2 of the guest channel, not versions 3 to 4");
	EQ(agree(1, 1, "{\"version\":3,\"min_version\":2}"),
	   -FAULT_CAPABILITY_UNSUPPORTED);
	STR_EQ(e.msg, "hibd is too old for the guest: it speaks version 1 of "
		      "the guest channel, not versions 2 to 3");
}

TEST(what_is_no_version_is_a_bad_frame)
{
	EQ(agree(1, 1, "{\"version\":0}"), -FAULT_BAD_FRAME);
	EQ(agree(1, 1, "{\"version\":1,\"min_version\":-1}"), -FAULT_BAD_FRAME);
	EQ(agree(1, 1, "{\"version\":1,\"min_version\":2}"), -FAULT_BAD_FRAME);
	EQ(agree(1, 1, "{\"version\":4611686018427387904}"), -FAULT_BAD_FRAME);
}

TESTS(CASE(the_highest_common_version_is_used),
      CASE(the_first_peers_speak_one_version),
      CASE(without_a_common_version_the_older_side_is_named),
      CASE(what_is_no_version_is_a_bad_frame))
