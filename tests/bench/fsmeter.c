// SPDX-License-Identifier: Apache-2.0
/*
 * fsmeter.c - How long a folder takes for some kinds of work, in milliseconds
 *
 *	fsmeter create ROUNDS DIR		1,000 files of 4 KiB
 *	fsmeter stat ROUNDS DIR			lstat of all that is below
 *	fsmeter write|read ROUNDS FILE		256 MiB from end to end
 *	fsmeter run ROUNDS COMMAND		a command of the shell
 *	fsmeter touch FROM N DIR		change N files; not measured
 *	fsmeter tree N DIR			make N files; not measured
 *
 * Prints the median of the rounds.  Runs inside a VM, in /workspace and in a
 * plain folder beside it, so that both see the same machine.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base.h"

#define FILES	     1000
#define FILE_BYTES   4096
#define STREAM_BYTES (256u << 20)
#define CHUNK	     (1u << 20)
#define ROUNDS_MAX   100
#define DIR_FILES    100 /* Of a tree, in one folder. */
#define PATH_ROOM    4096

static char chunk[CHUNK];

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* --- what is measured --------------------------------------------------- */

static void put_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n || close(fd) < 0)
		die(path);
}

static void create(const char *dir)
{
	char path[PATH_ROOM];

	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		put_file(path, chunk, FILE_BYTES);
	}
}

static int on_entry(const char *path, const struct stat *st, int type,
		    struct FTW *at)
{
	(void)path;
	(void)st;
	(void)at;
	return type == FTW_NS;
}

static void stat_all(const char *dir)
{
	if (nftw(dir, on_entry, 64, FTW_PHYS) != 0)
		die(dir);
}

static void stream(const char *file, int flags,
		   ssize_t (*move)(int fd, size_t n))
{
	int fd = open(file, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die(file);
	for (size_t n = 0; n < STREAM_BYTES; n += CHUNK)
		if (move(fd, CHUNK) != CHUNK)
			die(file);
	if (close(fd) < 0)
		die(file);
}

static ssize_t write_chunk(int fd, size_t n)
{
	return write(fd, chunk, n);
}

static ssize_t read_chunk(int fd, size_t n)
{
	return read(fd, chunk, n);
}

static void stream_out(const char *file)
{
	stream(file, O_WRONLY | O_CREAT | O_TRUNC, write_chunk);
}

static void stream_in(const char *file)
{
	stream(file, O_RDONLY, read_chunk);
}

static void command(const char *line)
{
	if (system(line) != 0)
		die(line);
}

/* --- before and after a round, not measured ----------------------------- */

static int on_removal(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void make_dir(const char *dir)
{
	if (mkdir(dir, 0755) < 0)
		die(dir);
}

static void remove_dir(const char *dir)
{
	if (nftw(dir, on_removal, 64, FTW_PHYS | FTW_DEPTH) != 0)
		die(dir);
}

static void remove_file(const char *file)
{
	if (unlink(file) < 0)
		die(file);
}

/* --- trees --------------------------------------------------------------- */

static void tree_path(char out[PATH_ROOM], const char *dir, long i)
{
	snprintf(out, PATH_ROOM, "%s/%ld", dir, i / DIR_FILES);
	if (mkdir(out, 0755) < 0 && errno != EEXIST)
		die(out);
	snprintf(out, PATH_ROOM, "%s/%ld/%ld", dir, i / DIR_FILES, i);
}

/* Contents differ from file to file and from time to time. */
static void change(long from, long n, const char *dir)
{
	char path[PATH_ROOM], text[256];

	for (long i = from; i < from + n; i++) {
		tree_path(path, dir, i);
		memset(text, 'x', sizeof(text));
		snprintf(text, sizeof(text), "%ld %f", i, now_ms());
		put_file(path, text, sizeof(text));
	}
}

/* --- main ---------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*before)(const char *what);
	void (*run)(const char *what);
	void (*after)(const char *what);
} meters[] = {
	{"create", make_dir, create, remove_dir},
	{"stat", NULL, stat_all, NULL},
	{"write", NULL, stream_out, remove_file},
	{"read", NULL, stream_in, NULL},
	{"run", NULL, command, NULL},
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(size_t meter, int rounds, const char *what)
{
	double ms[ROUNDS_MAX];

	for (int i = 0; i < rounds; i++) {
		if (meters[meter].before != NULL)
			meters[meter].before(what);
		ms[i] = now_ms();
		meters[meter].run(what);
		ms[i] = now_ms() - ms[i];
		if (meters[meter].after != NULL)
			meters[meter].after(what);
	}
	qsort(ms, (size_t)rounds, sizeof(ms[0]), compare);
	printf("%.3f\n", ms[rounds / 2]);
}

int main(int argc, char **argv)
{
	int rounds = argc == 4 ? atoi(argv[2]) : 0;

	memset(chunk, 'x', sizeof(chunk));
	if (argc == 4 && strcmp(argv[1], "tree") == 0) {
		make_dir(argv[3]);
		change(0, atol(argv[2]), argv[3]);
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "touch") == 0) {
		change(atol(argv[2]), atol(argv[3]), argv[4]);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(meters); i++) {
		if (rounds < 1 || rounds > ROUNDS_MAX ||
		    strcmp(argv[1], meters[i].name) != 0)
			continue;
		measure(i, rounds, argv[3]);
		return 0;
	}
	fputs("usage: fsmeter create|stat|write|read|run ROUNDS WHAT\n"
	      "       fsmeter tree N DIR\n"
	      "       fsmeter touch FROM N DIR\n",
	      stderr);
	return 2;
}
