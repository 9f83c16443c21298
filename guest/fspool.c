// SPDX-License-Identifier: Apache-2.0
/*
 * fspool.c - Threads that wait for file systems, so that the loop does not
 *
 * A thread is started when work comes and none is idle, up to FS_THREADS; it
 * stays.  Finished work is handed back by a list and one wake-up of the loop.
 *
 * Linux keeps the file system identity and the capabilities of each thread by
 * itself; glibc's wrappers would change all threads, so some calls are made
 * directly.
 */
#include "guest/fspool.h"

#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/log.h"
#include "guest/limits.h"
#include "guest/session_init.h"

#define LOG_COMPONENT "files"

TAILQ_HEAD(fswork_list, fswork);

struct fspool {
	bool as_agent;
	uv_async_t wake;
	uv_mutex_t lock; /* Of all below. */
	uv_cond_t more;
	struct fswork_list waiting, finished;
	uv_thread_t thread[FS_THREADS];
	unsigned n_threads, n_idle;
	bool closing;
	unsigned n_out; /* Submitted, not done; of the loop. */
};

/*
 * A thread.
 */

/* Where the map has no such user, all of the VM is one user's: ours. */
static void become_agent(void)
{
	const gid_t gid = SESSION_INIT_UID;
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	(void)syscall(SYS_setgroups, 1, &gid);
	(void)setfsgid(SESSION_INIT_UID);
	(void)setfsuid(SESSION_INIT_UID);
	if (syscall(SYS_capset, &head, none) < 0)
		log_error("capabilities of a thread for files: %s",
			  strerror(errno));
}

static struct fswork *next_work(struct fspool *p)
{
	struct fswork *w;

	p->n_idle++;
	while ((w = TAILQ_FIRST(&p->waiting)) == NULL && !p->closing)
		uv_cond_wait(&p->more, &p->lock);
	p->n_idle--;
	if (w != NULL)
		TAILQ_REMOVE(&p->waiting, w, link);
	return w;
}

static void fspool_thread(void *arg)
{
	struct fspool *p = arg;
	struct fswork *w;

	/* A mask of its own for what is made. */
	if (unshare(CLONE_FS) == 0)
		(void)umask(022);
	if (p->as_agent)
		become_agent();
	uv_mutex_lock(&p->lock);
	while ((w = next_work(p)) != NULL) {
		uv_mutex_unlock(&p->lock);
		w->run(w);
		uv_mutex_lock(&p->lock);
		TAILQ_INSERT_TAIL(&p->finished, w, link);
		(void)uv_async_send(&p->wake);
	}
	uv_mutex_unlock(&p->lock);
}

/*
 * The loop's side.
 */

static void run_done(struct fspool *p, struct fswork_list *list)
{
	struct fswork *w;

	for (;;) {
		uv_mutex_lock(&p->lock);
		w = TAILQ_FIRST(list);
		if (w != NULL)
			TAILQ_REMOVE(list, w, link);
		uv_mutex_unlock(&p->lock);
		if (w == NULL)
			return;
		p->n_out--;
		w->done(w);
	}
}

static void fspool_on_wake(uv_async_t *h)
{
	struct fspool *p = container_of(h, struct fspool, wake);

	run_done(p, &p->finished);
}

static void start_thread(struct fspool *p)
{
	const uv_thread_options_t o = {
		.flags = UV_THREAD_HAS_STACK_SIZE,
		.stack_size = FS_STACK,
	};
	int r = uv_thread_create_ex(&p->thread[p->n_threads], &o, fspool_thread,
				    p);

	if (r == 0)
		p->n_threads++;
	else
		log_warn("no more threads for files: %s", uv_strerror(r));
}

void fspool_submit(struct fspool *p, struct fswork *w)
{
	unsigned waiting = 0;
	struct fswork *other;

	p->n_out++;
	uv_mutex_lock(&p->lock);
	TAILQ_INSERT_TAIL(&p->waiting, w, link);
	TAILQ_FOREACH (other, &p->waiting, link)
		waiting++;
	if (p->n_idle < waiting && p->n_threads < FS_THREADS)
		start_thread(p);
	uv_cond_signal(&p->more);
	uv_mutex_unlock(&p->lock);
}

bool fspool_is_idle(const struct fspool *p)
{
	return p->n_out == 0;
}

int fspool_open(uv_loop_t *loop, bool as_agent, struct fspool **out)
{
	struct fspool *p = calloc(1, sizeof(*p));
	int r;

	if (p == NULL)
		return -ENOMEM;
	p->as_agent = as_agent;
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->finished);
	r = uv_async_init(loop, &p->wake, fspool_on_wake);
	if (r < 0) {
		free(p);
		return r;
	}
	uv_unref((uv_handle_t *)&p->wake);
	if (uv_mutex_init(&p->lock) < 0 || uv_cond_init(&p->more) < 0)
		abort(); /* They only fail when misused. */
	*out = p;
	return 0;
}

static void fspool_on_closed(uv_handle_t *h)
{
	struct fspool *p = container_of(h, struct fspool, wake);

	uv_cond_destroy(&p->more);
	uv_mutex_destroy(&p->lock);
	free(p);
}

void fspool_close(struct fspool *p)
{
	struct fswork_list never;

	if (p == NULL)
		return;
	TAILQ_INIT(&never);
	uv_mutex_lock(&p->lock);
	p->closing = true;
	TAILQ_CONCAT(&never, &p->waiting, link);
	uv_cond_broadcast(&p->more);
	uv_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++)
		(void)uv_thread_join(&p->thread[i]);
	run_done(p, &p->finished);
	run_done(p, &never);
	uv_close((uv_handle_t *)&p->wake, fspool_on_closed);
}
