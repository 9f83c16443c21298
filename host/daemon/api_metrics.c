// SPDX-License-Identifier: Apache-2.0
/*
 * api_metrics.c - GET /metrics: what there is now, for Prometheus
 *
 * Its text format, 0.0.4.  All are gauges: what is destroyed is counted no more.
 * VMs are counted as hibd has them, sessions and what belongs to them in the store.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "host/daemon/link.h"
#include "host/daemon/routes.h"

#define LINE_MAX_BYTES 256
#define LABEL_MAX      32

/* What rows say: "label", unless there is but one row, and "n". */
struct counted {
	const char *name, *help;
	const char *label; /* What the labels are; NULL: there are none. */
	const char *sql;
};

static const struct counted counted[] = {
	{"hib_sessions", "Sessions by state.", "state",
	 "WITH known(state) AS (VALUES ('starting'), ('idle'), ('running'),"
	 " ('waiting'), ('suspended'), ('closing'), ('closed'), ('failed'),"
	 " ('expired')) SELECT k.state AS label, count(s.n) AS n FROM known k"
	 " LEFT JOIN session s ON s.state=k.state GROUP BY k.state"},
	{"hib_turns", "Turns of all sessions.", NULL,
	 "SELECT coalesce(sum(turn_count), 0) AS n FROM session"},
	{"hib_events", "Events in all logs.", NULL,
	 "SELECT coalesce(sum(last_seq), 0) AS n FROM session"},
	{"hib_requests_pending",
	 "Questions of agents that nobody has answered.", NULL,
	 "SELECT count(*) AS n FROM request WHERE state='pending'"},
	{"hib_snapshots", "Snapshots by kind.", "kind",
	 "WITH known(kind) AS (VALUES ('memory'), ('disk')) SELECT k.kind AS"
	 " label, count(s.id) AS n FROM known k LEFT JOIN snapshot s ON"
	 " s.kind=k.kind GROUP BY k.kind"},
	{"hib_snapshot_bytes", "What all snapshots hold.", NULL,
	 "SELECT coalesce(sum(size), 0) AS n FROM snapshot"},
};

static void put(struct jw *w, const char *fmt, ...) printf_like(2, 3);

static void put(struct jw *w, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	jw_lit(w, line, (size_t)n);
}

static void put_head(struct jw *w, const char *name, const char *help)
{
	put(w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void put_one(struct jw *w, const char *name, const char *help, int64_t n)
{
	put_head(w, name, help);
	put(w, "%s %lld\n", name, (long long)n);
}

static void put_labelled(struct jw *w, const char *name, const char *label,
			 const char *value, int64_t n)
{
	put(w, "%s{%s=\"%s\"} %lld\n", name, label, value, (long long)n);
}

/* --- the store ------------------------------------------------------------ */

static void put_row(struct jw *w, const struct counted *c, struct jv row)
{
	int64_t n = jv_int(jv_get(row, "n"), 0);
	char value[LABEL_MAX] = "";

	(void)jv_strcpy(jv_get(row, "label"), value, sizeof(value));
	if (c->label == NULL)
		put(w, "%s %lld\n", c->name, (long long)n);
	else
		put_labelled(w, c->name, c->label, value, n);
}

static int put_counted(struct hibd *d, const struct counted *c, struct jw *w,
		       struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	int r;

	jw_arr(&rows);
	r = reader_rows(d->reader, c->sql, NULL, &rows, e);
	jw_arr_end(&rows);
	if (r >= 0)
		r = json_parse(&j, rows.buf, rows.len, e);
	if (r < 0)
		return r;
	put_head(w, c->name, c->help);
	for (struct jv row = jv_first(json_root(&j)); jv_has(row);
	     row = jv_next(json_root(&j), row))
		put_row(w, c, row);
	return 0;
}

/* With what is not in the file itself yet. */
static int64_t store_bytes(const struct home *h)
{
	static const char *const ends[] = {"", "-wal"};
	char path[HOME_PATH_MAX + 8];
	int64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", h->db, ends[i]);
		if (stat(path, &st) == 0)
			sum += st.st_size;
	}
	return sum;
}

/* --- VMs -------------------------------------------------------------------- */

enum channel { CHANNEL_UP, CHANNEL_PAUSED, CHANNEL_DOWN, CHANNELS };

static enum channel channel_of(const struct link *l)
{
	return link_is_up(l)	   ? CHANNEL_UP
	       : link_is_paused(l) ? CHANNEL_PAUSED
				   : CHANNEL_DOWN;
}

static void put_vms(struct hibd *d, struct jw *w)
{
	static const char *const channels[] = {"up", "paused", "down"};
	static const char *const memories[] = {"none", "ram", "disk"};
	int64_t states[VM_STATES] = {0}, links[CHANNELS] = {0};
	int64_t asleep[ARRAY_LEN(memories)] = {0};

	for (struct vm *vm = vms_first(d); vm != NULL; vm = vms_next(vm)) {
		states[vm_state(vm)]++;
		if (vm_state(vm) == VM_SUSPENDED)
			asleep[vm_memory(vm)]++;
		if (vm_link(vm) != NULL)
			links[channel_of(vm_link(vm))]++;
	}
	put_head(w, "hib_vms", "VMs by state.");
	for (size_t i = 0; i < VM_STATES; i++)
		put_labelled(w, "hib_vms", "state", vm_state_names[i],
			     states[i]);
	put_head(w, "hib_vms_asleep",
		 "VMs that sleep, by where their memory "
		 "is: none are cold.");
	for (size_t i = 0; i < ARRAY_LEN(memories); i++)
		put_labelled(w, "hib_vms_asleep", "memory", memories[i],
			     asleep[i]);
	put_head(w, "hib_links", "Channels to guests by state.");
	for (size_t i = 0; i < CHANNELS; i++)
		put_labelled(w, "hib_links", "state", channels[i], links[i]);
}

/* --- all of it --------------------------------------------------------------- */

static void put_daemon(struct hibd *d, struct jw *w)
{
	size_t rss = 0;

	(void)uv_resident_set_memory(&rss);
	put_head(w, "hib_build_info", "The version of hibd.");
	put_labelled(w, "hib_build_info", "version", HIB_VERSION, 1);
	put_one(w, "process_resident_memory_bytes", "RAM that hibd takes.",
		(int64_t)rss);
	put_one(w, "hib_store_bytes", "Size of hib.db.", store_bytes(&d->home));
}

void metrics_route(struct op *op)
{
	struct err e = {0};

	if (op->only[0] != '\0') {
		op_refuse(op, -FAULT_FORBIDDEN,
			  "a token for one session does not allow this");
		return;
	}
	put_daemon(op->d, &op->out);
	put_vms(op->d, &op->out);
	for (size_t i = 0; i < ARRAY_LEN(counted) && e.code == 0; i++)
		(void)put_counted(op->d, &counted[i], &op->out, &e);
	if (e.code < 0)
		op_fail(op, &e);
	else
		op_reply_as(op, "text/plain; version=0.0.4");
}
