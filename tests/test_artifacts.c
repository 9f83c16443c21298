// SPDX-License-Identifier: Apache-2.0
/*
 * test_artifacts.c - Which files of a commit are results
 */
#include "vfs/artifacts.h"

#include "tests/commit_kit.h"

static struct vfs_artifacts *patterns(const char *json)
{
	autojson struct json j = {0};
	struct vfs_artifacts *a = NULL;
	struct err e = {0};

	EQ(json_parse(&j, json, strlen(json), &e), 0);
	if (vfs_artifacts_new(json_root(&j), &a, &e) < 0)
		FAIL("%s", e.msg);
	return a;
}

static int refused(const char *json)
{
	autojson struct json j = {0};
	struct vfs_artifacts *a = NULL;
	struct err e = {0};

	EQ(json_parse(&j, json, strlen(json), &e), 0);
	int r = vfs_artifacts_new(json_root(&j), &a, &e);
	OK(a == NULL);
	return r;
}

/* The values of @key of what is found, each with a space behind it. */
static void check(struct git_kit *k, const char *json,
		  const struct vfs_oid *from, const struct vfs_oid *to,
		  const char *key, const char *want)
{
	struct vfs_artifacts *a = patterns(json);
	autojw struct jw out = {0}, got = {0};
	autojson struct json j = {0};
	struct err e = {0};
	uint64_t more = 1;
	char text[256];

	EQ(vfs_artifacts_find(a, k->repo, from, to, &out, &more, &e), 0);
	EQ(more, 0);
	EQ(json_parse(&j, out.buf, out.len, &e), 0);
	jw_lit(&got, "", 0);
	struct jv all = json_root(&j);
	for (struct jv v = jv_first(all); jv_has(v); v = jv_next(all, v)) {
		OK(jv_strcpy(jv_get(v, key), text, sizeof(text)) >= 0);
		jw_lit(&got, text, strlen(text));
		jw_lit(&got, " ", 1);
	}
	STR_EQ(got.len > 0 ? got.buf : "", want);
	vfs_artifacts_free(a);
}

TEST(files_that_fit_and_changed_are_found)
{
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k, "mkdir -p out/deep && echo a >out/a && echo b >out/deep/b &&"
		  " echo c >c.pdf && echo d >d && ln -s a out/link");
	struct vfs_oid one = commit_all(&k, "one");
	check(&k, "[\"out/**\"]", NULL, &one, "path", "out/a out/deep/b ");
	check(&k, "[\"*.pdf\", \"out/*\"]", NULL, &one, "path", "c.pdf out/a ");
	check(&k, "[\"*\", \"!out/**\"]", NULL, &one, "path", "c.pdf d ");
	check(&k, "[]", NULL, &one, "path", "");
	check(&k, "[\"out/**\"]", &one, &one, "path", "");

	FILES(&k, "echo new >out/deep/b && chmod 755 out/a && rm d &&"
		  " mkdir d && echo x >d/x.pdf");
	struct vfs_oid two = commit_all(&k, "two");
	check(&k, "[\"out/**\", \"*.pdf\"]", &one, &two, "path",
	      "out/deep/b d/x.pdf ");
	check(&k, "[\"out/**\"]", &one, &two, "name", "b ");
	git_kit_close(&k);
}

TEST(an_artifact_has_the_hash_of_its_bytes)
{
	struct git_kit k;

	git_kit_open(&k);
	FILES(&k, "printf abc >abc && head -c 3000000 /dev/zero >zeros &&"
		  " : >empty");
	struct vfs_oid one = commit_all(&k, "one");
	check(&k, "[\"abc\"]", NULL, &one, "sha256",
	      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a"
	      "d ");
	check(&k, "[\"empty\"]", NULL, &one, "sha256",
	      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"
	      "5 ");
	check(&k, "[\"abc\"]", NULL, &one, "oid",
	      "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f ");
	git_kit_close(&k);
}

TEST(what_is_too_much_is_counted)
{
	struct vfs_artifacts *a = patterns("[\"*\"]");
	autojw struct jw out = {0};
	autojson struct json j = {0};
	struct err e = {0};
	struct git_kit k;
	uint64_t more = 0;

	git_kit_open(&k);
	FILES(&k, "seq 300 | split -l 1 -a 3 - f");
	struct vfs_oid one = commit_all(&k, "one");
	EQ(vfs_artifacts_find(a, k.repo, NULL, &one, &out, &more, &e), 0);
	EQ(more, 300 - VFS_ARTIFACTS_MAX);
	EQ(json_parse(&j, out.buf, out.len, &e), 0);
	EQ(jv_count(json_root(&j)), VFS_ARTIFACTS_MAX);
	vfs_artifacts_free(a);
	git_kit_close(&k);
}

TEST(bad_patterns_are_refused)
{
	autojw struct jw many = {0};

	EQ(refused("\"out\""), -FAULT_INVALID_ARGUMENT);
	EQ(refused("[1]"), -FAULT_INVALID_ARGUMENT);
	EQ(refused("[\"\"]"), -FAULT_INVALID_ARGUMENT);
	EQ(refused("[\"a\\nb\"]"), -FAULT_INVALID_ARGUMENT);
	EQ(refused("[\"a\\u0000b\"]"), -FAULT_INVALID_ARGUMENT);
	jw_arr(&many);
	for (int i = 0; i <= VFS_ARTIFACT_PATTERNS_MAX; i++)
		jw_str(&many, "a");
	jw_arr_end(&many);
	EQ(refused(many.buf), -FAULT_INVALID_ARGUMENT);
}

TESTS(CASE(files_that_fit_and_changed_are_found),
      CASE(an_artifact_has_the_hash_of_its_bytes),
      CASE(what_is_too_much_is_counted), CASE(bad_patterns_are_refused))
