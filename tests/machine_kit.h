/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_kit.h - Machines without hibd, for a test or a benchmark
 *
 * The operations of the qemu backend on a real image: IMAGE_CACHE_DIR, or the
 * folder images beside this program's, has `small`, or another one that is asked
 * for.  The guest is the real one,
 * of which only the greeting is asked: its nonce is the same for as long as the
 * very same guest goes on.
 */
#ifndef TESTS_MACHINE_KIT_H
#define TESTS_MACHINE_KIT_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <uv.h>

#include "core/greet.h"
#include "host/backend.h"
#include "host/saved.h"
#include "tests/tap.h"

#define PATH_ROOM  (PATH_MAX / 2)
#define TMP_PREFIX "/tmp/hib-test-"
#define ASK_MS	   20
#define ASKS	   3000
#define BOXES_MAX  24
#define BOX_ID_MAX 64

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* One VM. */
struct box {
	char id[BOX_ID_MAX], dir[PATH_MAX];
	struct vm_spec spec;
	struct machine *machine;
	bool booted, done, exited;
	struct err err;
};

static struct {
	char home[PATH_ROOM], libexec[PATH_MAX], agents[PATH_MAX],
		image[PATH_MAX];
	uv_loop_t loop;
	struct box box[BOXES_MAX]; /* No machine: not in use. */
} t;

static const struct backend_ops *const ops = &backend_qemu;

/* --- folders --- */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	for (size_t i = 0; i < BOXES_MAX; i++)
		if (t.box[i].machine != NULL)
			(void)kill(ops->pid(t.box[i].machine), SIGKILL);
	if (strncmp(t.home, TMP_PREFIX, strlen(TMP_PREFIX)) == 0)
		(void)nftw(t.home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(char *out, const char *under, const char *name,
		     mode_t mode)
{
	snprintf(out, PATH_MAX, "%.*s/%s", PATH_ROOM, under, name);
	OK(mkdir(out, mode) == 0 || errno == EEXIST);
}

/* Why no machine can be tried here, or NULL. */
static const char *find_image(const char *name)
{
	const char *cache = getenv("IMAGE_CACHE_DIR");
	const char *libexec = getenv("HIB_LIBEXEC");
	char self[PATH_ROOM], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	OK(n > 0);
	self[n] = '\0';
	for (char *p = strstr(self, "/tests/"); p != NULL;
	     p = strstr(self, "/tests/"))
		*p = '\0';
	if (libexec != NULL)
		snprintf(t.libexec, sizeof(t.libexec), "%s", libexec);
	else if (SANITIZED)
		return "a guest with a sanitizer is no static program";
	else
		snprintf(t.libexec, sizeof(t.libexec), "%s/libexec", self);
	if (cache == NULL)
		snprintf(t.image, sizeof(t.image), "%s/images/%s/rootfs", self,
			 name);
	else
		snprintf(t.image, sizeof(t.image), "%.*s/%s/rootfs", PATH_ROOM,
			 cache, name);
	snprintf(real, sizeof(real), "%.*s/../rootfs.erofs", PATH_ROOM,
		 t.image);
	if (access(real, R_OK) < 0)
		return "the image is not there";
	return access("/usr/bin/qemu-system-x86_64", X_OK) < 0 ? "no QEMU"
							       : NULL;
}

/* VM number @i; not yet booted. */
static struct box *make_vm(unsigned i, int64_t memory)
{
	struct box *b = &t.box[i];
	char vms[PATH_MAX];
	struct err e;

	OK(i < BOXES_MAX);
	snprintf(b->id, sizeof(b->id), "vm_%032x", i + 1);
	make_dir(vms, t.home, "vms", 0700);
	make_dir(b->dir, vms, b->id, 0700);
	b->spec = (struct vm_spec){
		.id = b->id,
		.dir = b->dir,
		.image = t.image,
		.libexec = t.libexec,
		.agents = t.agents,
		.memory = memory,
		.accel = "tcg",
	};
	if (ops->create(&b->spec, &e) < 0)
		FAIL("create: %s", e.msg);
	return b;
}

static void make_home(void)
{
	umask(022);
	snprintf(t.home, sizeof(t.home), TMP_PREFIX "XXXXXX");
	OK(mkdtemp(t.home) != NULL);
	(void)chmod(t.home, 0755);
	(void)atexit(tear_down);
	make_dir(t.agents, t.home, "agents", 0755);
	EQ(uv_loop_init(&t.loop), 0);
}

/* --- machines --- */

static void on_exited(struct machine *m, const char *detail, void *arg)
{
	struct box *b = arg;

	(void)detail;
	OK(m == b->machine);
	b->machine = NULL;
	b->exited = true;
}

static const struct backend_events events = {.exited = on_exited};

static void on_booted(struct machine *m, const struct err *e, void *arg)
{
	struct box *b = arg;

	b->booted = true;
	b->machine = m;
	b->err = (struct err){0};
	if (m == NULL)
		b->err = *e;
}

static void on_done(const struct err *e, void *arg)
{
	struct box *b = arg;

	b->done = true;
	b->err = *e;
}

static void wait_for(const bool *what)
{
	while (!*what)
		OK(uv_run(&t.loop, UV_RUN_ONCE) != 0 || *what);
}

static void must_be_up(const struct box *b)
{
	if (b->machine == NULL)
		FAIL("it does not run: %s", b->err.msg);
}

static void boot(struct box *b)
{
	b->booted = false;
	ops->boot(&t.loop, &b->spec, &events, b, on_booted);
	wait_for(&b->booted);
	must_be_up(b);
}

static void memory_dir(const struct box *b, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.*s/" SAVED_AT, PATH_ROOM, b->dir);
}

static void try_resume(struct box *b)
{
	char dir[PATH_MAX];

	memory_dir(b, dir);
	b->booted = false;
	ops->resume(&t.loop, &b->spec, dir, true, &events, b, on_booted);
	wait_for(&b->booted);
}

static inline void suspend(struct box *b)
{
	char dir[PATH_MAX];

	memory_dir(b, dir);
	b->done = b->exited = false;
	ops->suspend(b->machine, dir, on_done, b);
	wait_for(&b->done);
	if (b->err.code < 0)
		FAIL("suspend: %s", b->err.msg);
	wait_for(&b->exited);
}

static int open_channel(const struct box *b)
{
	struct err e;
	int fd;

	while ((fd = ops->channel(b->machine, "api", &e)) == -EAGAIN)
		(void)usleep(1000);
	if (fd < 0)
		FAIL("channel: %s", e.msg);
	return fd;
}

/* Until the guest answers to @token, or for ASK_MS. */
static bool is_answered(int fd, const char *token, char nonce[GREET_NONCE_MAX])
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct greet g = {.n = 0};
	char c;

	while (poll(&p, 1, ASK_MS) > 0) {
		OK(recv(fd, &c, 1, 0) == 1);
		if (greet_byte(&g, c) && greet_is_answer(&g, token, nonce))
			return true;
	}
	return false;
}

/* Ask who the guest is. */
static void meet(const struct box *b, char nonce[GREET_NONCE_MAX])
{
	char line[GREET_LINE_MAX], token[GREET_TOKEN_MAX];
	int fd = open_channel(b);

	for (unsigned i = 0; i < ASKS; i++) {
		/* One that was stopped is continued meanwhile. */
		(void)uv_run(&t.loop, UV_RUN_NOWAIT);
		snprintf(token, sizeof(token), "%08x", i);
		/* One that boots takes only so many questions. */
		OK(send(fd, line, greet_question(line, token), MSG_NOSIGNAL) >
			   0 ||
		   errno == EAGAIN);
		if (is_answered(fd, token, nonce)) {
			close(fd);
			return;
		}
	}
	FAIL("the guest does not answer");
}

static void off(struct box *b)
{
	b->exited = false;
	ops->kill(b->machine);
	wait_for(&b->exited);
}

static void snapshot(struct box *b, const char *name, char dir[PATH_MAX])
{
	make_dir(dir, t.home, name, 0700);
	b->done = false;
	ops->snapshot(b->machine, dir, on_done, b);
	wait_for(&b->done);
	if (b->err.code < 0)
		FAIL("snapshot: %s", b->err.msg);
}

static void resume_from(struct box *b, const char *dir)
{
	b->booted = false;
	ops->resume(&t.loop, &b->spec, dir, false, &events, b, on_booted);
	wait_for(&b->booted);
}

#endif
