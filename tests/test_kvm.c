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
	EQ(kvm_recall(root, NULL, &v), 0);
}

static void another_kernel_is_another_question(void)
{
	struct kvm_verdict v;

	set_up();
	probe("echo '{\"ms\":123}'", &v);
	write_file(kernel, "two, and longer", 0600);
	EQ(kvm_recall(root, image, &v), -ENOENT);
	EQ(kvm_recall(root, NULL, &v), 0);
}

static void the_next_boot_asks_again(void)
{
	struct kvm_verdict v;

	set_up();
	write_file(verdict,
		   "{\"boot\":\"another\",\"qemu\":\"\",\"kernel\":\"\","
		   "\"works\":true,\"ms\":1,\"why\":\"\"}",
		   0600);
	EQ(kvm_recall(root, NULL, &v), -ENOENT);
	write_file(verdict, "{\"boot\":", 0600);
	EQ(kvm_recall(root, NULL, &v), -ENOENT);
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

TESTS(CASE(a_verdict_is_kept), CASE(another_kernel_is_another_question),
      CASE(the_next_boot_asks_again), CASE(what_fails_is_no_kvm))
