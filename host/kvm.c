// SPDX-License-Identifier: Apache-2.0
/*
 * kvm.c - Does KVM run a machine here?
 *
 * The launcher boots the guest (host/sandbox/probe.h) and says {"ms":N}, or
 * {"error":{..}}.
 */
#include "host/kvm.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/json.h"
#include "host/saved.h"

#define QEMU	    "/usr/bin/qemu-system-x86_64"
#define ANSWER_MAX  4096
#define TOKEN_MAX   96
#define KERNELS_MAX 16
#define KEPT_MAX    (KERNELS_MAX * 1024)

bool kvm_is_open(struct err *e)
{
	autoclose int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err_set(e, -errno, "/dev/kvm: %s", strerror(errno));
	return fd >= 0;
}

/* --- what a verdict is about -------------------------------------------------- */

struct about {
	char boot[SAVED_TEXT];
	char qemu[TOKEN_MAX], kernel[TOKEN_MAX];
};

/* Which file it is, without reading it. */
static void describe_file(const char *path, char out[TOKEN_MAX])
{
	struct stat st;

	out[0] = '\0';
	if (stat(path, &st) == 0)
		snprintf(out, TOKEN_MAX, "%llu-%lld-%lld.%09ld",
			 (unsigned long long)st.st_ino, (long long)st.st_size,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static struct about about_now(const char *image)
{
	struct about a = {.kernel = ""};
	char kernel[PATH_MAX];

	saved_boot(a.boot);
	describe_file(QEMU, a.qemu);
	if (snprintf(kernel, sizeof(kernel), "%s/../kernel", image) < PATH_MAX)
		describe_file(kernel, a.kernel);
	return a;
}

/* --- kvm.json ----------------------------------------------------------------- */

struct kept {
	char text[KEPT_MAX];
	struct json json;
	struct jv kernels; /* By kernel; absent: nothing that still holds. */
};

/* json_done(&out->json) by the caller. */
static void read_kept(const char *root, const struct about *now,
		      struct kept *out)
{
	char path[PATH_MAX];
	autoclose int fd = -1;
	struct jv v;
	ssize_t n;

	out->json = (struct json){0};
	out->kernels = (struct jv){.i = -1};
	snprintf(path, sizeof(path), "%s/kvm.json", root);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out->text, sizeof(out->text));
	if (n < 0 || json_parse(&out->json, out->text, (size_t)n, NULL) < 0)
		return;
	v = json_root(&out->json);
	if (jv_eq(jv_get(v, "boot"), now->boot) &&
	    jv_eq(jv_get(v, "qemu"), now->qemu))
		out->kernels = jv_get(v, "kernels");
}

int kvm_recall(const char *root, const char *image, struct kvm_verdict *out)
{
	const struct about now = about_now(image);
	struct kept kept;
	struct jv v;

	read_kept(root, &now, &kept);
	v = jv_get(kept.kernels, now.kernel);
	if (jv_has(v)) {
		*out = (struct kvm_verdict){
			.works = jv_bool(jv_get(v, "works"), false),
			.ms = jv_int(jv_get(v, "ms"), 0),
		};
		(void)jv_strcpy(jv_get(v, "why"), out->why, sizeof(out->why));
	}
	json_done(&kept.json);
	return jv_has(v) ? 0 : -ENOENT;
}

/* Those of other kernels, without the oldest when there are many. */
static void put_others(struct jw *w, struct jv kernels, const char *kernel)
{
	char name[TOKEN_MAX];
	size_t n;

	if (!jv_is(kernels, JV_OBJECT))
		return;
	n = jv_count(kernels);
	for (struct jv it = jv_first(kernels); jv_has(it);
	     it = jv_next(kernels, it), n--)
		if (n < KERNELS_MAX && !jv_eq(it, kernel) &&
		    jv_strcpy(it, name, sizeof(name)) >= 0)
			jw_kvalue(w, name, jv_value(it));
}

static void put_kept(struct jw *w, const struct about *now, struct jv kernels,
		     const struct kvm_verdict *v)
{
	jw_obj(w);
	jw_kstr(w, "boot", now->boot);
	jw_kstr(w, "qemu", now->qemu);
	jw_key(w, "kernels");
	jw_obj(w);
	put_others(w, kernels, now->kernel);
	jw_key(w, now->kernel);
	jw_obj(w);
	jw_kbool(w, "works", v->works);
	jw_kint(w, "ms", v->ms);
	jw_kstr(w, "why", v->why);
	jw_obj_end(w);
	jw_obj_end(w);
	jw_obj_end(w);
}

/* Best effort: what gets lost, also of two at a time, can be tried again. */
static void keep(const char *root, const char *image,
		 const struct kvm_verdict *v)
{
	const struct about now = about_now(image);
	char path[PATH_MAX], fresh[PATH_MAX];
	autojw struct jw w = {0};
	autoclose int fd = -1;
	struct kept kept;

	read_kept(root, &now, &kept);
	put_kept(&w, &now, kept.kernels, v);
	json_done(&kept.json);
	snprintf(path, sizeof(path), "%s/kvm.json", root);
	if (snprintf(fresh, sizeof(fresh), "%s/kvm.json.new", root) >=
		    PATH_MAX ||
	    w.failed)
		return;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0 && (write(fd, w.buf, w.len) != (ssize_t)w.len ||
			rename(fresh, path) < 0))
		(void)unlink(fresh);
}

/* --- the probe ---------------------------------------------------------------- */

/* Return: the bytes that the launcher said, with a NUL behind them. */
static size_t ask_launcher(const char *image, const char *libexec,
			   char answer[ANSWER_MAX])
{
	char path[PATH_MAX];
	const char *const argv[] = {"hib-sandbox", "--probe", "--image", image,
				    "--libexec",   libexec,   NULL};
	char *env[] = {NULL};
	size_t len = 0;
	ssize_t n = 1;
	int p[2];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/hib-sandbox", libexec);
	answer[0] = '\0';
	if (pipe2(p, O_CLOEXEC) < 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		if (dup2(p[1], STDOUT_FILENO) >= 0)
			execve(path, (char **)(uintptr_t)argv, env);
		_exit(127);
	}
	close(p[1]);
	while (pid > 0 && n > 0 && len < ANSWER_MAX - 1) {
		n = read(p[0], answer + len, ANSWER_MAX - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(p[0]);
	answer[len] = '\0';
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return len;
}

static void read_answer(const char *answer, size_t n, struct kvm_verdict *out)
{
	autojson struct json j = {0};
	struct jv error;
	struct err e = {0};

	*out = (struct kvm_verdict){.ms = -1};
	if (json_parse(&j, answer, n, NULL) == 0)
		out->ms = jv_int(jv_get(json_root(&j), "ms"), -1);
	out->works = out->ms >= 0;
	if (out->works)
		return;
	error = jv_get(json_root(&j), "error");
	if (jv_has(error))
		(void)err_read(&e, error);
	snprintf(out->why, sizeof(out->why), "%.150s",
		 jv_has(error) ? e.msg : "the launcher said nothing");
	out->ms = 0;
}

void kvm_probe(const char *root, const char *image, const char *libexec,
	       struct kvm_verdict *out)
{
	char answer[ANSWER_MAX];
	size_t n = ask_launcher(image, libexec, answer);

	read_answer(answer, n, out);
	keep(root, image, out);
}
