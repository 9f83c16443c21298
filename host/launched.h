/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launched.h - A machine that is a process, started by a launcher
 *
 * What the backends have in common.  A launcher is a program in the libexec
 * folder: with --vm, --dir, --image, --libexec, --agents, --net, --quota and
 * --mounts it makes the machine's first process a child of its own parent,
 * writes machine.json, says {"pid":N} or {"error":{..}} on stdout, and exits.
 */
#ifndef HOST_LAUNCHED_H
#define HOST_LAUNCHED_H

#include "host/backend.h"

struct launched_kind {
	const char *launcher; /* Its name. */
	/* More for it, with NULL at the end; or NULL. */
	const char *const *options;
	/* Before each boot; may be NULL. */
	int (*prepare)(const struct vm_spec *spec, struct err *e);
};

/* The host's uid of the VM's uid 0. */
uint32_t launched_uid(const char *vm);
/* Make a folder; one that is there already may have been the guest's: it must
 * be one, and no link to one.  Return: 0 or -errno. */
int launched_folder(int dir, const char *name, mode_t mode, uint32_t owner);

/* As in struct backend_ops.  @kind is borrowed for the call. */
void launched_boot(const struct launched_kind *kind, uv_loop_t *loop,
		   const struct vm_spec *spec, const struct backend_events *ev,
		   void *arg, backend_boot_cb cb);
int launched_adopt(uv_loop_t *loop, const struct vm_spec *spec,
		   const struct backend_events *ev, void *arg,
		   struct machine **out, struct err *e);
int launched_channel(struct machine *m, const char *name, struct err *e);
void launched_kill(struct machine *m);
void launched_release(struct machine *m);
pid_t launched_pid(const struct machine *m);
/* What was given with the machine's events. */
void *launched_arg(const struct machine *m);

#endif
