// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_policy.c - What is taken as a policy can be asked about any call
 *
 * It answers twice the same; joined with nothing, or with itself, it says what
 * it said alone; a path that was made absolute stays as it is.
 */
#include "core/policy.h"

#include <assert.h>
#include <string.h>

#define CWD "/workspace"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct policy_verdict ask(struct jv policy,
				 const struct policy_call *call)
{
	struct policy_verdict v, again;

	policy_decide(policy, call, &v);
	policy_decide(policy, call, &again);
	assert(v.action == again.action && strcmp(v.rule, again.rule) == 0);
	return v;
}

static void check_joined(struct jv first, struct jv second,
			 const struct policy_call *call,
			 const struct policy_verdict *want)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};
	struct policy_verdict v;

	if (policy_join(first, second, &w, NULL) < 0)
		return;
	assert(!w.failed && json_parse(&j, w.buf, w.len, NULL) == 0);
	v = ask(json_root(&j), call);
	assert(v.action == want->action && strcmp(v.rule, want->rule) == 0);
}

static void check_policy(struct jv policy, const struct policy_call *call)
{
	const struct jv none = {.i = -1};
	struct policy_verdict v = ask(policy, call);

	check_joined(policy, none, call, &v);
	check_joined(none, policy, call, &v);
	check_joined(policy, policy, call, &v);
}

/* What is behind the policy's text: the title, then a path. */
static void check_text(const char *text, const char *title, const char *path)
{
	autofree char *absolute = policy_path(CWD, path);
	autofree char *again = policy_path("/", absolute);
	autojson struct json j = {0};
	const char *paths[] = {absolute};
	struct policy_call call = {
		.cwd = CWD,
		.title = title,
		.paths = paths,
		.n_paths = 1,
	};

	assert(absolute[0] == '/' && strcmp(absolute, again) == 0);
	if (json_parse(&j, text, strlen(text), NULL) < 0 ||
	    policy_check(json_root(&j), NULL) < 0)
		return;
	call.kind = policy_kind(json_root(&j));
	check_policy(json_root(&j), &call);
	call.paths_unclear = true;
	check_policy(json_root(&j), &call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = malloc(size + 3);
	const char *title, *path;

	assert(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	memset(text + size, 0, 3);
	title = text + strlen(text) + 1;
	title = title > text + size ? "" : title;
	path = title[0] == '\0' ? "" : title + strlen(title) + 1;
	check_text(text, title, path);
	return 0;
}
