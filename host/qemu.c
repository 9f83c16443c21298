// SPDX-License-Identifier: Apache-2.0
/*
 * qemu.c - One machine of the qemu backend
 */
#include "host/qemu.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "core/json.h"
#include "core/log.h"
#include "host/bulk.h"
#include "host/sandbox/machine.h"

#define LOG_COMPONENT "qemu"
#define MANIFEST_MAX  (1 << 20)
#define NUMBER_MAX    24
#define OPTIONS_MAX   12 /* Of the launcher, NULL at the end. */

/* --- the folder ------------------------------------------------------------ */

int qemu_open_memory(const struct qemu *v, struct err *e)
{
	const struct vm_spec *spec = &v->spec;
	autoclose int dir = open(spec->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r, fd;

	if (dir < 0)
		return err_set(e, -errno, "open %s: %s", spec->dir,
			       strerror(errno));
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
	return spec->memory > 0 ? spec->memory : QEMU_MEMORY_MIB;
}

static int cpus_of(const struct vm_spec *spec)
{
	return spec->cpus > 0 ? spec->cpus : 1;
}

/* Bytes of the file that are there already. */
static int64_t bytes_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? 0
		       : (int64_t)st.st_blocks * 512;
}

int qemu_check_room(const struct qemu *v, int memory, struct err *e)
{
	const int64_t needed =
		memory_of(&v->spec) - (bytes_of(memory, SAVED_RAM) >> 20);
	struct statvfs fs;
	int64_t left;

	if (fstatvfs(memory, &fs) < 0)
		return err_set(e, -errno, "look at the disk of %s: %s",
			       v->spec.dir, strerror(errno));
	left = (int64_t)(fs.f_bavail * fs.f_frsize >> 20) - QEMU_SPARE_MIB;
	if (left >= needed)
		return 0;
	return err_set(e, -FAULT_DISK_FULL,
		       "the machine's memory may take %lld MiB of the disk, "
		       "and there are %lld",
		       (long long)needed, (long long)(left > 0 ? left : 0));
}

int qemu_make_ram(const struct qemu *v, int memory, struct err *e)
{
	const struct vm_spec *spec = &v->spec;
	const uint32_t owner = launched_uid(spec->id);
	autoclose int fd = -1;

	(void)unlinkat(memory, SAVED_RAM, 0);
	if (qemu_check_room(v, memory, e) < 0)
		return e->code;
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

struct saved qemu_about(const struct qemu *v)
{
	struct saved s = {.layout = MACHINE_LAYOUT,
			  .memory = memory_of(&v->spec),
			  .cpus = cpus_of(&v->spec)};

	snprintf(s.accel, sizeof(s.accel), "%s",
		 v->spec.accel != NULL ? v->spec.accel : "tcg");
	read_image(&v->spec, &s);
	return s;
}

/* --- a machine ---------------------------------------------------------------- */

/* Without a few kilobytes there is no handle whose callback could say so. */
static char *copy_text(const char *text)
{
	char *copy = text == NULL ? NULL : strdup(text);

	if (text != NULL && copy == NULL)
		abort();
	return copy;
}

/* The strings of a spec, one after the other. */
static const size_t spec_texts[] = {
	offsetof(struct vm_spec, id),	  offsetof(struct vm_spec, dir),
	offsetof(struct vm_spec, image),  offsetof(struct vm_spec, libexec),
	offsetof(struct vm_spec, agents), offsetof(struct vm_spec, mounts),
	offsetof(struct vm_spec, accel),
};

static const char **spec_text(struct vm_spec *spec, size_t i)
{
	return (const char **)(void *)((char *)spec + spec_texts[i]);
}

struct qemu *qemu_new(uv_loop_t *loop, const struct vm_spec *spec,
		      const struct backend_events *ev, void *arg)
{
	struct qemu *v = calloc(1, sizeof(*v));

	if (v == NULL)
		abort();
	v->loop = loop;
	v->spec = *spec;
	for (size_t i = 0; i < ARRAY_LEN(spec_texts); i++)
		*spec_text(&v->spec, i) = copy_text(*spec_text(&v->spec, i));
	v->ev = *ev;
	v->arg = arg;
	v->folder = v->state = -1;
	return v;
}

void qemu_let_go(struct qemu *v)
{
	qmp_run_cancel(take_ptr(v->run));
	if (v->copying != NULL)
		take_ptr(v->copying)->v = NULL;
	close_fd(&v->folder);
	close_fd(&v->state);
	v->folder = v->state = -1;
	free(take_ptr(v->snapshot));
}

void qemu_free(struct qemu *v)
{
	qemu_let_go(v);
	for (size_t i = 0; i < ARRAY_LEN(spec_texts); i++)
		free((char *)(uintptr_t)*spec_text(&v->spec, i));
	free(v);
}

void qemu_finish(struct qemu *v, const struct err *e)
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

	if (saved_is_good(v->spec.dir, &e) < 0)
		saved_forget(v->spec.dir);
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

const struct backend_events qemu_events = {
	.exited = qemu_on_exited,
};

void qemu_launch(struct qemu *v, bool incoming, const char *ram,
		 backend_boot_cb cb)
{
	const struct vm_spec *spec = &v->spec;
	char memory[NUMBER_MAX], cpus[NUMBER_MAX];
	const char *options[OPTIONS_MAX] = {"--machine", "--memory", memory,
					    "--cpus", cpus};
	const struct launched_kind kind = {.launcher = "hib-sandbox",
					   .options = options};
	size_t n = 5;

	if (strcmp(v->about.accel, "kvm") == 0)
		options[n++] = "--kvm";
	if (incoming)
		options[n++] = "--incoming";
	if (ram != NULL) {
		options[n++] = "--ram";
		options[n++] = ram;
	}
	snprintf(memory, sizeof(memory), "%lld", (long long)memory_of(spec));
	snprintf(cpus, sizeof(cpus), "%d", cpus_of(spec));
	launched_boot(&kind, v->loop, spec, &qemu_events, v, cb);
}

void qemu_on_booted(struct machine *m, const struct err *e, void *arg)
{
	struct qemu *v = arg;
	backend_boot_cb cb = take_ptr(v->booted);

	v->m = m;
	cb(m, e, v->arg);
	if (m == NULL)
		qemu_free(v);
}

static void refusal_on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void refusal_on_time(uv_timer_t *t)
{
	struct qemu_refusal *f = t->data;

	if (f->booted != NULL)
		f->booted(NULL, &f->err, f->arg);
	else
		f->done(&f->err, f->arg);
	uv_close((uv_handle_t *)t, refusal_on_closed);
}

void qemu_refuse(uv_loop_t *loop, const struct qemu_refusal *what)
{
	struct qemu_refusal *f = malloc(sizeof(*f));

	if (f == NULL)
		abort();
	*f = *what;
	uv_timer_init(loop, &f->timer);
	f->timer.data = f;
	uv_timer_start(&f->timer, refusal_on_time, 0, 0);
}

/* --- copies ----------------------------------------------------------------- */

static void copying_work(uv_work_t *w)
{
	struct copying *c = w->data;

	(void)c->copy(c, &c->err);
}

static void copying_on_worked(uv_work_t *w, int status)
{
	struct copying *c = w->data;

	(void)status;
	if (c->v != NULL) {
		c->v->copying = NULL;
		c->done(c->v, &c->err);
	}
	free(c);
}

void qemu_copy(struct qemu *v, const struct copying *what)
{
	struct copying *c = malloc(sizeof(*c));

	if (c == NULL)
		abort();
	*c = *what;
	c->v = v;
	c->work.data = c;
	snprintf(c->dir, sizeof(c->dir), "%s", v->spec.dir);
	snprintf(c->snapshot, sizeof(c->snapshot), "%s",
		 v->snapshot != NULL ? v->snapshot : "");
	snprintf(c->image, sizeof(c->image), "%s", v->spec.image);
	snprintf(c->libexec, sizeof(c->libexec), "%s", v->spec.libexec);
	c->owner = launched_uid(v->spec.id);
	v->copying = c;
	bulk_queue(v->loop, &c->work, copying_work, copying_on_worked);
}

/* --- steps ------------------------------------------------------------------ */

const char *qemu_capabilities(const struct saved *s)
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

static void on_continued(const struct err *e, void *arg)
{
	struct qemu *v = arg;

	v->run = NULL;
	if (e->code < 0) {
		/* One that has ended meanwhile will be told of anyway. */
		if (e->code != -ECONNRESET)
			log_error("%s: the machine does not go on: %s",
				  v->spec.dir, e->msg);
		launched_kill(v->m);
	}
	qemu_finish(v, &v->err);
}

/* A migration of which nobody knows may still be under way: then QEMU says so,
 * and is asked again. */
void qemu_go_on(struct qemu *v)
{
	static const struct qmp_step steps[] = {
		{.command = "cont", .again = true}, {0}};

	v->run = qmp_run(v->loop, v->m, steps, on_continued, v);
}
