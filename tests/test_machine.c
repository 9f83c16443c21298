// SPDX-License-Identifier: Apache-2.0
/*
 * test_machine.c - Machines that are suspended and go on, without hibd
 *
 * The operations of the qemu backend on a real image: IMAGE_CACHE_DIR, or the
 * folder images beside this program's, has `small`.  The guest is the real one,
 * of which only the greeting is asked: its nonce is the same for as long as the
 * very same guest goes on.
 */
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
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

#define VM_ID	   "vm_019353e4a7c07b3e8f1a2b3c4d5e6f70"
#define FORK_ID	   "vm_019353e4a7c07b3e8f1a2b3c4d5e6f71"
#define PATH_ROOM  (PATH_MAX / 2)
#define TMP_PREFIX "/tmp/hib-test-"
#define ASK_MS	   20
#define ASKS	   3000
#define MEMORY_MIB 256

/* One VM. */
struct box {
	char dir[PATH_MAX];
	struct vm_spec spec;
	struct machine *machine;
	bool booted, done, exited;
	struct err err;
};

static struct {
	char home[PATH_ROOM], libexec[PATH_MAX], agents[PATH_MAX],
		image[PATH_MAX];
	uv_loop_t loop;
	char memory[PATH_MAX];
	struct box vm, fork;
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
	if (t.vm.machine != NULL)
		(void)kill(ops->pid(t.vm.machine), SIGKILL);
	if (t.fork.machine != NULL)
		(void)kill(ops->pid(t.fork.machine), SIGKILL);
	if (strncmp(t.home, TMP_PREFIX, strlen(TMP_PREFIX)) == 0)
		(void)nftw(t.home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(char *out, const char *under, const char *name,
		     mode_t mode)
{
	snprintf(out, PATH_MAX, "%.*s/%s", PATH_ROOM, under, name);
	OK(mkdir(out, mode) == 0 || errno == EEXIST);
}

static void find_image(void)
{
	const char *cache = getenv("IMAGE_CACHE_DIR");
	char self[PATH_ROOM], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	OK(n > 0);
	self[n] = '\0';
	dirname(self);
	snprintf(t.libexec, sizeof(t.libexec), "%s/../libexec", self);
	if (cache == NULL)
		snprintf(t.image, sizeof(t.image), "%s/../images/small/rootfs",
			 self);
	else
		snprintf(t.image, sizeof(t.image), "%.*s/small/rootfs",
			 PATH_ROOM, cache);
	snprintf(real, sizeof(real), "%.*s/../rootfs.erofs", PATH_ROOM,
		 t.image);
	if (access(real, R_OK) < 0)
		SKIP("no image %.200s", t.image);
	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0)
		SKIP("no QEMU");
}

static void make_vm(struct box *b, const char *id)
{
	char vms[PATH_MAX];
	struct err e;

	make_dir(vms, t.home, "vms", 0700);
	make_dir(b->dir, vms, id, 0700);
	b->spec = (struct vm_spec){
		.id = id,
		.dir = b->dir,
		.image = t.image,
		.libexec = t.libexec,
		.agents = t.agents,
		.memory = MEMORY_MIB,
	};
	if (ops->create(&b->spec, &e) < 0)
		FAIL("create: %s", e.msg);
}

static void set_up(void)
{
	umask(022);
	find_image();
	snprintf(t.home, sizeof(t.home), TMP_PREFIX "XXXXXX");
	OK(mkdtemp(t.home) != NULL);
	(void)chmod(t.home, 0755);
	(void)atexit(tear_down);
	make_dir(t.agents, t.home, "agents", 0755);
	EQ(uv_loop_init(&t.loop), 0);
	make_vm(&t.vm, VM_ID);
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

static void suspend(struct box *b)
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

/* --- cases --- */

static void goes_on_where_it_was(void)
{
	char before[GREET_NONCE_MAX], after[GREET_NONCE_MAX];
	struct err e;

	set_up();
	boot(&t.vm);
	meet(&t.vm, before);
	EQ(ops->has_memory(&t.vm.spec, &e), -ENOENT);
	for (int i = 0; i < 2; i++) {
		suspend(&t.vm);
		EQ(ops->has_memory(&t.vm.spec, &e), 0);
		try_resume(&t.vm);
		must_be_up(&t.vm);
		EQ(ops->has_memory(&t.vm.spec, &e), -ENOENT);
		meet(&t.vm, after);
		STR_EQ(after, before);
	}
	off(&t.vm);
}

static void snapshot(struct box *b, char dir[PATH_MAX])
{
	make_dir(dir, t.home, "snapshot", 0700);
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

static struct stat stat_of(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.*s/%s", PATH_ROOM, dir, name);
	EQ(stat(path, &st), 0);
	return st;
}

static void is_unchanged(const struct stat *was, const struct stat *is)
{
	EQ(is->st_ino, was->st_ino);
	EQ(is->st_mtim.tv_sec, was->st_mtim.tv_sec);
	EQ(is->st_mtim.tv_nsec, was->st_mtim.tv_nsec);
}

/* Twins come of it, the snapshot stays, and each twin is its own from then on. */
static void a_snapshot_is_forked(void)
{
	char first[GREET_NONCE_MAX], nonce[GREET_NONCE_MAX], dir[PATH_MAX];
	struct stat before, after;
	struct err e;

	set_up();
	boot(&t.vm);
	meet(&t.vm, first);
	snapshot(&t.vm, dir);
	meet(&t.vm, nonce);
	STR_EQ(nonce, first);
	before = stat_of(dir, "ram");
	OK(before.st_blocks * 512 < (int64_t)MEMORY_MIB << 20);

	make_vm(&t.fork, FORK_ID);
	resume_from(&t.fork, dir);
	must_be_up(&t.fork);
	meet(&t.fork, nonce);
	STR_EQ(nonce, first);
	meet(&t.vm, nonce);
	off(&t.vm);

	/* Its memory is within its state, and a file of its own then. */
	suspend(&t.fork);
	EQ(ops->has_memory(&t.fork.spec, &e), 0);
	for (int i = 0; i < 2; i++) {
		try_resume(&t.fork);
		must_be_up(&t.fork);
		meet(&t.fork, nonce);
		STR_EQ(nonce, first);
		suspend(&t.fork);
	}
	after = stat_of(dir, "ram");
	is_unchanged(&before, &after);
}

/* --- hibd dies --- */

typedef void (*begin_fn)(struct box *b, const char *dir);

static void begin_suspend(struct box *b, const char *dir)
{
	(void)dir;
	memory_dir(b, t.memory);
	ops->suspend(b->machine, t.memory, on_done, b);
}

static void begin_snapshot(struct box *b, const char *dir)
{
	ops->snapshot(b->machine, dir, on_done, b);
}

static void begin_resume(struct box *b, const char *dir)
{
	(void)dir;
	memory_dir(b, t.memory);
	ops->resume(&t.loop, &b->spec, t.memory, true, &events, b, on_booted);
}

static void adopt(struct box *b)
{
	struct err e;

	EQ(uv_loop_init(&t.loop), 0);
	if (ops->adopt(&t.loop, &b->spec, &events, b, &b->machine, &e) < 0)
		b->machine = NULL;
}

/* A hibd that lives for @turns of its loop after it has begun. */
static bool die_in(struct box *b, begin_fn begin, const char *dir, int turns)
{
	bool over = false;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		adopt(b);
		b->done = b->booted = false;
		begin(b, dir);
		while (!over && turns-- > 0) {
			(void)uv_run(&t.loop, UV_RUN_ONCE);
			over = b->done || b->booted;
		}
		_exit(over);
	}
	OK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status) != 0;
}

static void let_go(struct box *b)
{
	if (b->machine != NULL)
		ops->release(take_ptr(b->machine));
	(void)uv_run(&t.loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&t.loop), 0);
}

/* The next hibd finds a machine, or its memory, and all goes on. */
static void find_again(struct box *b, const char *nonce)
{
	char now[GREET_NONCE_MAX];
	struct err e;

	adopt(b);
	if (b->machine == NULL) {
		EQ(ops->has_memory(&b->spec, &e), 0);
		try_resume(b);
	}
	must_be_up(b);
	EQ(ops->has_memory(&b->spec, &e), -ENOENT);
	meet(b, now);
	STR_EQ(now, nonce);
	let_go(b);
}

static void hibd_may_die_at_any_moment(void)
{
	char nonce[GREET_NONCE_MAX], dir[PATH_MAX];
	const int step = getenv("MACHINE_LONG") != NULL ? 1 : 5;
	bool over = false;

	set_up();
	boot(&t.vm);
	meet(&t.vm, nonce);
	let_go(&t.vm);
	for (int n = 1; !over; n += step) {
		over = die_in(&t.vm, begin_suspend, NULL, n);
		find_again(&t.vm, nonce);
	}
	over = false;
	for (int n = 1; !over; n += step) {
		adopt(&t.vm);
		suspend(&t.vm);
		let_go(&t.vm);
		over = die_in(&t.vm, begin_resume, NULL, n);
		find_again(&t.vm, nonce);
	}
	over = false;
	for (int n = 1; !over; n += step) {
		make_dir(dir, t.home, "snapshot", 0700);
		over = die_in(&t.vm, begin_snapshot, dir, n);
		find_again(&t.vm, nonce);
		(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	adopt(&t.vm);
	off(&t.vm);
}

TESTS(CASE(goes_on_where_it_was), CASE(a_snapshot_is_forked),
      CASE(hibd_may_die_at_any_moment))
