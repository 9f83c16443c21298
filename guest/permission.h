/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permission.h - A question of the agent that somebody must answer
 *
 * Kept from session/request_permission until it is resolved: by an answer, by
 * its deadline, or because its turn is cancelled or over.
 */
#ifndef GUEST_PERMISSION_H
#define GUEST_PERMISSION_H

#include <sys/queue.h>
#include <uv.h>

#include "core/id.h"
#include "core/rpc.h"

struct permission {
	TAILQ_ENTRY(permission) link; /* For its owner. */
	char id[ID_MAX];	      /* req_... */
	char *rpc_id;		      /* Raw token to answer with. */
	char *tool;		      /* toolCallId as JSON text, or NULL. */
	char *options;		      /* The options offered, as JSON text. */
	int64_t deadline_ms;	      /* Unix time; 0: none. */
	void (*expired)(struct permission *p, void *arg);
	void *arg;
	uv_timer_t timer; /* Private. */
};
TAILQ_HEAD(permission_list, permission);

/**
 * permission_new() - Take over a request
 * @timeout_ms: 0 for none
 *
 * Return: 0; -EINVAL when it offers no options, or too many; -ENOMEM.
 */
int permission_new(uv_loop_t *loop, const struct rpc_msg *m, int64_t timeout_ms,
		   struct permission **out, struct err *e);
/* Its memory goes when the loop has closed its timer. */
void permission_free(struct permission *p);

/* Was @option offered? */
bool permission_offers(const struct permission *p, const char *option);

/* {"input":..,"req":..,"tool":..} */
void permission_write_ctx(const struct permission *p, const char *input,
			  struct jw *w);

#endif
