// SPDX-License-Identifier: Apache-2.0
/*
 * hib.c - The handle of libhib: its loop, its end, its errors
 *
 * A blocking call starts its work on the handle's private loop and runs the loop
 * until the work has ended.  So subscriptions go on during blocking calls, and
 * a program with a loop of its own can watch the private one by one descriptor.
 *
 * hib_interrupt() sets a flag and wakes the loop; whoever runs it looks at the
 * flag after each turn of the loop.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "host/lib/lib.h"

#define URL_SCHEME "http://"

/* Members of an object become the object. */
static void put_data(char *out, size_t cap, const char *members)
{
	size_t n = strlen(members);

	if (n + 3 > cap)
		n = 0;
	out[0] = '{';
	memcpy(out + 1, members, n);
	memcpy(out + 1 + n, "}", 2);
}

int lib_result(int r, const struct err *e, struct hib_error *out)
{
	enum fault f;

	if (out != NULL)
		*out = (struct hib_error){0};
	if (r >= 0)
		return 0;
	f = err_fault(r);
	if (out != NULL) {
		out->code = (int)f;
		snprintf(out->name, sizeof(out->name), "%s", fault_name(f));
		snprintf(out->message, sizeof(out->message), "%s", e->msg);
		put_data(out->data, sizeof(out->data), e->data);
	}
	return -(int)f;
}

int hib_exit_code(const struct hib_error *e)
{
	return e->code == 0 ? 0 : fault_exit_code((enum fault)e->code);
}

int lib_options(void *ours, size_t size_of, const void *theirs, struct err *e)
{
	size_t size;

	memset(ours, 0, size_of);
	if (theirs == NULL)
		return 0;
	memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the size of a struct is not set");
	memcpy(ours, theirs, size < size_of ? size : size_of);
	return 0;
}

/* --- the loop ----------------------------------------------------------- */

int lib_put_json(struct jw *w, const char *key, const char *text, struct err *e)
{
	autojson struct json j = {0};
	struct err bad = {0};

	if (text == NULL)
		return 0;
	if (json_parse(&j, text, strlen(text), &bad) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s: %s", key,
			       bad.msg);
	jw_kraw(w, key, text);
	return 0;
}

static int put_variables(struct jw *w, const char *const *env, struct err *e)
{
	for (; env != NULL && *env != NULL; env++) {
		const char *equals = strchr(*env, '=');
		autofree char *name = NULL;

		if (equals == NULL || equals == *env)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "an environment variable is not "
				       "NAME=value");
		name = strndup(*env, (size_t)(equals - *env));
		if (name == NULL)
			return err_set(e, -ENOMEM, "out of memory");
		jw_kstr(w, name, equals + 1);
	}
	return 0;
}

/* "NAME=SECRET", or "NAME" when both are called so. */
static int put_secrets(struct jw *w, const char *const *env, struct err *e)
{
	for (; env != NULL && *env != NULL; env++) {
		const char *equals = strchr(*env, '=');
		autofree char *name = strndup(*env, strcspn(*env, "="));

		if (name == NULL)
			return err_set(e, -ENOMEM, "out of memory");
		jw_key(w, name);
		jw_obj(w);
		jw_kstr(w, "secret", equals != NULL ? equals + 1 : name);
		jw_obj_end(w);
	}
	return 0;
}

int lib_put_env(struct jw *w, const char *const *env,
		const char *const *secrets, struct err *e)
{
	int r;

	if (env == NULL && secrets == NULL)
		return 0;
	jw_key(w, "env");
	jw_obj(w);
	r = put_variables(w, env, e);
	if (r == 0)
		r = put_secrets(w, secrets, e);
	jw_obj_end(w);
	return r;
}

int lib_may_run(const struct hib *h, struct err *e)
{
	return h->running ? err_set(e, -FAULT_INVALID_ARGUMENT,
				    "called from within a callback")
			  : 0;
}

/* A daemon that goes while we write to it must not kill the user's program:
 * SIGPIPE is held back, and taken away if it is ours. */
void lib_run(struct hib *h, uv_run_mode mode)
{
	static const struct timespec now = {0};
	sigset_t pipe_only, before, pending;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	h->running = true;
	uv_run(&h->loop, mode);
	h->running = false;
	if (!sigismember(&pending, SIGPIPE))
		(void)sigtimedwait(&pipe_only, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool lib_interrupted(struct hib *h)
{
	return atomic_exchange(&h->interrupted, false);
}

static void timer_on_fire(uv_timer_t *t)
{
	struct hib *h = t->data;

	h->timer_fired = true;
}

static void timer_begin(struct hib *h, uint64_t ms)
{
	h->timer_fired = false;
	uv_update_time(&h->loop);
	uv_timer_start(&h->timer, timer_on_fire, ms, 0);
}

int lib_pause(struct hib *h, uint64_t ms)
{
	bool interrupted = false;

	timer_begin(h, ms);
	while (!h->timer_fired && !interrupted) {
		lib_run(h, UV_RUN_ONCE);
		interrupted = lib_interrupted(h);
	}
	uv_timer_stop(&h->timer);
	return interrupted ? -ECANCELED : 0;
}

uint64_t lib_pause_ms(unsigned failures)
{
	uint64_t ms = LIB_PAUSE_MS;

	while (failures-- > 1 && ms < LIB_PAUSE_MAX_MS)
		ms *= 2;
	return ms < LIB_PAUSE_MAX_MS ? ms : LIB_PAUSE_MAX_MS;
}

int hib_fd(const struct hib *h)
{
	return uv_backend_fd(&h->loop);
}

int hib_timeout(const struct hib *h)
{
	return uv_backend_timeout(&h->loop);
}

int hib_dispatch(struct hib *h)
{
	if (lib_may_run(h, NULL) < 0)
		return -HIB_INVALID_ARGUMENT;
	lib_run(h, UV_RUN_NOWAIT);
	return lib_interrupted(h) ? -HIB_CANCELLED : 0;
}

int hib_wait(struct hib *h, int timeout_ms)
{
	if (lib_may_run(h, NULL) < 0)
		return -HIB_INVALID_ARGUMENT;
	if (timeout_ms >= 0)
		timer_begin(h, (uint64_t)timeout_ms);
	lib_run(h, UV_RUN_ONCE);
	uv_timer_stop(&h->timer);
	return lib_interrupted(h) ? -HIB_CANCELLED : 0;
}

void hib_interrupt(struct hib *h)
{
	atomic_store(&h->interrupted, true);
	(void)uv_async_send(&h->interrupt);
}

/* --- open --------------------------------------------------------------- */

static void interrupt_on_wake(uv_async_t *a)
{
	(void)a; /* The loop's runner looks at the flag. */
}

/* "http://ADDRESS:PORT"; the address is numeric. */
static int read_url(const char *url, char *host, size_t cap,
		    struct http_target *t, struct err *e)
{
	const char *rest = url + strlen(URL_SCHEME);
	const char *colon = strrchr(url, ':');
	char *end;
	long port;

	if (strncmp(url, URL_SCHEME, strlen(URL_SCHEME)) != 0 || colon < rest ||
	    (size_t)(colon - rest) >= cap)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "'%.100s' is not http://ADDRESS:PORT", url);
	port = strtol(colon + 1, &end, 10);
	if (port < 1 || port > UINT16_MAX ||
	    (*end != '\0' && strcmp(end, "/") != 0))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "'%.100s' has no port", url);
	memcpy(host, rest, (size_t)(colon - rest));
	host[colon - rest] = '\0';
	t->host = host;
	t->port = (int)port;
	return 0;
}

static int open_client(struct hib *h, const struct hib_options *o,
		       struct err *e)
{
	struct http_target t = {.token = o->token};
	char host[64];
	int r = 0;

	if (o->url != NULL)
		r = read_url(o->url, host, sizeof(host), &t, e);
	else
		t.unix_path = h->home.sock;
	if (r < 0)
		return r;
	h->http = http_client_new(&h->loop, &t);
	return h->http ? 0 : err_set(e, -ENOMEM, "libhib: out of memory");
}

static int open_loop(struct hib *h, struct err *e)
{
	int r = uv_loop_init(&h->loop);

	if (r < 0)
		return err_set(e, r, "libhib: event loop: %s", uv_strerror(r));
	r = uv_async_init(&h->loop, &h->interrupt, interrupt_on_wake);
	if (r < 0) {
		(void)uv_loop_close(&h->loop);
		return err_set(e, r, "libhib: event loop: %s", uv_strerror(r));
	}
	uv_timer_init(&h->loop, &h->timer);
	h->timer.data = h;
	return 0;
}

static int open_handle(const struct hib_options *o, struct hib **out,
		       struct err *e)
{
	autofree struct hib *h = calloc(1, sizeof(*h));
	int r;

	if (h == NULL)
		return err_set(e, -ENOMEM, "libhib: out of memory");
	TAILQ_INIT(&h->subs);
	TAILQ_INIT(&h->watches);
	TAILQ_INIT(&h->tools);
	TAILQ_INIT(&h->tool_watches);
	TAILQ_INIT(&h->tool_calls);
	h->ready_fd = -1;
	h->autostart = !o->no_autostart && o->url == NULL;
	h->attempts = o->attempts ? o->attempts : LIB_ATTEMPTS;
	if (o->url == NULL) {
		r = home_find(o->home, &h->home, e);
		if (r < 0)
			return r;
	}
	r = open_loop(h, e);
	if (r < 0)
		return r;
	r = open_client(h, o, e);
	if (r < 0) {
		hib_close(take_ptr(h));
		return r;
	}
	*out = take_ptr(h);
	return 0;
}

int hib_open(const struct hib_options *options, struct hib **out,
	     struct hib_error *e)
{
	struct hib_options o;
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = open_handle(&o, out, &err);
	return lib_result(r, &err, e);
}

void hib_close(struct hib *h)
{
	if (h == NULL)
		return;
	tools_close(h);
	subs_close(h);
	watches_close(h);
	start_close(h);
	if (h->http != NULL)
		http_client_close(h->http, NULL, NULL);
	uv_close((uv_handle_t *)&h->timer, NULL);
	uv_close((uv_handle_t *)&h->interrupt, NULL);
	lib_run(h, UV_RUN_DEFAULT);
	(void)uv_loop_close(&h->loop);
	free(h);
}

void hib_free(void *p)
{
	free(p);
}

const char *hib_version(void)
{
	return HIB_VERSION;
}
