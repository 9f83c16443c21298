// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - hibd, the host daemon: start, run, stop
 *
 * One hibd serves one HIB_HOME, held by a lock on hibd.lock for as long as the
 * process lives.  Order of the start: lock, store, key, VMs (those that still
 * run are taken over), socket, pid file, and last a byte on --ready-fd for
 * whoever started us.  A stop lets go of the VMs: they go on without us.  It does
 * not wait for ever: work in another thread may be stuck, on a disk or a server
 * elsewhere, and what is cut off is tidied up by the next hibd in any case.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/log.h"
#include "host/daemon/budget.h"
#include "host/daemon/daemon.h"
#include "host/daemon/mcp_door.h"
#include "host/daemon/routes.h"
#include "host/daemon/snapshots.h"
#include "host/daemon/warm.h"
#include "host/install.h"
#include "host/standard_fds.h"
#include "mcp/front.h"

#define LOG_COMPONENT "hibd"
#define NOFILE_WANTED 65536
#define STOP_SECONDS  5

struct options {
	const char *home, *tcp;
	const char *budget; /* MiB of all VMs, as text; NULL: no limit. */
	int ready_fd;
};

static int usage(FILE *f)
{
	fputs("usage: hibd [--home DIR] [--http ADDRESS:PORT] [--ready-fd N]\n"
	      "            [--memory-budget MIB]\n"
	      "            [--log-level error|warn|info|debug] [--log-json]\n"
	      "            [--version]\n",
	      f);
	return f == stdout ? 0 : fault_exit_code(FAULT_INVALID_ARGUMENT);
}

/* Return: -1 to go on, else an exit code. */
static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"home", required_argument, NULL, 'H'},
		{"http", required_argument, NULL, 't'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"memory-budget", required_argument, NULL, 'm'},
		{"log-level", required_argument, NULL, 'l'},
		{"log-json", no_argument, NULL, 'j'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'H':
			o->home = optarg;
			break;
		case 't':
			o->tcp = optarg;
			break;
		case 'r':
			o->ready_fd = atoi(optarg);
			break;
		case 'm':
			o->budget = optarg;
			break;
		case 'l':
			if (log_set_level_name(optarg) < 0)
				return usage(stderr);
			break;
		case 'j':
			log_set_json(true);
			break;
		case 'V':
			puts("hibd " HIB_VERSION);
			return 0;
		default:
			return usage(c == 'h' ? stdout : stderr);
		}
	}
	return optind == argc ? -1 : usage(stderr);
}

/* --- one hibd for a home ------------------------------------------------ */

static int take_lock(const struct home *h, struct err *e)
{
	char path[HOME_PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/hibd.lock", h->root);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return err_set(e, -EBUSY, "another hibd serves %s", h->root);
	}
	return fd;
}

/* Written aside and renamed: a reader never sees half a number. */
static int write_pid(const struct home *h, struct err *e)
{
	char tmp[HOME_PATH_MAX + 16];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", h->pid);
	f = fopen(tmp, "we");
	if (f == NULL)
		return err_set(e, -errno, "%s: %s", tmp, strerror(errno));
	fprintf(f, "%d\n", getpid());
	if (fclose(f) != 0 || rename(tmp, h->pid) < 0)
		return err_set(e, -errno, "%s: %s", h->pid, strerror(errno));
	return 0;
}

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = r.rlim_max < NOFILE_WANTED ? r.rlim_max : NOFILE_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static void tell_ready(int fd)
{
	if (fd < 0)
		return;
	if (write(fd, "1", 1) != 1)
		log_debug("nobody waits for us to be ready");
	close(fd);
}

/* --- start and stop ----------------------------------------------------- */

static int listen_tcp(struct hibd *d, const char *address, struct err *e)
{
	char host[64];
	const char *colon = strrchr(address, ':');

	if (colon == NULL || (size_t)(colon - address) >= sizeof(host))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "--http '%s' is not ADDRESS:PORT", address);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	return http_server_listen_tcp(d->http, host, atoi(colon + 1), e);
}

static void on_signal(uv_signal_t *s, int number)
{
	log_info("signal %d: stopping; VMs go on", number);
	hibd_stop(s->data);
}

/* What was said gets into the index, and the files at the end of a turn a name.
 * A session that begins or ends to work starts its VM's idle time anew. */
static void on_stored_event(const struct event *ev, void *arg)
{
	struct hibd *d = arg;
	bool ends_turn = event_ends_turn(ev);
	struct session_brief b;
	struct vm *vm;

	indexer_on_event(d->indexer, ev);
	if (strcmp(ev->type, "session.config") == 0)
		sweeper_look(d->sweeper);
	if ((!ends_turn && strcmp(ev->type, "session.state") != 0) ||
	    reader_session(d->reader, ev->session, &b, NULL) < 0)
		return;
	vm = vm_find(d, b.vm_id);
	if (vm != NULL && ends_turn)
		vm_mark_turn(vm, ev);
	else if (vm != NULL)
		vm_touch(vm);
}

static int start_budget(struct hibd *d, const char *mib, struct err *e)
{
	char *end;
	long long n = strtoll(mib, &end, 10);

	if (end == mib || *end != '\0' || n < 0 || n > BUDGET_MIB_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "memory budget '%s': a number of MiB", mib);
	if (n == 0)
		return 0;
	d->budget = budget_new(d, n << 20);
	return d->budget != NULL ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int start(struct hibd *d, const struct options *o, struct err *e)
{
	int r;

	r = store_open(&d->loop, d->home.db, STORE_HOST, &d->store, e);
	if (r == 0)
		r = reader_open(d->home.db, &d->reader, e);
	if (r == 0)
		r = vault_open(d->home.key, &d->vault, e);
	if (r < 0)
		return r;
	d->mirror = mirror_new(d->store, d->reader);
	d->hub = hub_new(&d->loop, d->store, d->reader);
	d->http = http_server_new(&d->loop, &api_handler, d);
	d->mcp_front = mcp_door_new(d);
	d->indexer = indexer_new(&d->loop, d->store, d->home.db);
	d->sweeper = sweeper_new(d);
	d->packer = packer_new(d);
	d->snapshots = snapshots_new(d);
	if (d->mirror == NULL || d->hub == NULL || d->http == NULL ||
	    d->mcp_front == NULL || d->indexer == NULL || d->sweeper == NULL ||
	    d->packer == NULL || d->snapshots == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	hub_observe(d->hub, on_stored_event, d);
	r = o->budget != NULL ? start_budget(d, o->budget, e) : 0;
	if (r == 0)
		r = vms_load(d, e);
	if (r == 0)
		snapshots_load(d);
	if (install_sweep(&d->home) > 0)
		log_info("packages of agents that were cut off are removed");
	if (r == 0)
		warm_load(d);
	sweeper_look(d->sweeper);
	if (r == 0)
		r = http_server_listen_unix(d->http, d->home.sock, e);
	if (r == 0 && o->tcp != NULL)
		r = listen_tcp(d, o->tcp, e);
	if (r > 0)
		d->http_port = r;
	if (r >= 0)
		r = write_pid(&d->home, e);
	return r;
}

/* Not of the loop, which stands still while the store is closed. */
static void on_late(int number)
{
	static const char words[] = "hibd: something does not end: it is left "
				    "behind\n";

	(void)number;
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	_exit(0);
}

void hibd_stop(struct hibd *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	signal(SIGALRM, on_late);
	(void)alarm(STOP_SECONDS);
	uv_close((uv_handle_t *)&d->sigterm, NULL);
	uv_close((uv_handle_t *)&d->sigint, NULL);
	if (d->hub != NULL)
		hub_close(d->hub, "hibd stops");
	mcp_front_close(take_ptr(d->mcp_front));
	vms_release(d);
	if (d->http != NULL)
		http_server_close(d->http, NULL, NULL);
	indexer_close(d->indexer);
	packer_close(take_ptr(d->packer));
	snapshots_close(take_ptr(d->snapshots));
	sweeper_close(d->sweeper);
	d->sweeper = NULL;
	budget_close(take_ptr(d->budget));
	store_close(d->store);
	d->store = NULL;
	(void)unlink(d->home.pid);
}

static int serve(struct hibd *d, const struct options *o)
{
	struct err e = {0};
	int r;

	uv_loop_init(&d->loop);
	TAILQ_INIT(&d->vms);
	TAILQ_INIT(&d->notes);
	uv_signal_init(&d->loop, &d->sigterm);
	uv_signal_init(&d->loop, &d->sigint);
	d->sigterm.data = d->sigint.data = d;
	uv_signal_start(&d->sigterm, on_signal, SIGTERM);
	uv_signal_start(&d->sigint, on_signal, SIGINT);

	r = start(d, o, &e);
	if (r >= 0) {
		log_info("hibd %s serves %s", HIB_VERSION, d->home.root);
		tell_ready(o->ready_fd);
	} else {
		log_error("%s", e.msg);
		hibd_stop(d);
	}
	uv_run(&d->loop, UV_RUN_DEFAULT);
	uv_loop_close(&d->loop);
	mirror_free(d->mirror);
	vault_close(d->vault);
	reader_close(d->reader);
	return r < 0 ? fault_exit_code(err_fault(r)) : 0;
}

int main(int argc, char **argv)
{
	struct options o = {.ready_fd = -1,
			    .budget = getenv("HIB_MEMORY_BUDGET")};
	struct hibd d = {0};
	struct err e = {0};
	autoclose int lock = -1;
	int r;

	standard_fds_take();
	r = read_options(argc, argv, &o);
	if (r >= 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	/* Whoever started us may ignore it: then the kernel would reap machines,
	 * and their pids would be anybody's. */
	signal(SIGCHLD, SIG_DFL);
	umask(077);
	if (home_find(o.home, &d.home, &e) < 0 || home_make(&d.home, &e) < 0 ||
	    (lock = take_lock(&d.home, &e)) < 0) {
		log_error("%s", e.msg);
		return fault_exit_code(err_fault(e.code));
	}
	raise_limits();
	return serve(&d, &o);
}
