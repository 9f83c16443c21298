/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekey.h - The sessions of a VM that was set back, or cloned
 *
 *	{"ses_..":{"next_seq":h+1,"chain":C,"epoch":E,"snapshot":"snp_.."},
 *	 "ses_..":{"id":"ses_new","snapshot":"snp_..",next_seq,chain,epoch},
 *	 "ses_..":null}
 *
 * The host says this of each session before anything in the VM goes on.
 *
 * A VM that was set back to an older snapshot: the log ends here at event s, and
 * at the host at h, where the chain hash is C.  Numbers are never used twice, so
 * the log goes on at h+1, with session.rewound {to_seq: s, abandoned: [s+1, h],
 * snapshot}.  With h = s nothing is abandoned and nothing is said.  Either way
 * the epoch is a new one, at least E.
 *
 * A clone: the session is a fork of the one that it was.  It is renamed, here, on
 * disk and in memory, and goes on at s+1 with session.forked {from, at: s, vm,
 * snapshot, warm, suspended_from}, in a new epoch.  The agent, if it runs,
 * notices nothing: its turn and what it has asked are open in the fork.  The old
 * id stays the name of what it may have seen: its MCP socket, the arguments of
 * mcp-connect, its control group.  A clone that was lost before it came up begins
 * anew: what the host has of its first attempt is abandoned, too.
 *
 * null: the host does not know the session any more.  So it is with the sessions
 * of a clone that are not named: they are those of the other VM.
 *
 * All of it is one transaction of the store, with the id of the VM.  Said again,
 * it changes nothing: what is done is found done.
 */
#ifndef GUEST_REKEY_H
#define GUEST_REKEY_H

#include "core/err.h"
#include "core/json.h"

struct guest;

/* @e: NULL when it is stored, and the sessions in memory are what they are now;
 * else nothing has changed but names of databases. */
typedef void (*rekey_cb)(const struct err *e, void *arg);

struct rekey_spec {
	/* The id of the VM from now on.  Another than it has makes it a clone;
	 * NULL: the same. */
	const char *vm;
	struct jv sessions; /* As above; absent: nothing to do. */
	bool warm;	    /* The agents are there. */
};

/**
 * rekey_begin() - Do what the host says
 * @spec: Borrowed for the call
 * @cb:	  Once, never during this call
 *
 * Nothing may be on its way to the store: the guest is paused, or not yet
 * started.
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_NOT_READY; -ENOMEM, and then @cb is
 * not called.
 */
int rekey_begin(struct guest *g, const struct rekey_spec *spec, rekey_cb cb,
		void *arg, struct err *e);

#endif
