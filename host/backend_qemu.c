// SPDX-License-Identifier: Apache-2.0
/*
 * backend_qemu.c - A VM as a virtual machine
 *
 * QEMU runs in a sandbox of its own, made by the same launcher
 * (host/sandbox/machine.h).  The streams are virtio ports behind sockets that
 * QEMU listens on: who connects has to be greeted by the guest (core/greet.h).
 *
 * The machine's memory is the file VMDIR/memory/ram, which QEMU has mapped, so a
 * suspend writes only what else QEMU knows, some 70 KB (host/saved.h):
 *
 *	stop, migrate into state.new, rename to state, kill QEMU
 *
 * and a resume is a QEMU that waits for that:
 *
 *	launch, read state, remove it, let the machine run
 *
 * Whoever dies in between leaves one of two things, and adopt() knows which by
 * the one name: with `state`, a QEMU that does not run and is not needed; without
 * it, one that is continued, if it was stopped at all.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "host/launched.h"
#include "host/machine_id.h"
#include "host/qmp_run.h"
#include "host/sandbox/machine.h"
#include "host/saved.h"

#define LOG_COMPONENT "qemu"
#define MEMORY_MIB    512
#define MANIFEST_MAX  (1 << 20)
#define END_MS	      5000 /* Until a killed machine has ended. */
#define NUMBER_MAX    24
#define STATE_NEW     SAVED_STATE ".new"

/* One machine, from its launch to its end. */
struct qemu {
	uv_loop_t *loop;
	struct machine *m; /* NULL until the launcher is done. */
	char dir[PATH_MAX];
	struct saved about; /* What its memory will fit; layout 0: unknown. */
	struct backend_events ev;
	void *arg;

	/* What is being done; one thing at a time. */
	struct qmp_run *run;
	int folder, state;	/* That it is done with; or -1. */
	backend_boot_cb booted; /* Of a boot or a resume; NULL once called. */
	backend_done_cb done;	/* Of a suspend; NULL once called. */
	void *done_arg;
	struct err err;
};

/* --- the folder ------------------------------------------------------------ */

static int open_vm(const struct vm_spec *spec, struct err *e)
{
	int fd = open(spec->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_set(e, -errno, "open %s: %s", spec->dir,
				strerror(errno))
		      : fd;
}

static int qemu_create(const struct vm_spec *spec, struct err *e)
{
	const struct {
		const char *path;
		uint32_t owner;
	} folders[] = {{"disk", geteuid()}, {"run", launched_uid(spec->id)}};
	autoclose int dir = open_vm(spec, e);

	if (dir < 0)
		return dir;
	if (spec->image[0] != '/')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a machine boots from an image of its own: "
			       "'hib image build', then --image base");
	if (spec->net != VM_NET_NONE || spec->mounts != NULL)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the qemu backend has neither the host's "
			       "network nor its folders");
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		int r = launched_folder(dir, folders[i].path,
					i == 0 ? 0755 : 0700, folders[i].owner);

		if (r < 0)
			return err_set(e, r, "make %s/%s: %s", spec->dir,
				       folders[i].path, strerror(-r));
	}
	return 0;
}

/* Return: VMDIR/memory, made if it is missing. */
static int open_memory(const struct vm_spec *spec, struct err *e)
{
	autoclose int dir = open_vm(spec, e);
	int r, fd;

	if (dir < 0)
		return dir;
	r = launched_folder(dir, SAVED_AT, 0700, geteuid());
	if (r < 0)
		return err_set(e, r, "make %s/" SAVED_AT ": %s", spec->dir,
			       strerror(-r));
	fd = openat(dir, SAVED_AT,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_set(e, -errno, "open %s/" SAVED_AT ": %s",
				spec->dir, strerror(errno))
		      : fd;
}

static int64_t memory_of(const struct vm_spec *spec)
{
	return spec->memory > 0 ? spec->memory : MEMORY_MIB;
}

static int cpus_of(const struct vm_spec *spec)
{
	return spec->cpus > 0 ? spec->cpus : 1;
}

/* A file that is all holes, and QEMU's. */
static int make_ram(const struct vm_spec *spec, int memory, struct err *e)
{
	const uint32_t owner = launched_uid(spec->id);
	autoclose int fd = -1;

	(void)unlinkat(memory, SAVED_RAM, 0);
	fd = openat(memory, SAVED_RAM,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)memory_of(spec) << 20) < 0 ||
	    (geteuid() == 0 && fchown(fd, owner, owner) < 0))
		return err_set(e, -errno,
			       "make %s/" SAVED_AT "/" SAVED_RAM ": %s",
			       spec->dir, strerror(errno));
	return 0;
}

/* --- what a memory fits ----------------------------------------------------- */

/* The sums of what the image has; empty where its manifest has none. */
static void read_image(const struct vm_spec *spec, struct saved *out)
{
	char path[PATH_MAX];
	autofree char *text = malloc(MANIFEST_MAX);
	autojson struct json j = {0};
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/../manifest.json", spec->image);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 || text == NULL ? -1 : read(fd, text, MANIFEST_MAX);
	if (n < 0 || json_parse(&j, text, (size_t)n, NULL) < 0)
		return;
	(void)jv_strcpy(jv_path(json_root(&j), "kernel.sha256"), out->kernel,
			sizeof(out->kernel));
	(void)jv_strcpy(jv_path(json_root(&j), "rootfs.sha256"), out->rootfs,
			sizeof(out->rootfs));
}

static struct saved about_spec(const struct vm_spec *spec)
{
	struct saved s = {.layout = MACHINE_LAYOUT,
			  .accel = "tcg",
			  .memory = memory_of(spec),
			  .cpus = cpus_of(spec)};

	read_image(spec, &s);
	return s;
}

/* --- a machine ---------------------------------------------------------------- */

static struct qemu *qemu_new(uv_loop_t *loop, const struct vm_spec *spec,
			     const struct backend_events *ev, void *arg)
{
	struct qemu *v = calloc(1, sizeof(*v));

	/* Without memory there is no handle whose callback could say so. */
	if (v == NULL)
		abort();
	v->loop = loop;
	snprintf(v->dir, sizeof(v->dir), "%s", spec->dir);
	v->ev = *ev;
	v->arg = arg;
	v->folder = v->state = -1;
	return v;
}

/* What was done is over, or will be. */
static void qemu_let_go(struct qemu *v)
{
	qmp_run_cancel(take_ptr(v->run));
	close_fd(&v->folder);
	close_fd(&v->state);
	v->folder = v->state = -1;
}

static void qemu_free(struct qemu *v)
{
	qemu_let_go(v);
	free(v);
}

static void qemu_finish(struct qemu *v, const struct err *e)
{
	backend_done_cb done = take_ptr(v->done);

	qemu_let_go(v);
	if (done != NULL)
		done(e, v->done_arg);
}

/* Its memory is of no use any more, unless it was kept. */
static void drop_ram(const struct qemu *v)
{
	struct err e;

	if (saved_is_good(v->dir, &e) < 0)
		saved_forget(v->dir);
}

static void qemu_on_exited(struct machine *m, const char *detail, void *arg)
{
	struct qemu *v = arg;
	backend_boot_cb booted = take_ptr(v->booted);

	if (v->err.code == 0)
		err_set(&v->err, -FAULT_VM_UNAVAILABLE, "the machine %s",
			detail);
	qemu_finish(v, &v->err);
	drop_ram(v);
	if (booted != NULL)
		booted(NULL, &v->err, v->arg);
	else
		v->ev.exited(m, detail, v->arg);
	qemu_free(v);
}

static const struct backend_events launched_events = {
	.exited = qemu_on_exited,
};

/* Without and with the state of a machine to go on from. */
static void launch(struct qemu *v, const struct vm_spec *spec, bool incoming,
		   backend_boot_cb cb)
{
	char memory[NUMBER_MAX], cpus[NUMBER_MAX];
	const char *const options[] = {
		"--machine", "--memory", memory,
		"--cpus",    cpus,	 incoming ? "--incoming" : NULL,
		NULL};
	const struct launched_kind kind = {.launcher = "hib-sandbox",
					   .options = options};

	snprintf(memory, sizeof(memory), "%lld", (long long)memory_of(spec));
	snprintf(cpus, sizeof(cpus), "%d", cpus_of(spec));
	launched_boot(&kind, v->loop, spec, &launched_events, v, cb);
}

/* Tells from the loop why nothing was begun: one of both callbacks. */
struct refusal {
	uv_timer_t timer;
	struct err err;
	backend_boot_cb booted;
	backend_done_cb done;
	void *arg;
};

static void refusal_on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void refusal_on_time(uv_timer_t *t)
{
	struct refusal *f = t->data;

	if (f->booted != NULL)
		f->booted(NULL, &f->err, f->arg);
	else
		f->done(&f->err, f->arg);
	uv_close((uv_handle_t *)t, refusal_on_closed);
}

static void refuse(uv_loop_t *loop, const struct refusal *what)
{
	struct refusal *f = malloc(sizeof(*f));

	if (f == NULL)
		abort();
	*f = *what;
	uv_timer_init(loop, &f->timer);
	f->timer.data = f;
	uv_timer_start(&f->timer, refusal_on_time, 0, 0);
}

/* --- boot ----------------------------------------------------------------------- */

static void on_booted(struct machine *m, const struct err *e, void *arg)
{
	struct qemu *v = arg;
	backend_boot_cb cb = take_ptr(v->booted);

	v->m = m;
	cb(m, e, v->arg);
	if (m == NULL)
		qemu_free(v);
}

/* A machine that boots forgets what another one knew. */
static int prepare_boot(struct qemu *v, const struct vm_spec *spec,
			struct err *e)
{
	autoclose int memory = open_memory(spec, e);
	int r;

	if (memory < 0)
		return memory;
	saved_forget(spec->dir);
	v->about = about_spec(spec);
	r = make_ram(spec, memory, e);
	return r < 0 ? r : saved_write(memory, &v->about, e);
}

static void qemu_boot(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg,
		      backend_boot_cb cb)
{
	struct qemu *v = qemu_new(loop, spec, ev, arg);
	struct refusal no = {.booted = cb, .arg = arg};

	if (prepare_boot(v, spec, &no.err) < 0) {
		qemu_free(v);
		refuse(loop, &no);
		return;
	}
	v->booted = cb;
	launch(v, spec, false, on_booted);
}

/* --- suspend -------------------------------------------------------------------- */

/* The state is written: from here on it is what counts. */
static int keep_state(const char *version, void *arg, struct err *e)
{
	struct qemu *v = arg;
	int r;

	snprintf(v->about.qemu, sizeof(v->about.qemu), "%s", version);
	saved_boot(v->about.boot);
	(void)unlinkat(v->folder, SAVED_SYNCED, 0);
	r = saved_write(v->folder, &v->about, e);
	if (r == 0 &&
	    renameat(v->folder, STATE_NEW, v->folder, SAVED_STATE) < 0)
		r = err_set(e, -errno, "keep the machine's state: %s",
			    strerror(errno));
	return r;
}

/* Brings a memory to the disk behind the suspend. */
struct syncing {
	uv_work_t work;
	char dir[PATH_MAX];
	int r;
};

static void syncing_work(uv_work_t *w)
{
	struct syncing *s = w->data;

	s->r = saved_sync(s->dir);
}

static void syncing_on_worked(uv_work_t *w, int status)
{
	struct syncing *s = w->data;

	(void)status;
	if (s->r < 0 && s->r != -ENOENT)
		log_warn("%s: its memory is not on the disk: %s", s->dir,
			 strerror(-s->r));
	free(s);
}

static void begin_sync(const struct qemu *v)
{
	struct syncing *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return;
	snprintf(s->dir, sizeof(s->dir), "%s", v->dir);
	s->work.data = s;
	if (uv_queue_work(v->loop, &s->work, syncing_work, syncing_on_worked) <
	    0)
		free(s);
}

static void on_continued(const struct err *e, void *arg)
{
	struct qemu *v = arg;

	v->run = NULL;
	if (e->code < 0) {
		log_error("%s: the machine does not go on: %s", v->dir, e->msg);
		launched_kill(v->m);
	}
	qemu_finish(v, &v->err);
}

/* A migration of which nobody knows may still be under way: then QEMU says so,
 * and is asked again. */
static void go_on(struct qemu *v)
{
	static const struct qmp_step steps[] = {
		{.command = "cont", .again = true}, {0}};

	v->run = qmp_run(v->loop, v->m, steps, on_continued, v);
}

static void on_suspended(const struct err *e, void *arg)
{
	struct qemu *v = arg;

	v->run = NULL;
	v->err = *e;
	if (e->code < 0) {
		(void)unlinkat(v->folder, STATE_NEW, 0);
		go_on(v);
		return;
	}
	begin_sync(v);
	launched_kill(v->m);
	qemu_finish(v, e);
}

/* What both ends of a migration must agree on. */
static const char *capabilities(const struct saved *s)
{
	return s->ram_in_state
		       ? "{\"capabilities\":["
			 "{\"capability\":\"events\",\"state\":true},"
			 "{\"capability\":\"x-ignore-shared\",\"state\":false}]"
			 "}"
		       : "{\"capabilities\":["
			 "{\"capability\":\"events\",\"state\":true},"
			 "{\"capability\":\"x-ignore-shared\",\"state\":true}]"
			 "}";
}

static int open_state(struct qemu *v, const char *dir, struct err *e)
{
	v->folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->folder < 0)
		return err_set(e, -errno, "open %s: %s", dir, strerror(errno));
	(void)unlinkat(v->folder, STATE_NEW, 0);
	v->state = openat(v->folder, STATE_NEW,
			  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (v->state < 0)
		return err_set(e, -errno, "make %s/" STATE_NEW ": %s", dir,
			       strerror(errno));
	return 0;
}

/* What may be under way is to continue the machine, of no use now. */
static int prepare_save(struct qemu *v, const char *dir, struct err *e)
{
	qemu_let_go(v);
	if (v->about.layout != MACHINE_LAYOUT)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "the machine was booted by another version");
	return open_state(v, dir, e);
}

static void save(struct qemu *v, qmp_run_cb cb)
{
	const struct qmp_step steps[] = {{.command = "migrate-set-capabilities",
					  .arguments = capabilities(&v->about)},
					 {.command = "stop"},
					 {.command = "getfd",
					  .arguments = "{\"fdname\":\"state\"}",
					  .fd = v->state,
					  .has_fd = true},
					 {.command = "migrate",
					  .arguments = "{\"uri\":\"fd:state\"}",
					  .migrates = true,
					  .call = keep_state},
					 {0}};

	v->run = qmp_run(v->loop, v->m, steps, cb, v);
}

static void qemu_suspend(struct machine *m, const char *dir, backend_done_cb cb,
			 void *arg)
{
	struct qemu *v = launched_arg(m);
	struct refusal no = {.done = cb, .arg = arg};

	if (prepare_save(v, dir, &no.err) < 0) {
		qemu_let_go(v);
		refuse(v->loop, &no);
		return;
	}
	v->done = cb;
	v->done_arg = arg;
	save(v, on_suspended);
}

/* --- resume --------------------------------------------------------------------- */

static void on_resumed(const struct err *e, void *arg)
{
	struct qemu *v = arg;
	backend_boot_cb cb;

	v->run = NULL;
	if (e->code < 0) {
		v->err = *e;
		launched_kill(v->m);
		return;
	}
	qemu_let_go(v);
	cb = take_ptr(v->booted);
	cb(v->m, e, v->arg);
}

static int check_version(const char *version, void *arg, struct err *e)
{
	struct qemu *v = arg;
	struct saved now = v->about;

	snprintf(now.qemu, sizeof(now.qemu), "%s", version);
	return saved_fits(&v->about, &now, e);
}

/* From here on there is a machine and no memory of one. */
static int consume_state(const char *version, void *arg, struct err *e)
{
	struct qemu *v = arg;

	(void)version;
	if (unlinkat(v->folder, SAVED_STATE, 0) < 0)
		return err_set(e, -errno, "take the machine's state: %s",
			       strerror(errno));
	(void)unlinkat(v->folder, SAVED_SYNCED, 0);
	v->about.ram_in_state = false;
	return 0;
}

static void on_incoming(struct machine *m, const struct err *e, void *arg)
{
	struct qemu *v = arg;
	const struct qmp_step steps[] = {{.call = check_version},
					 {.command = "migrate-set-capabilities",
					  .arguments = capabilities(&v->about)},
					 {.command = "getfd",
					  .arguments = "{\"fdname\":\"state\"}",
					  .fd = v->state,
					  .has_fd = true},
					 {.command = "migrate-incoming",
					  .arguments = "{\"uri\":\"fd:state\"}",
					  .migrates = true,
					  .call = consume_state},
					 {.command = "cont"},
					 {0}};

	if (m == NULL) {
		on_booted(m, e, v);
		return;
	}
	v->m = m;
	v->run = qmp_run(v->loop, m, steps, on_resumed, v);
}

/* Take what VMDIR/memory has. */
static int prepare_resume(struct qemu *v, const struct vm_spec *spec,
			  struct err *e)
{
	struct saved now = about_spec(spec);
	int r = saved_is_good(spec->dir, e);

	if (r < 0)
		return r;
	v->folder = open_memory(spec, e);
	if (v->folder < 0)
		return v->folder;
	r = saved_read(v->folder, &v->about, e);
	memcpy(now.qemu, v->about.qemu, sizeof(now.qemu));
	if (r == 0)
		r = saved_fits(&v->about, &now, e);
	if (r < 0)
		return r;
	v->state = openat(v->folder, SAVED_STATE,
			  O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (v->state < 0)
		return err_set(e, -errno, "open the state in %s: %s", spec->dir,
			       strerror(errno));
	return v->about.ram_in_state ? make_ram(spec, v->folder, e) : 0;
}

static void qemu_resume(uv_loop_t *loop, const struct vm_spec *spec,
			const char *dir, bool shared,
			const struct backend_events *ev, void *arg,
			backend_boot_cb cb)
{
	struct qemu *v = qemu_new(loop, spec, ev, arg);
	struct refusal no = {.booted = cb, .arg = arg};

	(void)dir;
	if (!shared)
		err_set(&no.err, -FAULT_CAPABILITY_UNSUPPORTED,
			"%s is no memory of this VM", dir);
	if (no.err.code < 0 || prepare_resume(v, spec, &no.err) < 0) {
		qemu_free(v);
		refuse(loop, &no);
		return;
	}
	v->booted = cb;
	launch(v, spec, true, on_incoming);
}

/* --- a machine of an earlier hibd ------------------------------------------------ */

/* Its memory is kept, so it does not run any more, and must never again. */
static void end_suspended(const struct vm_spec *spec)
{
	struct err e;
	pid_t pid;
	autoclose int fd = machine_id_open(spec->dir, &pid, &e);
	struct pollfd ended = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	(void)poll(&ended, 1, END_MS);
	machine_id_forget(spec->dir);
}

static void read_about(struct qemu *v, const struct vm_spec *spec)
{
	struct err e;

	v->folder = open_memory(spec, &e);
	if (v->folder < 0 || saved_read(v->folder, &v->about, &e) < 0)
		log_warn("%s: it cannot be suspended: %s", spec->id, e.msg);
	close_fd(&v->folder);
	v->folder = -1;
}

static int qemu_adopt(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg,
		      struct machine **out, struct err *e)
{
	struct qemu *v;
	int r;

	if (saved_is_good(spec->dir, e) == 0)
		end_suspended(spec);
	v = qemu_new(loop, spec, ev, arg);
	r = launched_adopt(loop, spec, &launched_events, v, &v->m, e);
	if (r < 0) {
		qemu_free(v);
		return r;
	}
	read_about(v, spec);
	go_on(v);
	*out = v->m;
	return 0;
}

static void qemu_release(struct machine *m)
{
	struct qemu *v = launched_arg(m);

	launched_release(m);
	qemu_free(v);
}

static int qemu_has_memory(const struct vm_spec *spec, struct err *e)
{
	return saved_is_good(spec->dir, e);
}

static void qemu_forget(const struct vm_spec *spec)
{
	saved_forget(spec->dir);
}

const struct backend_ops backend_qemu = {
	.name = "qemu",
	.greets = true,
	.create = qemu_create,
	.boot = qemu_boot,
	.adopt = qemu_adopt,
	.channel = launched_channel,
	.kill = launched_kill,
	.release = qemu_release,
	.pid = launched_pid,
	.suspend = qemu_suspend,
	.resume = qemu_resume,
	.has_memory = qemu_has_memory,
	.forget = qemu_forget,
};
