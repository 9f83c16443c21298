// SPDX-License-Identifier: Apache-2.0
/*
 * test_id.c - Names of things
 */
#include "core/id.h"

#include <string.h>

#include "core/time.h"
#include "tests/tap.h"

TEST(new_id_is_well_formed)
{
	static const char *const prefixes[] = {"vm",  "ses", "trn", "msg",
					       "req", "exe", "art", "sch",
					       "snp", "cmt"};
	char id[ID_MAX];

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		id_new(id, prefixes[i]);
		EQ(strlen(id), strlen(prefixes[i]) + 33);
		OK(id_is(id, prefixes[i]));
		OK(id_is(id, NULL));
	}
}

TEST(new_id_is_a_uuid_of_version_7_and_of_now)
{
	char id[ID_MAX], time[13] = "";
	int64_t before = now_ms(), ms;

	id_new(id, "ses");
	memcpy(time, id + 4, 12);
	ms = (int64_t)strtoll(time, NULL, 16);
	OK(ms >= before && ms <= now_ms());
	EQ(id[4 + 12], '7');
	OK(strchr("89ab", id[4 + 16]) != NULL);
}

TEST(ids_sort_by_birth_and_do_not_repeat)
{
	char a[ID_MAX], b[ID_MAX];

	id_new(a, "trn");
	for (int i = 0; i < 1000; i++) {
		usleep(1);
		id_new(b, "trn");
		OK(strcmp(a, b) < 0);
		strcpy(a, b);
	}
}

TEST(malformed_ids_are_refused)
{
	static const char *const bad[] = {
		"",
		"_",
		"ses",
		"ses_",
		"ses_0123456789abcdef0123456789abcde",
		"ses_0123456789abcdef0123456789abcdef0",
		"ses_0123456789ABCDEF0123456789abcdef",
		"ses_0123456789abcdef0123456789abcdeg",
		"ses_0123456789abcdef0123456789abcde\n",
		"ses-0123456789abcdef0123456789abcdef",
		"xyz_0123456789abcdef0123456789abcdef",
		"session_0123456789abcdef0123456789abcdef",
		" ses_0123456789abcdef0123456789abcdef",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (id_is(bad[i], NULL) || id_is(bad[i], "ses"))
			FAIL("'%s' was taken for an id", bad[i]);
	OK(!id_is(NULL, NULL));
}

TEST(prefix_must_be_the_one_asked_for)
{
	OK(id_is("vm_0123456789abcdef0123456789abcdef", "vm"));
	OK(!id_is("vm_0123456789abcdef0123456789abcdef", "ses"));
	OK(!id_is("ses_0123456789abcdef0123456789abcdef", "se"));
}

TESTS(CASE(new_id_is_well_formed),
      CASE(new_id_is_a_uuid_of_version_7_and_of_now),
      CASE(ids_sort_by_birth_and_do_not_repeat),
      CASE(malformed_ids_are_refused), CASE(prefix_must_be_the_one_asked_for))
