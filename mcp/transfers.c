// SPDX-License-Identifier: Apache-2.0
/*
 * transfers.c - HTTP exchanges of libcurl in the loop of libuv
 *
 * libcurl says which sockets to watch and when to wake it (curl_multi_socket_
 * action(3)).  While it runs, nothing may be added to it or removed: what its
 * callbacks cause is noted and done when it has returned, in settle().
 *
 *	transfer_start -> WAITING -> RUNNING -> (end called, freed)
 *	transfer_cancel: muted; removed and freed by settle()
 */
#include "mcp/transfers.h"

#include <assert.h>
#include <curl/curl.h>
#include <string.h>
#include <sys/queue.h>

struct transfer {
	struct transfers *pool;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t body_len;
	const struct transfer_ops *ops;
	void *arg;
	bool running; /* libcurl has it. */
	bool headed;  /* ops->head was called. */
	bool muted;   /* Cancelled. */
	bool paused;  /* It has bytes that nobody took. */
	TAILQ_ENTRY(transfer) link;
};

struct watch {
	uv_poll_t poll;
	struct transfers *pool;
	curl_socket_t fd;
};

struct transfers {
	CURLM *multi;
	uv_timer_t timer; /* When libcurl wants to be called. */
	uv_timer_t kick;  /* For what begins at the loop's next turn. */
	char *ca_file;
	TAILQ_HEAD(transfer_list, transfer) list;
	unsigned handles; /* Open ones of the loop. */
	bool in_curl;
	bool pause;
	bool unpause; /* settle() has to wake the paused. */
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

static void settle(struct transfers *p);

/* --- handles of the loop -------------------------------------------------- */

static void handle_gone(struct transfers *p)
{
	if (--p->handles > 0)
		return;
	if (p->closed != NULL)
		p->closed(p->closed_arg);
	free(p->ca_file);
	free(p);
}

static void watch_on_close(uv_handle_t *handle)
{
	struct watch *w = container_of((uv_poll_t *)handle, struct watch, poll);
	struct transfers *p = w->pool;

	free(w);
	handle_gone(p);
}

static void timer_on_close(uv_handle_t *handle)
{
	handle_gone(
		container_of((uv_timer_t *)handle, struct transfers, timer));
}

static void kick_on_close(uv_handle_t *handle)
{
	handle_gone(container_of((uv_timer_t *)handle, struct transfers, kick));
}

static void kick_on_fire(uv_timer_t *kick)
{
	settle(container_of(kick, struct transfers, kick));
}

static void drive(struct transfers *p, curl_socket_t fd, int events)
{
	int running;

	p->in_curl = true;
	curl_multi_socket_action(p->multi, fd, events, &running);
	p->in_curl = false;
	settle(p);
}

static void watch_on_event(uv_poll_t *poll, int status, int events)
{
	struct watch *w = container_of(poll, struct watch, poll);
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	drive(w->pool, w->fd, flags);
}

static void timer_on_fire(uv_timer_t *timer)
{
	drive(container_of(timer, struct transfers, timer), CURL_SOCKET_TIMEOUT,
	      0);
}

static struct watch *watch_new(struct transfers *p, curl_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->pool = p;
	w->fd = fd;
	if (uv_poll_init(p->timer.loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	p->handles++;
	curl_multi_assign(p->multi, fd, w);
	return w;
}

/* libcurl: which events of a socket it wants to know of. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
		     void *assigned)
{
	struct transfers *p = arg;
	struct watch *w = assigned;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			uv_close((uv_handle_t *)&w->poll, watch_on_close);
		curl_multi_assign(p->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	if (w == NULL)
		w = watch_new(p, fd);
	return w == NULL ? -1 : uv_poll_start(&w->poll, events, watch_on_event);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct transfers *p = arg;

	(void)multi;
	if (ms < 0)
		uv_timer_stop(&p->timer);
	else if (!uv_is_closing((uv_handle_t *)&p->timer))
		uv_timer_start(&p->timer, timer_on_fire, (uint64_t)ms, 0);
	return 0;
}

/* --- one transfer --------------------------------------------------------- */

static void free_headers(struct curl_slist *list)
{
	for (struct curl_slist *l = list; l != NULL; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(list);
}

static void transfer_free(struct transfer *t)
{
	TAILQ_REMOVE(&t->pool->list, t, link);
	if (t->running)
		curl_multi_remove_handle(t->pool->multi, t->easy);
	curl_easy_cleanup(t->easy);
	free_headers(t->headers);
	free(t->body);
	free(t);
}

static void tell_head(struct transfer *t)
{
	long status = 0;

	if (t->headed)
		return;
	t->headed = true;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->ops->head != NULL)
		t->ops->head(t, (int)status, t->arg);
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (t->muted)
		return 0;
	if (t->pool->pause) {
		t->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	tell_head(t);
	if (!t->muted)
		t->ops->body(t, data, size * n, t->arg);
	return t->muted ? 0 : size * n;
}

static int errno_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return -EACCES;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

static void transfer_ended(struct transfer *t, CURLcode code)
{
	const struct transfer_ops *ops = t->ops;
	void *arg = t->arg;

	if (!t->muted && code == CURLE_OK)
		tell_head(t);
	if (!t->muted)
		ops->end(t, errno_of(code), arg);
	transfer_free(t);
}

/* --- the pool ------------------------------------------------------------- */

static bool end_one(struct transfers *p)
{
	CURLMsg *msg;
	CURLcode code;
	char *t;
	int left;

	do {
		msg = curl_multi_info_read(p->multi, &left);
		if (msg == NULL)
			return false;
	} while (msg->msg != CURLMSG_DONE);
	code = msg->data.result; /* @msg does not survive what follows. */
	curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
	transfer_ended((struct transfer *)(void *)t, code);
	return true;
}

static void begin(struct transfer *t)
{
	t->running = true;
	if (curl_multi_add_handle(t->pool->multi, t->easy) == CURLM_OK)
		return;
	t->running = false;
	transfer_ended(t, CURLE_OUT_OF_MEMORY);
}

/* Return: whether anything had to be done. */
static bool begin_or_free_one(struct transfers *p)
{
	struct transfer *t;

	TAILQ_FOREACH (t, &p->list, link)
		if (t->muted || !t->running)
			break;
	if (t == NULL)
		return false;
	if (t->muted)
		transfer_free(t);
	else
		begin(t);
	return true;
}

/* curl_easy_pause() may hand the bytes over before it returns. */
static void wake_paused(struct transfers *p)
{
	struct transfer *t;

	p->unpause = false;
	TAILQ_FOREACH (t, &p->list, link) {
		if (!t->paused || t->muted || p->pause)
			continue;
		t->paused = false;
		curl_easy_pause(t->easy, CURLPAUSE_CONT);
	}
}

static void finish_close(struct transfers *p)
{
	struct transfer *t;

	while ((t = TAILQ_FIRST(&p->list)) != NULL)
		transfer_free(t);
	p->in_curl = true;
	curl_multi_cleanup(p->multi);
	uv_close((uv_handle_t *)&p->timer, timer_on_close);
	uv_close((uv_handle_t *)&p->kick, kick_on_close);
}

static void settle(struct transfers *p)
{
	if (p->in_curl)
		return;
	p->in_curl = true; /* Callbacks find it busy, and leave it to us. */
	do {
		if (p->unpause && !p->closing)
			wake_paused(p);
	} while (!p->closing && (end_one(p) || begin_or_free_one(p)));
	p->in_curl = false;
	if (p->closing)
		finish_close(p);
}

struct transfers *transfers_new(uv_loop_t *loop, const char *ca_file)
{
	struct transfers *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	TAILQ_INIT(&p->list);
	p->ca_file = ca_file ? strdup(ca_file) : NULL;
	/* Counts its users; from the loop's thread only, as all of this. */
	p->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
			   ? curl_multi_init()
			   : NULL;
	if (p->multi == NULL || (ca_file != NULL && p->ca_file == NULL)) {
		curl_multi_cleanup(p->multi);
		free(p->ca_file);
		free(p);
		return NULL;
	}
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	uv_timer_init(loop, &p->timer); /* Cannot fail. */
	uv_timer_init(loop, &p->kick);
	p->handles = 2;
	return p;
}

void transfers_close(struct transfers *p, void (*cb)(void *arg), void *arg)
{
	struct transfer *t;

	if (p == NULL || p->closing)
		return;
	p->closing = true;
	p->closed = cb;
	p->closed_arg = arg;
	TAILQ_FOREACH (t, &p->list, link)
		t->muted = true;
	settle(p);
}

void transfers_pause(struct transfers *p, bool pause)
{
	if (p->pause == pause)
		return;
	p->pause = pause;
	p->unpause = !pause;
	settle(p);
}

static int add_headers(struct transfer *t, char *const *headers)
{
	struct curl_slist *more;

	for (; *headers != NULL; headers++) {
		more = curl_slist_append(t->headers, *headers);
		if (more == NULL)
			return -ENOMEM;
		t->headers = more;
	}
	/* It would wait for a "100 Continue" that few servers send. */
	more = curl_slist_append(t->headers, "Expect:");
	if (more == NULL)
		return -ENOMEM;
	t->headers = more;
	return 0;
}

static int set_up(struct transfer *t, const struct transfer_spec *spec)
{
	CURL *c = t->easy;
	int r = add_headers(t, spec->headers);

	if (r < 0)
		return r;
	curl_easy_setopt(c, CURLOPT_PRIVATE, t);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)TRANSFER_CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)spec->timeout_ms);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "hibernacle/" HIB_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	if (t->pool->ca_file != NULL)
		curl_easy_setopt(c, CURLOPT_CAINFO, t->pool->ca_file);
	if (spec->body != NULL) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)spec->body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, spec->body);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, spec->method);
	return curl_easy_setopt(c, CURLOPT_URL, spec->url) == CURLE_OK
		       ? 0
		       : -EINVAL;
}

struct transfer *transfer_start(struct transfers *p,
				const struct transfer_spec *spec,
				const struct transfer_ops *ops, void *arg)
{
	struct transfer *t;

	if (p->closing)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->pool = p;
	t->ops = ops;
	t->arg = arg;
	TAILQ_INSERT_TAIL(&p->list, t, link);
	t->easy = curl_easy_init();
	if (t->easy == NULL || set_up(t, spec) < 0) {
		transfer_free(t);
		return NULL;
	}
	t->body = spec->body;
	t->body_len = spec->body_len;
	uv_timer_start(&p->kick, kick_on_fire, 0, 0);
	return t;
}

void transfer_cancel(struct transfer *t)
{
	t->muted = true;
	settle(t->pool);
}

char *transfer_take_body(struct transfer *t)
{
	return take_ptr(t->body);
}

bool transfer_drop_body(struct transfer *t)
{
	curl_off_t sent = 0;

	curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if (t->body != NULL && (size_t)sent >= t->body_len) {
		free(t->body);
		t->body = NULL;
	}
	return t->body == NULL;
}

const char *transfer_header(struct transfer *t, const char *name)
{
	struct curl_header *h;

	/* The last one: those before may be of a "100 Continue". */
	if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &h) !=
	    CURLHE_OK)
		return NULL;
	return h->value;
}
