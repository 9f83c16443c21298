// SPDX-License-Identifier: Apache-2.0
/*
 * test_kvm.c - What is believed of KVM, and for how long
 *
 * The launcher is a shell script that says what a real one might.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "core/err.h"
#include "host/kvm.h"
#include "tests/tap.h"

static char root[] = "/tmp/hib-test-XXXXXX";
static char image[PATH_MAX], kernel[PATH_MAX], launcher[PATH_MAX],
	verdict[PATH_MAX];

static void tear_down(void)
{
	(void)unlink(kernel);
	(void)unlink(launcher);
	(void)unlink(verdict);
	(void)rmdir(image);
	(void)rmdir(root);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	OK(fd >= 0);
	EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void set_up(void)
{
	OK(mkdtemp(root) != NULL);
	(void)atexit(tear_down);
	snprintf(image, sizeof(image), "%s/rootfs", root);
	snprintf(kernel, sizeof(kernel), "%s/kernel", root);
	snprintf(launcher, sizeof(launcher), "%s/hib-sandbox", root);
	snprintf(verdict, sizeof(verdict), "%s/kvm.json", root);
	EQ(mkdir(image, 0700), 0);
	write_file(kernel, "one", 0600);
}

static void probe(const char *says, struct kvm_verdict *out)
{
	char script[512];

	snprintf(script, sizeof(script), "#!/bin/sh\n%s\n", says);
	write_file(launcher, script, 0700);
	kvm_probe(root, image, root, out);
}

static void a_verdict_is_kept(void)
{
	struct kvm_verdict v;

	set_up();
	EQ(kvm_recall(root, image, &v), -ENOENT);
	probe("echo '{\"ms\":123}'", &v);
	OK(v.works);
	EQ(v.ms, 123);
	memset(&v, 0, sizeof(v));
	EQ(kvm_recall(root, image, &v), 0);
	OK(v.works);
	EQ(v.ms, 123);
}

static void each_kernel_has_its_verdict(void)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct kvm_verdict v;

	set_up();
	for (int i = 0; i < 20; i++) {
		times[1].tv_sec = i;
		EQ(utimensat(AT_FDCWD, kernel, times, 0), 0);
		EQ(kvm_recall(root, image, &v), -ENOENT);
		probe(i % 2 ? "exit 1" : "echo '{\"ms\":123}'", &v);
	}
	for (int i = 0; i < 20; i++) {
		times[1].tv_sec = i;
		EQ(utimensat(AT_FDCWD, kernel, times, 0), 0);
		/* The oldest of many were forgotten. */
		EQ(kvm_recall(root, image, &v), i < 4 ? -ENOENT : 0);
		if (i >= 4)
			EQ(v.works, i % 2 == 0);
	}
}

static void the_next_boot_asks_again(void)
{
	struct kvm_verdict v;

	char cmd[PATH_MAX + 64];

	set_up();
	probe("echo '{\"ms\":123}'", &v);
	snprintf(cmd, sizeof(cmd),
		 "sed -i 's/\"boot\":\"/\"boot\":\"another/' %s", verdict);
	EQ(system(cmd), 0);
	EQ(kvm_recall(root, image, &v), -ENOENT);
	write_file(verdict, "{\"boot\":", 0600);
	EQ(kvm_recall(root, image, &v), -ENOENT);
}

static void what_fails_is_no_kvm(void)
{
	static const struct {
		const char *says, *why;
	} cases[] = {
		{"echo '{\"error\":{\"code\":50402,\"message\":\"too late\"}}'",
		 "too late"},
		{"exit 1", "the launcher said nothing"},
		{"echo rubbish", "the launcher said nothing"},
		{"echo '{\"ms\":-5}'", "the launcher said nothing"},
	};
	struct kvm_verdict v;

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		probe(cases[i].says, &v);
		OK(!v.works);
		STR_EQ(v.why, cases[i].why);
		EQ(kvm_recall(root, image, &v), 0);
		OK(!v.works);
		STR_EQ(v.why, cases[i].why);
	}
}

TESTS(CASE(a_verdict_is_kept), CASE(each_kernel_has_its_verdict),
      CASE(the_next_boot_asks_again), CASE(what_fails_is_no_kvm))
