/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - What kind of machine a VM is
 *
 * The only door between hibd's VM code and sandboxes, or what else may come:
 * that code knows nothing else of a backend.  A VM is a folder (see ARCHITECTURE.md, "On disk"), so it
 * outlives hibd; a running machine does too: a new hibd finds it by adopt().
 *
 * Operations are asynchronous: the callback comes once, from the loop, never
 * before the operation returned.  A backend that keeps no memory leaves those
 * operations NULL, and its VMs sleep cold, unless warm_in_place is set.
 */
#ifndef HOST_BACKEND_H
#define HOST_BACKEND_H

#include <uv.h>

#include "core/err.h"
#include "core/id.h"

enum vm_net { VM_NET_NONE, VM_NET_HOST };

/* What a VM is made of.  Strings are borrowed for the call. */
struct vm_spec {
	const char *id;	     /* vm_... */
	const char *dir;     /* HIB_HOME/vms/<id>, exists, mode 0700. */
	const char *image;   /* "host", or a rootfs directory. */
	const char *libexec; /* Folder of hib-guest, mounted at /opt/hib. */
	const char *agents;  /* Installed agents, mounted at /opt/agents. */
	enum vm_net net;
	/* Folders of the host, JSON: [{"at","source","ro"}], or NULL.  A source
	 * without a slash at its beginning is below dir. */
	const char *mounts;
	int64_t quota; /* Bytes of /home and /workspace together; 0: no limit. */
	/* Of a virtual machine: MiB and how many; 0: the default. */
	int64_t memory;
	int cpus;
	const char *accel; /* "tcg", "kvm"; NULL: what works best here. */
};

struct machine; /* One running machine, as its backend sees it; opaque. */

struct backend_events {
	/* The machine is gone, killed or by itself; @detail is for people.
	 * The machine object is freed after this returns. */
	void (*exited)(struct machine *m, const char *detail, void *arg);
};

typedef void (*backend_boot_cb)(struct machine *m, const struct err *e,
				void *arg);
typedef void (*backend_done_cb)(const struct err *e, void *arg);

struct backend_ops {
	const char *name; /* "sandbox", "qemu" */
	bool greets;	  /* Streams begin as in core/greet.h. */
	uint64_t wake_ms; /* Boot until the first hello, or thaw, at most. */

	/* Make the disk of a new VM in spec->dir.  Synchronous: a few mkdirs. */
	int (*create)(const struct vm_spec *spec, struct err *e);
	/* Power on.  @cb: @m, or NULL and why; disk_full: there is no room for
	 * its memory. */
	void (*boot)(uv_loop_t *loop, const struct vm_spec *spec,
		     const struct backend_events *ev, void *arg,
		     backend_boot_cb cb);
	/* Find a machine that an earlier hibd booted.
	 * Return: 0 and *out; -ESRCH when there is none. */
	int (*adopt)(uv_loop_t *loop, const struct vm_spec *spec,
		     const struct backend_events *ev, void *arg,
		     struct machine **out, struct err *e);
	/* Open one of the two byte streams to the guest, "api" or "host".
	 * Return: a connected, non-blocking descriptor; -EAGAIN when the guest
	 * does not listen yet; another negative code. */
	int (*channel)(struct machine *m, const char *name, struct err *e);
	/* Power off at once; ends with events.exited. */
	void (*kill)(struct machine *m);
	/* Let go without killing: hibd stops, the machine goes on. */
	void (*release)(struct machine *m);
	/* Host pid of the machine's first process. */
	pid_t (*pid)(const struct machine *m);

	/* A machine whose guest has paused may stay as it is: nothing has to be
	 * written down to go on later. */
	bool warm_in_place;
	/* Does a machine of that folder, VMDIR, wait for room on the host's disk,
	 * so that its guest may be silent?  NULL: none does. */
	bool (*lacks_room)(const char *dir);

	/*
	 * Memory.  The guest has been paused before, and is thawed after.
	 *
	 * Write what is needed to go on into @dir, which is VMDIR/memory, and
	 * end the machine: @cb without an error, then events.exited.  Or @cb
	 * with one, and the machine goes on.
	 */
	void (*suspend)(struct machine *m, const char *dir, backend_done_cb cb,
			void *arg);
	/* Fill @dir, an empty folder that is ours alone, with all that the VM
	 * is at this instant; the machine goes on afterwards, @cb tells when. */
	void (*snapshot)(struct machine *m, const char *dir, backend_done_cb cb,
			 void *arg);
	/* Power on as it was.  @shared: @dir is VMDIR/memory, which is used up
	 * once the machine runs; before, a failure leaves it as it was.  Else
	 * @dir is a snapshot, which stays, and the VM's disk and memory become
	 * those of the snapshot.  Refused with capability_unsupported when the
	 * memory does not fit this QEMU, image or VM, with disk_full when there
	 * is no room for it. */
	void (*resume)(uv_loop_t *loop, const struct vm_spec *spec,
		       const char *dir, bool shared,
		       const struct backend_events *ev, void *arg,
		       backend_boot_cb cb);
	/* Would resume() refuse the snapshot @dir, as far as its files say?
	 * Return: 0 or -FAULT_CAPABILITY_UNSUPPORTED.  NULL: it would not. */
	int (*fits)(const struct vm_spec *spec, const char *dir, struct err *e);
	/* Is there a whole memory in VMDIR/memory?  Return: 0; -ENOENT;
	 * -ESTALE: the host went down before it was on the disk.  NULL: never. */
	int (*has_memory)(const struct vm_spec *spec, struct err *e);
	/* The machine is off: forget its memory, so that it boots.  Files of
	 * VMDIR/memory are removed by nothing else.  May be NULL. */
	void (*forget)(const struct vm_spec *spec);
};

extern const struct backend_ops backend_sandbox, backend_qemu;

/* The backend of that name, or NULL. */
const struct backend_ops *backend_find(const char *name);

#endif
