/* SPDX-License-Identifier: Apache-2.0 */
/*
 * views.h - What people ask of the store, as JSON: one call each
 *
 * hibd answers with these, and `hib` reads the file with them when hibd is off,
 * so both say the same.  Keys are column names of the schema.
 */
#ifndef HOST_VIEWS_H
#define HOST_VIEWS_H

#include "core/reader.h"

/* Which sessions; NULL or zero: any. */
struct views_filter {
	const char *state, *vm, *tag; /* vm: an id. */
	const char *cursor; /* Only those behind this id in the list. */
	const char *only;   /* Only this one, and that if it fits. */
	bool archived;	    /* Those in the archive, else the others. */
	unsigned limit;
};

/* Rows as values inside an array that the caller opened, the newest session
 * first.  Return: their number or a negative code. */
int views_sessions(struct reader *r, const struct views_filter *f,
		   struct jw *out, struct err *e);
/* Without templates (host/daemon/warm.h). */
int views_vms(struct reader *r, struct jw *out, struct err *e);
/* Those: {"vm","image","agent","fingerprint","snapshot","created_ms"}, the newest
 * that is complete first. */
int views_warm(struct reader *r, struct jw *out, struct err *e);
/* {"seq","ts_ms","type","data"}, oldest first. */
int views_vm_events(struct reader *r, const char *vm, struct jw *out,
		    struct err *e);
/* The oldest first; of a VM, or NULL. */
int views_snapshots(struct reader *r, const char *vm, struct jw *out,
		    struct err *e);
/* One object.  Return: 0; -FAULT_SNAPSHOT_NOT_FOUND. */
int views_snapshot(struct reader *r, const char *id, struct jw *out,
		   struct err *e);

/* One object.  Return: 0; -FAULT_INVALID_ID; -FAULT_SESSION_NOT_FOUND or
 * -FAULT_VM_NOT_FOUND.  @vm: an id or a name. */
int views_session(struct reader *r, const char *session, struct jw *out,
		  struct err *e);
int views_vm(struct reader *r, const char *vm, struct jw *out, struct err *e);

/* The answer to a create, made again from the log: {"session","capabilities",
 * "agentInfo","modes","configOptions"}. */
int views_created(struct reader *r, const char *session, struct jw *out,
		  struct err *e);

/**
 * views_rows() - A view of one session, by name
 * @what: turns, requests, tools, elements, plans, diffs, artifacts, cursors, mcp,
 *        summaries: an array; stats: an object
 *
 * Return: 0; -FAULT_ROUTE_NOT_FOUND when there is no such view; what
 * views_session() returns.
 */
int views_rows(struct reader *r, const char *what, const char *session,
	       struct jw *out, struct err *e);

/* What the agent is, or will be, set to: {"modes","configOptions","models"?,
 * "config"}; the first two as the agent offers them, or null; config is what
 * users asked for, see core/settings.h.  Return: 0; what views_session()
 * returns. */
int views_config(struct reader *r, const char *session, struct jw *out,
		 struct err *e);

/* What was used: {"session","turns","usage"}, of the session or, with @tree, of
 * it and all its children together, and then "sessions", one by one. */
int views_usage(struct reader *r, const char *session, bool tree,
		struct jw *out, struct err *e);

/* Secrets that users keep here, an array without their values. */
#define VIEWS_SECRET_SCOPE "host" /* In the table; sessions have their id. */
int views_secrets(struct reader *r, struct jw *out, struct err *e);

/* Does the store hold all that was ever written of it? */
bool views_tail_complete(struct reader *r, const char *session);

#endif
