// SPDX-License-Identifier: Apache-2.0
/*
 * test_bulk.c - Long work leaves threads of the pool to others
 */
#include <semaphore.h>

#include "host/bulk.h"
#include "tests/tap.h"

#define N_LONG (BULK_MAX * 4)

static uv_loop_t loop;
static uv_work_t long_work[N_LONG], short_work;
static sem_t may_end;
static unsigned n_begun; /* Atomic. */
static unsigned n_done;

static void set_up(void)
{
	EQ(uv_loop_init(&loop), 0);
	EQ(sem_init(&may_end, 0, 0), 0);
}

static void tear_down(void)
{
	EQ(uv_loop_close(&loop), 0);
	sem_destroy(&may_end);
}

static void on_long(uv_work_t *w)
{
	(void)w;
	__atomic_add_fetch(&n_begun, 1, __ATOMIC_SEQ_CST);
	sem_wait(&may_end);
}

static void on_long_done(uv_work_t *w, int status)
{
	/* One thread each: the first of those that run, or the next. */
	OK(w >= long_work && w <= long_work + n_done + BULK_MAX - 1);
	EQ(status, 0);
	n_done++;
}

static void on_short(uv_work_t *w)
{
	(void)w;
}

static void on_short_done(uv_work_t *w, int status)
{
	OK(w == &short_work);
	EQ(status, 0);
	OK(__atomic_load_n(&n_begun, __ATOMIC_SEQ_CST) <= BULK_MAX);
	EQ(n_done, 0);
	for (size_t i = 0; i < N_LONG; i++)
		sem_post(&may_end);
}

static void short_work_is_done_while_long_work_waits(void)
{
	set_up();
	for (size_t i = 0; i < N_LONG; i++)
		bulk_queue(&loop, &long_work[i], on_long, on_long_done);
	EQ(uv_queue_work(&loop, &short_work, on_short, on_short_done), 0);
	EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
	EQ(n_done, N_LONG);
	EQ(n_begun, N_LONG);
	tear_down();
}

TESTS(CASE(short_work_is_done_while_long_work_waits))
