// SPDX-License-Identifier: Apache-2.0
/*
 * guest.c - The daemon in the VM: its loop, store, sessions and channel
 *
 * Before and after each poll the journals are flushed, so all that one turn of
 * the loop has made is on its way to the store before the next wait.  Before
 * the poll also the rest is looked at that depends on what has happened: do
 * agents have to wait (too much uncommitted, or unconfirmed by the host), may
 * sessions leave, is a freeze complete.  Neither handle wakes an idle loop.
 *
 * The end, by poweroff or SIGTERM, is a freeze first.  A guest to which no host
 * comes after its boot ends by itself.
 */
#include "guest/guest.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "core/db.h"
#include "core/log.h"
#include "core/wire.h"
#include "guest/checkpoint.h"
#include "guest/checkpoint_calls.h"
#include "guest/exec.h"
#include "guest/fspool.h"
#include "guest/fsserve.h"
#include "guest/limits.h"
#include "guest/lookups.h"
#include "guest/machine.h"
#include "guest/named.h"
#include "guest/pause.h"
#include "guest/reexec.h"
#include "guest/server.h"
#include "guest/session.h"
#include "guest/sql_calls.h"
#include "guest/sqlops.h"
#include "guest/workspace.h"

#define LOG_COMPONENT "guest"

/*
 * Who we are.
 */

/* A row of meta, on its way. */
struct meta_job {
	struct store_job job;
	char key[16], value[64];
};

static int meta_run(struct sqlite3 *db, struct store_job *job, struct err *e)
{
	struct meta_job *m = container_of(job, struct meta_job, job);

	return db_run(db, e,
		      "INSERT INTO meta(k, v) VALUES(?1, ?2) "
		      "ON CONFLICT(k) DO UPDATE SET v=excluded.v",
		      "ss", m->key, m->value);
}

static void meta_done(struct store_job *job, const struct err *e)
{
	struct meta_job *m = container_of(job, struct meta_job, job);

	if (e != NULL && e->code < 0)
		log_warn("%s is not stored: %s", m->key, e->msg);
	free(m);
}

void guest_put_meta(struct guest *g, const char *key, const char *value)
{
	struct meta_job *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return;
	m->job.run = meta_run;
	m->job.done = meta_done;
	snprintf(m->key, sizeof(m->key), "%s", key);
	snprintf(m->value, sizeof(m->value), "%s", value);
	store_submit(g->store, &m->job);
}

static int read_vm(struct guest *g, struct err *e)
{
	autofree char *vm = NULL;
	int r = reader_value(g->reader, "SELECT v FROM meta WHERE k='vm_id'",
			     NULL, &vm, e);

	if (r > 0 && id_is(vm, "vm"))
		memcpy(g->vm, vm, strlen(vm) + 1);
	return r < 0 ? r : 0;
}

/* The first host that says hello names the VM; others are turned away.  But a
 * guest that is paused, or not started, may be told that it is a clone: who it is
 * now is said by the thaw. */
static int check_vm(struct guest *g, struct jv params, struct err *e)
{
	char vm[ID_MAX];

	if (jv_strcpy(jv_get(params, "vm"), vm, sizeof(vm)) < 0 ||
	    !id_is(vm, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "vm is no id of a VM");
	if (g->vm[0] == '\0') {
		memcpy(g->vm, vm, ID_MAX);
		guest_put_meta(g, "vm_id", vm);
	}
	if ((g->state == GUEST_PAUSED || g->state == GUEST_NEW) &&
	    jv_eq(jv_get(params, "clone_of"), g->vm))
		return 0;
	if (strcmp(g->vm, vm) != 0)
		return err_set(e, -FAULT_SESSION_CONFLICT,
			       "the disk belongs to %s", g->vm);
	return 0;
}

struct hello {
	struct guest *guest;
	struct jw *w;
};

static int hello_on_session(const struct session_brief *b, void *arg)
{
	struct hello *h = arg;

	jw_obj(h->w);
	jw_kstr(h->w, "id", b->id);
	jw_kint(h->w, "last_seq", b->last_seq);
	jw_kint(h->w, "chain", b->chain);
	jw_kint(h->w, "epoch", b->epoch);
	jw_kstr(h->w, "state", b->state);
	jw_kbool(h->w, "live", session_id_is_live(h->guest, b->id));
	jw_obj_end(h->w);
	return 0;
}

int guest_hello(struct guest *g, struct call *c, struct err *e)
{
	struct hello h = {.guest = g, .w = &c->result};
	struct jw *w = &c->result;
	int r = wire_agree(&wire_versions, c->params, "the guest", "hibd", e);

	if (r > 0)
		r = check_vm(g, c->params, e);
	if (r < 0)
		return r;
	uv_timer_stop(&g->alone);
	if (g->generation == 0)
		g->generation = jv_int(jv_get(c->params, "generation"), 0);
	jw_obj(w);
	wire_write(w);
	jw_kstr(w, "build", HIB_VERSION);
	jw_kstr(w, "vm", g->vm);
	jw_kstr(w, "boot_id", g->boot_id);
	jw_kint(w, "generation", g->generation);
	jw_kint(w, "upgrades", g->upgrades);
	jw_kbool(w, "started", g->state != GUEST_NEW);
	jw_kbool(w, "frozen", g->state >= GUEST_FREEZING);
	jw_kbool(w, "paused",
		 g->state == GUEST_PAUSED || g->state == GUEST_THAWING);
	if (g->workspace != NULL)
		workspace_write(g->workspace, w);
	jw_key(w, "sessions");
	jw_arr(w);
	r = reader_sessions(g->reader, NULL, hello_on_session, &h, e);
	jw_arr_end(w);
	jw_obj_end(w);
	if (r < 0)
		return r;
	call_reply(c);
	return 0;
}

/*
 * Start: what the last boot left is settled before any call is served.
 */

struct start_wait {
	struct journal_effect done;
	struct guest *guest;
};

static void answer_start(struct guest *g)
{
	struct call *c;

	if (g->n_starting > 0)
		return;
	while ((c = TAILQ_FIRST(&g->starting)) != NULL) {
		TAILQ_REMOVE(&g->starting, c, link);
		jw_obj(&c->result);
		if (g->workspace != NULL)
			workspace_write(g->workspace, &c->result);
		jw_obj_end(&c->result);
		call_reply(c);
	}
}

static void start_on_settled(struct journal_effect *ef, const struct err *e)
{
	struct start_wait *w = container_of(ef, struct start_wait, done);
	struct guest *g = w->guest;

	(void)e; /* Logged by the session, which tries again later. */
	free(w);
	g->n_starting--;
	answer_start(g);
}

struct id_list {
	char (*ids)[ID_MAX];
	size_t n;
};

static bool needs_care(const struct session_brief *b)
{
	static const char *const live[] = {"starting", "idle", "running",
					   "waiting", "closing"};
	bool over = strcmp(b->state, "closed") == 0 ||
		    strcmp(b->state, "expired") == 0;

	for (size_t i = 0; i < ARRAY_LEN(live); i++)
		if (strcmp(b->state, live[i]) == 0)
			return true;
	return b->open_turn[0] != '\0' || b->pending > 0 ||
	       (b->expires_ms > 0 && !over);
}

static int collect(const struct session_brief *b, void *arg)
{
	struct id_list *l = arg;
	void *grown;

	if (!needs_care(b))
		return 0;
	if ((l->n & (l->n - 1)) == 0) {
		grown = realloc(l->ids,
				(l->n == 0 ? 1 : 2 * l->n) * sizeof(*l->ids));
		if (grown == NULL)
			return -ENOMEM;
		l->ids = grown;
	}
	memcpy(l->ids[l->n++], b->id, ID_MAX);
	return 0;
}

static int reconcile(struct guest *g, const char *id, struct err *e)
{
	struct start_wait *w = calloc(1, sizeof(*w));
	struct session *s;
	int r;

	if (w == NULL)
		return err_set(e, -ENOMEM, "start: out of memory");
	w->guest = g;
	w->done.run = start_on_settled;
	r = session_find(g, id, &s, e);
	if (r == 0)
		r = session_reconcile(s, &w->done, e);
	if (r < 0)
		free(w);
	else
		g->n_starting++;
	return r;
}

static int reconcile_all(struct guest *g, struct err *e)
{
	struct id_list l = {0};
	int r = reader_sessions(g->reader, NULL, collect, &l, e);

	for (size_t i = 0; r >= 0 && i < l.n; i++)
		r = reconcile(g, l.ids[i], e);
	free(l.ids);
	return r < 0 ? r : 0;
}

int guest_settle_rest(struct guest *g, struct err *e)
{
	struct id_list l = {0};
	int r = reader_sessions(g->reader, NULL, collect, &l, e);

	for (size_t i = 0; r >= 0 && i < l.n; i++) {
		struct session_site site;

		if (session_site(g, l.ids[i], &site, NULL) < 0)
			r = reconcile(g, l.ids[i], e);
	}
	free(l.ids);
	return r < 0 ? r : 0;
}

static int serve(struct guest *g, struct jv params, struct err *e)
{
	struct jv complete = jv_path(params, "workspace.complete");
	char text[32];
	int r = reconcile_all(g, e);

	if (r < 0)
		return r;
	g->generation = jv_int(jv_get(params, "generation"), g->generation);
	g->max_sessions =
		jv_int(jv_get(params, "max_sessions"), LIVE_SESSIONS_DEFAULT);
	snprintf(text, sizeof(text), "%lld", (long long)g->generation);
	guest_put_meta(g, "generation", text);
	guest_put_meta(g, "boot_id", g->boot_id);
	guest_sweep_sql(g);
	g->state = GUEST_SERVING;
	log_info("%s: serving, generation %s", g->vm, text);
	if (!jv_bool(complete, true))
		session_leftover_files(g);
	return 0;
}

static int check_start(const struct guest *g, struct err *e)
{
	if (g->vm[0] == '\0')
		return err_set(e, -FAULT_NOT_READY, "nobody has said hello");
	if (named_is_busy(g))
		return err_set(e, -FAULT_NOT_READY,
			       "its sessions are being renamed");
	if (g->state > GUEST_SERVING)
		return err_set(e, -FAULT_DRAINING, "the VM goes to sleep");
	return 0;
}

/* The calls that wait have come for the same; the first one's word counts. */
static void guest_on_mounted(const struct err *why, void *arg)
{
	struct guest *g = arg;
	struct err e = {0};
	int r = check_start(g, &e);

	if (r == 0 && why != NULL) {
		e = *why;
		r = e.code;
	}
	if (r == 0)
		r = serve(g, TAILQ_FIRST(&g->starting)->params, &e);
	if (r < 0)
		call_list_fail(&g->starting, &e);
	else
		answer_start(g);
}

/* The workspace is there before anything can be run in it. */
int guest_start(struct guest *g, struct call *c, struct err *e)
{
	bool first = TAILQ_EMPTY(&g->starting);
	bool mount = g->workspace != NULL && g->state == GUEST_NEW &&
		     !workspace_is_mounted(g->workspace);
	int r = check_start(g, e);

	if (r == 0 && mount && first)
		r = workspace_mount(g->workspace,
				    jv_get(c->params, "workspace"),
				    guest_on_mounted, g, e);
	else if (r == 0 && !mount && g->state == GUEST_NEW)
		r = serve(g, c->params, e);
	if (r < 0)
		return r;
	TAILQ_INSERT_TAIL(&g->starting, c, link);
	if (!mount)
		answer_start(g);
	return 0;
}

/*
 * Freeze and end.
 */

static void answer_freeze(struct guest *g)
{
	struct call *c;
	struct err e = {0};

	while ((c = TAILQ_FIRST(&g->freezing)) != NULL) {
		TAILQ_REMOVE(&g->freezing, c, link);
		jw_obj(&c->result);
		jw_key(&c->result, "last_seq");
		if (feed_write_tails(g->reader, &c->result, &e) < 0) {
			call_fail(c, &e);
			continue;
		}
		guest_write_last(g, &c->result);
		jw_obj_end(&c->result);
		call_reply(c);
	}
}

static bool all_settled(const struct guest *g)
{
	struct session *s;

	for (s = session_first(g); s != NULL; s = session_next(s))
		if (!session_is_settled(s))
			return false;
	return true;
}

static void check_frozen(struct guest *g)
{
	if (g->state == GUEST_FREEZING && all_settled(g) &&
	    execs_have_ended(g) && guest_keep_last(g)) {
		g->state = GUEST_FROZEN;
		log_info("frozen");
	}
	if (g->state != GUEST_FROZEN)
		return;
	answer_freeze(g);
	if (g->ending)
		uv_stop(g->loop);
}

void guest_on_slept(struct guest *g)
{
	check_frozen(g);
}

static void begin_freeze(struct guest *g, const char *reason)
{
	struct session *s;

	if (g->state >= GUEST_FREEZING)
		return;
	pause_end(g, reason);
	reexec_end(g);
	g->state = GUEST_FREEZING;
	execs_freeze(g);
	prewarm_end(g);
	for (s = session_first(g); s != NULL; s = session_next(s))
		session_freeze(s, reason);
}

int guest_freeze(struct guest *g, const char *reason, struct call *c,
		 struct err *e)
{
	if (g->state == GUEST_THAWING)
		return err_set(e, -FAULT_NOT_READY, "the VM is being resumed");
	begin_freeze(g, reason == NULL ? "sleep" : reason);
	TAILQ_INSERT_TAIL(&g->freezing, c, link);
	return 0;
}

/* Not in the middle of a thaw: the store is at work for it. */
static void end(struct guest *g, const char *reason)
{
	g->ending = true;
	if (g->state != GUEST_THAWING)
		begin_freeze(g, reason);
}

static void guest_on_told(void *arg)
{
	end(arg, "poweroff");
}

void guest_poweroff(struct guest *g, struct call *c)
{
	c->told = guest_on_told;
	c->told_arg = g;
	call_reply(c);
}

static void guest_on_sigterm(uv_signal_t *h, int signal)
{
	struct guest *g = container_of(h, struct guest, sigterm);

	(void)signal;
	log_info("told to end");
	end(g, "sleep");
}

/* Whoever booted us died before it could write down that we run: nobody knows
 * of us, and nobody will come. */
static void guest_on_alone(uv_timer_t *t)
{
	log_warn("no host has said hello, ending");
	end(container_of(t, struct guest, alone), "alone");
}

/*
 * The turn of the loop.
 */

const char *guest_busy_work(const struct guest *g)
{
	if (g->checkpoints != NULL && checkpoints_are_busy(g->checkpoints))
		return "files are being committed";
	if (!sqlops_are_idle(g->sql) || !lookups_are_idle(g->lookups) ||
	    !fspool_is_idle(fsserve_pool(g->files)))
		return "files or databases are being used";
	return NULL;
}

void guest_sweep_later(struct guest *g)
{
	g->sweeping = true;
}

/* What sessions took goes back to the system: not after each of them, and one
 * turn of the loop later, when their handles are closed, too. */
static void give_memory_back(struct guest *g)
{
	if (g->n_gone == 0 ||
	    (g->n_gone < TRIM_SESSIONS && !TAILQ_EMPTY(&g->sessions)))
		return;
	g->n_gone = 0;
	(void)malloc_trim(0);
}

static void sweep(struct guest *g)
{
	struct session *s, *next;

	if (!g->sweeping)
		return;
	g->sweeping = false;
	for (s = session_first(g); s != NULL; s = next) {
		next = session_next(s);
		if (session_sweep(s))
			g->sweeping = true;
	}
}

static void guest_on_stored(struct journal_hub *hub)
{
	container_of(hub, struct guest, hub)->stored = true;
}

/* The store works: those who could not say so may. */
static void retry_stuck(struct guest *g)
{
	struct session *s;

	if (!g->stored)
		return;
	g->stored = false;
	if (g->stuck == 0)
		return;
	for (s = session_first(g); s != NULL; s = session_next(s))
		session_retry(s);
}

static void hold_or_go(struct guest *g)
{
	size_t queued = store_queued(g->store);
	bool hold;
	struct session *s;

	if (pause_is_still(g) || g->state == GUEST_UPGRADING)
		return;
	hold = queued >= STORE_QUEUE_MAX ||
	       queued + outbox_unacked(g->outbox) >= UNACKED_MAX;
	if (hold == g->holding)
		return;
	g->holding = hold;
	log_debug("agents %s", hold ? "wait" : "go on");
	for (s = session_first(g); s != NULL; s = session_next(s))
		session_hold(s, hold);
}

static void guest_on_prepare(uv_prepare_t *h)
{
	struct guest *g = container_of(h, struct guest, prepare);

	retry_stuck(g);
	pause_step(g);
	journal_hub_flush(&g->hub);
	hold_or_go(g);
	give_memory_back(g);
	sweep(g);
	reexec_step(g);
	if (g->ending)
		end(g, "sleep");
	check_frozen(g);
}

static void guest_on_check(uv_check_t *h)
{
	struct guest *g = container_of(h, struct guest, check);

	journal_hub_flush(&g->hub);
	hold_or_go(g);
}

/*
 * Life.
 */

static int open_store(struct guest *g, struct err *e)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/guest.db", g->opt->state);
	r = store_open(g->loop, path, STORE_GUEST, &g->store, e);
	if (r < 0)
		return r;
	r = reader_open(path, &g->reader, e);
	if (r < 0)
		return r;
	g->outbox = outbox_new(g->reader);
	if (g->outbox == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	store_subscribe(g->store, outbox_on_stored, g->outbox);
	journal_hub_init(&g->hub, g->store);
	g->hub.stored = guest_on_stored;
	return read_vm(g, e);
}

static void open_handles(struct guest *g)
{
	uv_prepare_init(g->loop, &g->prepare);
	uv_prepare_start(&g->prepare, guest_on_prepare);
	uv_unref((uv_handle_t *)&g->prepare);
	uv_check_init(g->loop, &g->check);
	uv_check_start(&g->check, guest_on_check);
	uv_unref((uv_handle_t *)&g->check);
	uv_signal_init(g->loop, &g->sigterm);
	uv_signal_start(&g->sigterm, guest_on_sigterm, SIGTERM);
	uv_unref((uv_handle_t *)&g->sigterm);
	uv_timer_init(g->loop, &g->alone);
	uv_timer_start(&g->alone, guest_on_alone, ALONE_MS, 0);
	uv_unref((uv_handle_t *)&g->alone);
	uv_timer_init(g->loop, &g->late_timer);
	uv_unref((uv_handle_t *)&g->late_timer);
	g->have_handles = true;
}

/* A stream to the host: a socket that it connects to, in a machine a port. */
static void stream_path(const struct guest *g, const char *name,
			char out[PATH_MAX])
{
	if (g->opt->machine)
		snprintf(out, PATH_MAX, MACHINE_PORTS "/%s", name);
	else
		snprintf(out, PATH_MAX, "%s/%s.sock", g->opt->run, name);
}

static int open_workspace(struct guest *g, struct err *e)
{
	char host[PATH_MAX];
	const struct workspace_spec spec = {
		.loop = g->loop,
		.vfs = g->opt->vfs,
		.host = host,
		.at = "/workspace",
		.lower = "/hib/lower",
		.fuse_fd = g->opt->fuse_fd,
	};
	int r;

	if (!g->opt->isolate)
		return 0;
	stream_path(g, "host", host);
	r = workspace_open(&spec, &g->workspace, e);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	g->checkpoints = checkpoints_new(g->workspace, g->opt->vfs, spec.lower,
					 g->opt->workspace);
	return g->checkpoints != NULL
		       ? 0
		       : err_set(e, -ENOMEM, "checkpoints: out of memory");
}

/* What the host has done to files is no turn's doing. */
static void guest_on_touched(void *arg)
{
	struct guest *g = arg;

	if (g->checkpoints != NULL)
		checkpoints_touch(g->checkpoints);
}

static int open_files(struct guest *g)
{
	const struct fsserve_spec spec = {
		.loop = g->loop,
		.root = g->opt->workspace,
		.passing = workspace_passing(g->workspace),
		.as_agent = g->opt->isolate,
		.touched = guest_on_touched,
		.arg = g,
	};

	return fsserve_open(&spec, &g->files);
}

static int open_all(struct guest *g, struct err *e)
{
	char path[PATH_MAX];
	int r = open_store(g, e);

	if (r < 0)
		return r;
	id_new(g->boot_id, "vm");
	memmove(g->boot_id, g->boot_id + 3, ID_MAX - 3);
	open_handles(g);
	if (g->opt->isolate) {
		cgroups_open(&g->cgroups);
		r = reaper_start(&g->reaper, g->loop, e);
		if (r < 0)
			return r;
		g->have_reaper = true;
	}
	r = open_workspace(g, e);
	if (r < 0)
		return r;
	r = open_files(g);
	if (r == 0)
		r = sqlops_open(g->loop, g->opt->state, &g->sql);
	if (r == 0)
		r = lookups_open(g->loop, g->opt->state, &g->lookups);
	if (r < 0)
		return err_set(e, r, "files: %s", strerror(-r));
	stream_path(g, "api", path);
	return server_open(g, path, &g->server, e);
}

/* Also of a half-open guest. */
static void close_all(struct guest *g)
{
	struct err e = {0};

	server_close(g->server);
	sqlops_close(take_ptr(g->sql));
	lookups_close(take_ptr(g->lookups));
	/* Its threads may wait for the one of the workspace. */
	fsserve_close(take_ptr(g->files));
	checkpoints_stop(g->checkpoints);
	workspace_close(take_ptr(g->workspace));
	checkpoints_free(take_ptr(g->checkpoints));
	session_drop_files(g);
	guest_forget_last(g);
	pause_abandon(g);
	store_close(take_ptr(g->store));
	err_set(&e, -FAULT_VM_UNAVAILABLE, "the guest is ending");
	call_list_fail(&g->starting, &e);
	call_list_fail(&g->freezing, &e);
	while (session_first(g) != NULL)
		session_abandon(session_first(g));
	prewarm_abandon(g);
	mcp_sharing_done(&g->sharing);
	if (g->have_handles) {
		uv_close((uv_handle_t *)&g->prepare, NULL);
		uv_close((uv_handle_t *)&g->check, NULL);
		uv_close((uv_handle_t *)&g->sigterm, NULL);
		uv_close((uv_handle_t *)&g->alone, NULL);
		uv_close((uv_handle_t *)&g->late_timer, NULL);
	}
	if (g->have_reaper)
		reaper_stop(&g->reaper);
	uv_run(g->loop, UV_RUN_DEFAULT);
	cgroups_close(&g->cgroups);
	outbox_free(g->outbox);
	reader_close(g->reader);
	journal_hub_done(&g->hub);
}

int guest_run(const struct guest_options *opt, struct err *e)
{
	struct guest g = {
		.loop = uv_default_loop(), .opt = opt, .cgroups = {.root = -1}};
	int file = -1, r;

	TAILQ_INIT(&g.sessions);
	TAILQ_INIT(&g.prewarmed);
	mcp_sharing_init(&g.sharing);
	TAILQ_INIT(&g.execs);
	TAILQ_INIT(&g.feeds);
	TAILQ_INIT(&g.starting);
	TAILQ_INIT(&g.freezing);
	r = open_all(&g, e);
	if (r == 0 && opt->take_over >= 0 &&
	    reexec_take(&g, opt->take_over, e) < 0)
		log_error("starting anew: %s", e->msg);
	if (r == 0)
		uv_run(g.loop, UV_RUN_DEFAULT);
	if (g.becoming)
		file = reexec_write(&g, e);
	close_all(&g);
	uv_loop_close(g.loop);
	if (file >= 0)
		reexec_go(opt, file);
	return g.becoming ? -ENOEXEC : r;
}
