// SPDX-License-Identifier: Apache-2.0
/*
 * bench_machine.c - Machines that boot, sleep, wake and multiply
 *
 * Without hibd: what a backend's operation takes, until the guest has answered a
 * greeting.  Each time stands beside that of a cold boot in the same run.  PSS
 * is what a machine costs when those that share pages share their cost.  A machine
 * is resumed when its memory is on the disk, as one is that has slept for a while.
 *
 *   bench_machine [--json]
 *   BENCH_MACHINE_MIB   sizes of memory to try (default: "128 256 512")
 *   IMAGE_CACHE_DIR     where images are; of small and small-tiny those that are
 *                       there are booted
 */
#include <time.h>

#include "tests/machine_kit.h"

#define ROUNDS	    5
#define BOOTS	    3
#define FORKS_MAX   20
#define FIGURES_MAX 128
#define NAME_MAX_   80

struct figure {
	char name[NAME_MAX_];
	const char *unit, *baseline;
	double value, base; /* base 0: none. */
};

static struct figure figures[FIGURES_MAX];
static size_t n_figures;

static const struct kernel {
	const char *image, *name;
} kernels[] = {{"small", "Debian's kernel"}, {"small-tiny", "small kernel"}};
static const struct kernel *kernel;

static void figure(const char *unit, double value, const char *baseline,
		   double base, const char *name, long mib, long n)
{
	struct figure *f = &figures[n_figures++];

	OK(n_figures < FIGURES_MAX);
	*f = (struct figure){.unit = unit,
			     .value = value,
			     .baseline = baseline,
			     .base = base};
	if (n > 0)
		snprintf(f->name, sizeof(f->name), "%s: %s, %ld of %ld MiB",
			 kernel->name, name, n, mib);
	else
		snprintf(f->name, sizeof(f->name), "%s: %s, %ld MiB",
			 kernel->name, name, mib);
	fprintf(stderr, "  %s: %.1f %s\n", f->name, value, unit);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static double pss_mib(const struct box *b)
{
	char path[64], line[256];
	double kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup",
		 ops->pid(b->machine));
	f = fopen(path, "re");
	OK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "Pss:", 4) == 0)
			kib = atof(line + 4);
	fclose(f);
	return kib / 1024;
}

static double kib_of(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.*s/%s", PATH_ROOM, dir, name);
	EQ(stat(path, &st), 0);
	return (double)st.st_blocks / 2;
}

/* --- what is timed -------------------------------------------------------- */

static double time_boot(struct box *b)
{
	char nonce[GREET_NONCE_MAX];
	double from = now_ms();

	boot(b);
	meet(b, nonce);
	return now_ms() - from;
}

/* Machines of their own; the last one stays. */
static double time_boots(struct box *b)
{
	double took[BOOTS];

	for (int i = 0; i < BOOTS; i++) {
		took[i] = time_boot(b);
		if (i < BOOTS - 1)
			off(b);
	}
	return median(took, BOOTS);
}

static double time_suspend(struct box *b)
{
	char dir[PATH_MAX];
	double from = now_ms(), took;

	memory_dir(b, dir);
	b->done = b->exited = false;
	ops->suspend(b->machine, dir, on_done, b);
	wait_for(&b->done);
	took = now_ms() - from;
	EQ(b->err.code, 0);
	wait_for(&b->exited);
	return took;
}

static void wait_for_disk(const struct box *b)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.*s/" SAVED_AT "/" SAVED_SYNCED,
		 PATH_ROOM, b->dir);
	while (access(path, F_OK) < 0) {
		(void)uv_run(&t.loop, UV_RUN_NOWAIT);
		(void)usleep(1000);
	}
}

static double time_resume(struct box *b)
{
	char nonce[GREET_NONCE_MAX];
	double from = now_ms();

	try_resume(b);
	must_be_up(b);
	meet(b, nonce);
	return now_ms() - from;
}

static double sleep_and_wake(struct box *b, long mib, double cold)
{
	double down[ROUNDS], up[ROUNDS];
	char dir[PATH_MAX];

	for (int i = 0; i < ROUNDS; i++) {
		down[i] = time_suspend(b);
		wait_for_disk(b);
		up[i] = time_resume(b);
	}
	memory_dir(b, dir);
	figure("ms", median(down, ROUNDS), "cold boot", cold, "suspend", mib,
	       0);
	figure("ms", median(up, ROUNDS), "cold boot", cold,
	       "resume to an answer", mib, 0);
	return median(up, ROUNDS);
}

/* One after the other, all of them kept. */
static void fork_some(const char *dir, long mib, unsigned n, double cold)
{
	double took[FORKS_MAX], pss = 0;
	char nonce[GREET_NONCE_MAX];

	for (unsigned i = 0; i < n; i++) {
		struct box *b = make_vm(i + 1, mib);
		double from = now_ms();

		resume_from(b, dir);
		must_be_up(b);
		meet(b, nonce);
		took[i] = now_ms() - from;
	}
	for (unsigned i = 0; i < n; i++)
		pss += pss_mib(&t.box[i + 1]);
	figure("ms", median(took, n), "cold boot", cold, "fork, each", mib, n);
	figure("MiB", pss / n, "its memory", (double)mib, "PSS of a fork", mib,
	       n);
	for (unsigned i = 0; i < n; i++)
		off(&t.box[i + 1]);
}

static void multiply(struct box *b, long mib, double cold)
{
	static const unsigned numbers[] = {1, 5, FORKS_MAX};
	char dir[PATH_MAX];
	double from = now_ms();

	snapshot(b, "snapshot", dir);
	figure("ms", now_ms() - from, "cold boot", cold, "snapshot", mib, 0);
	figure("MiB", (kib_of(dir, "ram") + kib_of(dir, "state")) / 1024,
	       "its memory", (double)mib, "memory in a snapshot", mib, 0);
	figure("MiB", kib_of(dir, "disk.img") / 1024, NULL, 0,
	       "disk in a snapshot", mib, 0);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		fork_some(dir, mib, numbers[i], cold);
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void measure(long mib)
{
	struct box *b = make_vm(0, mib);
	double cold = time_boots(b);

	figure("ms", cold, NULL, 0, "cold boot to an answer", mib, 0);
	figure("MiB", pss_mib(b), "its memory", (double)mib, "PSS", mib, 0);
	(void)sleep_and_wake(b, mib, cold);
	multiply(b, mib, cold);
	off(b);
	(void)nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the report ------------------------------------------------------------ */

static void report(void)
{
	printf("| what | measured | baseline | ratio |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n_figures; i++) {
		const struct figure *f = &figures[i];

		printf("| %s | %.1f %s |", f->name, f->value, f->unit);
		if (f->baseline != NULL)
			printf(" %s: %.0f %s | %.3f |\n", f->baseline, f->base,
			       f->unit, f->value / f->base);
		else
			printf(" | |\n");
	}
}

static void report_json(void)
{
	printf("[");
	for (size_t i = 0; i < n_figures; i++) {
		const struct figure *f = &figures[i];

		printf("%s{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"%s\","
		       "\"baseline\":\"%s\",\"baseline_value\":%.2f}",
		       i > 0 ? "," : "", f->name, f->value, f->unit,
		       f->baseline ? f->baseline : "", f->base);
	}
	printf("]\n");
}

/* With each size of memory. */
static void measure_all(const char *sizes)
{
	char *end;

	for (;; sizes = end) {
		long mib = strtol(sizes, &end, 10);

		if (end == sizes)
			return;
		measure(mib);
	}
}

int main(int argc, char **argv)
{
	const char *sizes = getenv("BENCH_MACHINE_MIB");

	make_home();
	for (size_t i = 0; i < ARRAY_LEN(kernels); i++) {
		const char *why = find_image(kernels[i].image);

		kernel = &kernels[i];
		if (why == NULL)
			measure_all(sizes != NULL ? sizes : "128 256 512");
		else
			fprintf(stderr, "bench_machine: %s: %s\n",
				kernel->image, why);
	}
	if (argc > 1 && strcmp(argv[1], "--json") == 0)
		report_json();
	else
		report();
	return 0;
}
