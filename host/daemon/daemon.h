/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - What the parts of hibd share: one of each
 */
#ifndef HOST_DAEMON_DAEMON_H
#define HOST_DAEMON_DAEMON_H

#include <stdatomic.h>

#include "core/http.h"
#include "host/daemon/hub.h"
#include "host/daemon/indexer.h"
#include "host/daemon/mirror.h"
#include "host/daemon/packer.h"
#include "host/daemon/sweeper.h"
#include "host/daemon/vault.h"
#include "host/daemon/vm.h"
#include "host/home.h"

struct hibd {
	uv_loop_t loop;
	struct home home; /* Paths. */
	struct store *store;
	struct reader *reader; /* Of the loop's thread. */
	struct vault *vault;
	struct mirror *mirror;
	struct hub *hub;
	struct indexer *indexer;
	struct sweeper *sweeper;
	struct packer *packer;
	struct budget *budget; /* Of memory; NULL: none. */
	struct snapshots *snapshots;
	struct http_server *http;
	int http_port;		     /* Of TCP; 0: none. */
	struct mcp_front *mcp_front; /* Sessions' servers, for outside. */
	TAILQ_HEAD(vm_list, vm) vms;
	TAILQ_HEAD(noting_list, noting) notes; /* See api_notes.c. */
	LIST_HEAD(execs_list, exec) execs;     /* See execs.h. */
	atomic_bool stopping; /* Also looked at by long work off the loop. */
	uv_signal_t sigterm, sigint;
};

/* Begin to stop: end the streams, let go of the machines, leave the loop. */
void hibd_stop(struct hibd *d);

#endif
