/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warm.h - Images whose VMs begin with an agent that runs already
 *
 * A template is a VM of the image that nobody works in: booted, an agent started
 * in it (guest/prewarm.h), kept as a snapshot, and switched off.  A VM that is made
 * on the image afterwards is no boot, but goes on from that snapshot, as long as
 * what the template was made of is still the same (host/fingerprint.h).
 *
 * The row of a template has in its config
 *
 *	"template":{"image","agent","fingerprint","snapshot","created_ms"}
 *
 * of which the last two come when it is complete.  An image has one.
 */
#ifndef HOST_DAEMON_WARM_H
#define HOST_DAEMON_WARM_H

#include "host/daemon/daemon.h"
#include "host/fingerprint.h"

struct change;
struct vm;
struct vm_config;

struct warm {
	char snapshot[ID_MAX];
	char agent[64];
};

/* Is there one that a VM like this can go on from? */
bool warm_find(struct hibd *d, const struct vm_config *cfg, struct warm *out);
/* Have the VM, which is off and new, go on from it.  @cb is told when that is
 * stored; a VM for which it cannot be done boots as it is. */
typedef void (*warm_cb)(const struct err *e, void *arg);
void warm_use(struct hibd *d, struct vm *vm, const struct warm *w, warm_cb cb,
	      void *arg);
/* It did not come up: have it boot as it is. */
void warm_give_up(struct vm *vm);

/* The config of a template that is being made. */
int warm_describe(struct hibd *d, const char *image, const char *agent,
		  struct jw *out, struct err *e);
/* In a change: it is complete. */
void warm_add_snapshot(struct change *c, const char *vm, const char *snapshot);
/* Does a VM that has not run yet go on from a template of the image? */
bool warm_is_needed(struct hibd *d, const char *image);
/* Remove the templates of an image but that of @keep, and those that are needed;
 * @image NULL: of all; @keep NULL: no matter. */
void warm_drop(struct hibd *d, const char *image, const char *keep);
/* hibd has started: remove those that were not completed, and those that others
 * took the place of while a VM that has not run yet needed them. */
void warm_load(struct hibd *d);

#endif
