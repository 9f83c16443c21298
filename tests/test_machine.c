// SPDX-License-Identifier: Apache-2.0
/*
 * test_machine.c - Machines that are suspended and go on, without hibd
 *
 *   MACHINE_LONG   a hibd dies at every turn of its loop, not at each fifth
 */
#include "tests/machine_kit.h"

#define MEMORY_MIB 256

static void set_up(void)
{
	const char *why = find_image("small");

	if (why != NULL)
		SKIP("%s", why);
	make_home();
	(void)make_vm(0, MEMORY_MIB);
}

/* --- cases --- */

static void goes_on_where_it_was(void)
{
	char before[GREET_NONCE_MAX], after[GREET_NONCE_MAX];
	struct err e;

	set_up();
	boot(&t.box[0]);
	meet(&t.box[0], before);
	EQ(ops->has_memory(&t.box[0].spec, &e), -ENOENT);
	for (int i = 0; i < 2; i++) {
		suspend(&t.box[0]);
		EQ(ops->has_memory(&t.box[0].spec, &e), 0);
		try_resume(&t.box[0]);
		must_be_up(&t.box[0]);
		EQ(ops->has_memory(&t.box[0].spec, &e), -ENOENT);
		meet(&t.box[0], after);
		STR_EQ(after, before);
	}
	off(&t.box[0]);
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
	boot(&t.box[0]);
	meet(&t.box[0], first);
	snapshot(&t.box[0], "first", dir);
	meet(&t.box[0], nonce);
	STR_EQ(nonce, first);
	before = stat_of(dir, "ram");
	OK(before.st_blocks * 512 < (int64_t)MEMORY_MIB << 20);

	(void)make_vm(1, MEMORY_MIB);
	resume_from(&t.box[1], dir);
	must_be_up(&t.box[1]);
	meet(&t.box[1], nonce);
	STR_EQ(nonce, first);
	meet(&t.box[0], nonce);
	off(&t.box[0]);

	/* One of its own has its memory within its state... */
	snapshot(&t.box[1], "second", dir);
	(void)make_vm(2, MEMORY_MIB);
	resume_from(&t.box[2], dir);
	must_be_up(&t.box[2]);
	meet(&t.box[2], nonce);
	STR_EQ(nonce, first);
	off(&t.box[2]);
	meet(&t.box[1], nonce);
	STR_EQ(nonce, first);

	/* ...and so has its warm sleep, but for one time: it is a file then. */
	suspend(&t.box[1]);
	EQ(ops->has_memory(&t.box[1].spec, &e), 0);
	for (int i = 0; i < 2; i++) {
		try_resume(&t.box[1]);
		must_be_up(&t.box[1]);
		meet(&t.box[1], nonce);
		STR_EQ(nonce, first);
		suspend(&t.box[1]);
	}
	make_dir(dir, t.home, "first", 0700);
	after = stat_of(dir, "ram");
	is_unchanged(&before, &after);
}

/* --- memory of no use --- */

static void write_memory(const struct box *b, const char *name,
			 const char *text)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.*s/" SAVED_AT "/%s", PATH_ROOM, b->dir,
		 name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	OK(fd >= 0);
	EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int open_memory_dir(const struct box *b)
{
	char path[PATH_MAX];
	int fd;

	memory_dir(b, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OK(fd >= 0);
	return fd;
}

/* What a refusal leaves is what was there. */
static void is_refused(struct box *b, int fault)
{
	struct err e;

	try_resume(b);
	OK(b->machine == NULL);
	EQ(b->err.code, -fault);
	EQ(ops->has_memory(&b->spec, &e), 0);
}

static void memory_that_does_not_fit_is_refused(void)
{
	char nonce[GREET_NONCE_MAX], again[GREET_NONCE_MAX];
	struct box *b = &t.box[0];
	struct saved s;
	struct err e;
	int dir;

	set_up();
	boot(b);
	meet(b, nonce);
	suspend(b);
	dir = open_memory_dir(b);
	EQ(saved_read(dir, &s, &e), 0);

	b->spec.memory *= 2;
	is_refused(b, FAULT_CAPABILITY_UNSUPPORTED);
	b->spec.memory /= 2;
	b->spec.cpus = 2;
	is_refused(b, FAULT_CAPABILITY_UNSUPPORTED);
	b->spec.cpus = 0;
	snprintf(s.qemu, sizeof(s.qemu), "1.2.3");
	EQ(saved_write(dir, &s, &e), 0);
	is_refused(b, FAULT_CAPABILITY_UNSUPPORTED);

	/* The host came up again since; was it on the disk? */
	snprintf(s.boot, sizeof(s.boot), "another");
	EQ(saved_write(dir, &s, &e), 0);
	(void)unlinkat(dir, SAVED_SYNCED, 0);
	EQ(ops->has_memory(&b->spec, &e), -ESTALE);
	EQ(saved_sync(b->dir), 0);
	EQ(ops->has_memory(&b->spec, &e), 0);

	/* Not a state at all: it boots instead, and has no memory any more. */
	EQ(saved_read(dir, &s, &e), 0);
	write_memory(b, SAVED_STATE, "nothing");
	try_resume(b);
	OK(b->machine == NULL);
	boot(b);
	EQ(ops->has_memory(&b->spec, &e), -ENOENT);
	meet(b, again);
	OK(strcmp(again, nonce) != 0);
	off(b);
	close(dir);
}

/* --- hibd dies --- */

typedef void (*begin_fn)(struct box *b, const char *dir);

static void begin_suspend(struct box *b, const char *dir)
{
	char memory[PATH_MAX];

	(void)dir;
	memory_dir(b, memory);
	ops->suspend(b->machine, memory, on_done, b);
}

static void begin_snapshot(struct box *b, const char *dir)
{
	ops->snapshot(b->machine, dir, on_done, b);
}

static void begin_resume(struct box *b, const char *dir)
{
	char memory[PATH_MAX];

	(void)dir;
	memory_dir(b, memory);
	ops->resume(&t.loop, &b->spec, memory, true, &events, b, on_booted);
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
	boot(&t.box[0]);
	meet(&t.box[0], nonce);
	let_go(&t.box[0]);
	for (int n = 1; !over; n += step) {
		over = die_in(&t.box[0], begin_suspend, NULL, n);
		find_again(&t.box[0], nonce);
	}
	over = false;
	for (int n = 1; !over; n += step) {
		adopt(&t.box[0]);
		suspend(&t.box[0]);
		let_go(&t.box[0]);
		over = die_in(&t.box[0], begin_resume, NULL, n);
		find_again(&t.box[0], nonce);
	}
	over = false;
	for (int n = 1; !over; n += step) {
		make_dir(dir, t.home, "snapshot", 0700);
		over = die_in(&t.box[0], begin_snapshot, dir, n);
		find_again(&t.box[0], nonce);
		(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	adopt(&t.box[0]);
	off(&t.box[0]);
}

TESTS(CASE(goes_on_where_it_was), CASE(a_snapshot_is_forked),
      CASE(memory_that_does_not_fit_is_refused),
      CASE(hibd_may_die_at_any_moment))
