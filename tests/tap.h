/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap.h - Unit tests: one function per case, one child process per case
 *
 * A case that crashes, hangs or leaks under ASan fails alone; the next one
 * runs.  Output is TAP, so `prove` runs these next to the shell tests; what
 * went wrong is said on stderr, which prove lets through.
 *
 *	static void splits_two_lines(void)
 *	{
 *		EQ(n, 2);
 *		STR_EQ(line, "{}");
 *	}
 *	TESTS(splits_two_lines)
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* For a case that hangs: none takes as long, on a busy machine either. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CASE_SECONDS 240
#else
#define CASE_SECONDS 60
#endif

/* End the case as skipped: this machine lacks what it needs. */
#define SKIP_EXIT 77
#define SKIP(...)                                                        \
	do {                                                             \
		snprintf(tap_reason, sizeof(tap_reason_t), __VA_ARGS__); \
		exit(SKIP_EXIT);                                         \
	} while (0)

/* Why a case was skipped; shared with the process of the case. */
typedef char tap_reason_t[256];
static char *tap_reason __attribute__((unused));

#define FAIL(...)                                                 \
	do {                                                      \
		fprintf(stderr, "# %s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);                     \
		fputc('\n', stderr);                              \
		exit(1);                                          \
	} while (0)

#define OK(x)                                     \
	do {                                      \
		if (!(x))                         \
			FAIL("not true: %s", #x); \
	} while (0)

#define EQ(got, want)                                                    \
	do {                                                             \
		long long g_ = (long long)(got), w_ = (long long)(want); \
		if (g_ != w_)                                            \
			FAIL("%s: got %lld, want %lld", #got, g_, w_);   \
	} while (0)

#define STR_EQ(got, want)                                                   \
	do {                                                                \
		const char *g_ = (got), *w_ = (want);                       \
		if (g_ == NULL || strcmp(g_, w_) != 0)                      \
			FAIL("%s:\n#   got  \"%s\"\n#   want \"%s\"", #got, \
			     g_ ? g_ : "(null)", w_);                       \
	} while (0)

struct tap_case {
	const char *name;
	void (*run)(void);
};

static inline int tap_run(const struct tap_case *c)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(CASE_SECONDS);
		c->run();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	if (WIFSIGNALED(status))
		fprintf(stderr, "# %s: killed by signal %d (%s)\n", c->name,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == SKIP_EXIT ? SKIP_EXIT
								     : status;
}

static inline int tap_main(const struct tap_case *cases, int n)
{
	int failed = 0;

	tap_reason = mmap(NULL, sizeof(tap_reason_t), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tap_reason == MAP_FAILED)
		return 1;

	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		int r = tap_run(&cases[i]);
		bool bad = r != 0 && r != SKIP_EXIT;

		printf("%sok %d - %s%s%s\n", bad ? "not " : "", i + 1,
		       cases[i].name, r == SKIP_EXIT ? " # SKIP " : "",
		       r == SKIP_EXIT ? tap_reason : "");
		failed += bad;
	}
	return failed != 0;
}

#define TEST(name) static void name(void)
#define TESTS(...)                                                        \
	int main(void)                                                    \
	{                                                                 \
		static const struct tap_case cases[] = {__VA_ARGS__};     \
		return tap_main(cases, sizeof(cases) / sizeof(cases[0])); \
	}
#define CASE(fn)        \
	{               \
#fn, fn \
	}

#endif
