// SPDX-License-Identifier: Apache-2.0
/*
 * packer.c - Pack repositories when nobody waits for them
 *
 * Commits and readers go on meanwhile (vfs/pack.h), so this is in no lane of the
 * VM's depot.  Afterwards the depot opens the repository again, which lets go of
 * the packs that were put together.
 */
#include "host/daemon/packer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "host/daemon/daemon.h"
#include "host/daemon/depot.h"
#include "vfs/pack.h"

#define LOG_COMPONENT "packer"

struct wanted {
	STAILQ_ENTRY(wanted) link;
	char vm[ID_MAX];
};

struct packer {
	struct hibd *d;
	STAILQ_HEAD(wanted_list, wanted) waiting;
	bool works, closed;
	uv_work_t work;

	/* Of the one at work. */
	char vm[ID_MAX], path[PATH_MAX];
	struct vfs_pack_stats stats;
	struct err err;
};

static void packer_go(struct packer *p);

static void packer_work(uv_work_t *w)
{
	struct packer *p = w->data;
	autovfsrepo struct vfs_repo *repo = NULL;

	if (vfs_repo_open(p->path, false, &repo, &p->err) == 0 &&
	    vfs_pack_wanted(repo))
		(void)vfs_pack(repo, &p->stats, &p->err);
}

static void packer_say(const struct packer *p)
{
	if (p->err.code < 0 && p->err.code != -FAULT_FILE_NOT_FOUND)
		log_warn("%s: pack: %s", p->vm, p->err.msg);
	else if (p->stats.objects > 0)
		log_debug("%s: %zu packs are %zu", p->vm, p->stats.packs_before,
			  p->stats.packs_after);
}

static void packer_on_worked(uv_work_t *w, int status)
{
	struct packer *p = w->data;
	struct vm *vm;

	(void)status;
	p->works = false;
	packer_say(p);
	if (p->closed) {
		free(p);
		return;
	}
	vm = vm_find(p->d, p->vm);
	if (vm == NULL) /* Its folder could not be emptied meanwhile. */
		vms_sweep(p->d);
	else if (p->stats.objects > 0)
		depot_rest(vm_depot(vm));
	packer_go(p);
}

static void packer_go(struct packer *p)
{
	struct wanted *next;
	struct vm *vm = NULL;

	while (!p->works && (next = STAILQ_FIRST(&p->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->waiting, link);
		memcpy(p->vm, next->vm, ID_MAX);
		free(next);
		vm = vm_find(p->d, p->vm);
		if (vm == NULL)
			continue;
		snprintf(p->path, sizeof(p->path), "%s",
			 depot_path(vm_depot(vm)));
		p->err = (struct err){0};
		p->stats = (struct vfs_pack_stats){0};
		p->works = true;
		(void)uv_queue_work(&p->d->loop, &p->work, packer_work,
				    packer_on_worked);
	}
}

void packer_want(struct packer *p, const char *vm)
{
	struct wanted *w;

	STAILQ_FOREACH (w, &p->waiting, link) {
		if (strcmp(w->vm, vm) == 0)
			return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return; /* It will be asked for again. */
	snprintf(w->vm, sizeof(w->vm), "%s", vm);
	STAILQ_INSERT_TAIL(&p->waiting, w, link);
	packer_go(p);
}

struct packer *packer_new(struct hibd *d)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->d = d;
	p->work.data = p;
	STAILQ_INIT(&p->waiting);
	return p;
}

void packer_close(struct packer *p)
{
	struct wanted *w;

	if (p == NULL)
		return;
	while ((w = STAILQ_FIRST(&p->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->waiting, link);
		free(w);
	}
	p->closed = true;
	if (!p->works)
		free(p);
}
