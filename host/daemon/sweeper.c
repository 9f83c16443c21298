// SPDX-License-Identifier: Apache-2.0
/*
 * sweeper.c - Sessions whose time is over while their VM is off
 *
 * One timer stands at the earliest end of all sessions that the host may write
 * to; without such a session none runs.  What is due is written, and when all
 * of it is stored the timer is set anew.
 *
 * A VM that sleeps warm gives up its memory for a session that expires, unless it
 * was put to sleep in the middle of a turn: then its guest expires the session
 * when it is thawed.
 */
#include "host/daemon/sweeper.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "host/daemon/hostlog.h"

#define LOG_COMPONENT "sweeper"

/* A VM that sleeps warm in the middle of a turn: that goes first. */
#define WARM_AND_OPEN                                                      \
	"(json_extract(v.config,'$.memory') IS NOT NULL AND EXISTS"        \
	" (SELECT 1 FROM turn t JOIN session o ON o.id=t.session_id WHERE" \
	" o.vm_id=v.id AND t.ended_ms IS NULL))"

/* Whose log the host has whole, and with it the right to write it. */
#define OURS                                                                \
	" FROM session s JOIN mirror m ON m.session_n=s.n WHERE"            \
	" s.expires_ms IS NOT NULL AND s.state NOT IN ('closed','expired')" \
	" AND m.tail_complete=1 AND EXISTS (SELECT 1 FROM vm v WHERE"       \
	"  v.id=s.vm_id AND v.state IN ('stopped','suspended','failed')"    \
	"  AND NOT " WARM_AND_OPEN ")"

struct sweeper {
	struct hibd *d;
	uv_timer_t timer;
	unsigned writing; /* Sessions on their way to the store. */
	bool closing;
};

static void sweeper_on_timer(uv_timer_t *t);

static void start_timer(struct sweeper *s, int64_t ms)
{
	if (!s->closing)
		uv_timer_start(&s->timer, sweeper_on_timer, (uint64_t)ms, 0);
}

static void sweeper_set(struct sweeper *s, int64_t least_ms)
{
	autofree char *first = NULL;
	int64_t left;

	if (s->closing || s->writing > 0)
		return;
	if (reader_value(s->d->reader, "SELECT min(s.expires_ms)" OURS, NULL,
			 &first, NULL) != 1 ||
	    first[0] == '\0') {
		uv_timer_stop(&s->timer);
		return;
	}
	left = strtoll(first, NULL, 10) - now_ms();
	start_timer(s, left > least_ms ? left : least_ms);
}

static void sweeper_on_written(const struct err *e, void *arg)
{
	struct sweeper *s = arg;

	if (e->code < 0)
		log_warn("%s, trying again", e->msg);
	s->writing--;
	sweeper_set(s, SWEEPER_PAUSE_MS);
}

static void expire(struct sweeper *s, const char *id)
{
	struct hostlog_entry entries[3];
	struct session_brief b;
	struct vm *vm;
	char state[96];
	unsigned n = 0;

	if (reader_session(s->d->reader, id, &b, NULL) < 0)
		return;
	vm = vm_find(s->d, b.vm_id);
	if (vm != NULL && vm_is_warm(vm)) {
		/* It comes here again when the VM is off. */
		vm_off(vm, VM_OFF_SLEEP, NULL, NULL);
		return;
	}
	if (vm == NULL || !vm_is_off(vm))
		return; /* The guest does it. */
	snprintf(state, sizeof(state),
		 "{\"from\":\"%s\",\"to\":\"expired\",\"reason\":\"ttl\"}",
		 b.state);
	if (b.open_turn[0] != '\0')
		entries[n++] = (struct hostlog_entry){"turn.interrupted",
						      "{\"reason\":\"ttl\"}",
						      b.open_turn};
	entries[n++] = (struct hostlog_entry){"session.state", state, NULL};
	entries[n++] = (struct hostlog_entry){"session.expired", "{}", NULL};
	log_info("%s: its time is over", b.id);
	s->writing++;
	hostlog_append(s->d, &b, entries, n, sweeper_on_written, s);
}

static void sweeper_on_timer(uv_timer_t *t)
{
	struct sweeper *s = t->data;
	const char *args[] = {int_text(now_ms()), NULL};
	autojw struct jw w = {0};
	autojson struct json j = {0};

	jw_arr(&w);
	(void)reader_rows(s->d->reader,
			  "SELECT s.id" OURS
			  " AND s.expires_ms<=CAST(?1 AS INTEGER) LIMIT 16",
			  args, &w, NULL);
	jw_arr_end(&w);
	s->writing++; /* This function's own, given back at its end. */
	if (!w.failed && json_parse(&j, w.buf, w.len, NULL) == 0) {
		for (struct jv v = jv_first(json_root(&j)); jv_has(v);
		     v = jv_next(json_root(&j), v)) {
			char id[ID_MAX];

			if (jv_strcpy(jv_get(v, "id"), id, ID_MAX) > 0)
				expire(s, id);
		}
	}
	s->writing--;
	sweeper_set(s, SWEEPER_PAUSE_MS);
}

void sweeper_look(struct sweeper *s)
{
	if (s != NULL)
		sweeper_set(s, 0);
}

struct sweeper *sweeper_new(struct hibd *d)
{
	struct sweeper *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->d = d;
	uv_timer_init(&d->loop, &s->timer);
	s->timer.data = s;
	return s;
}

static void sweeper_on_closed(uv_handle_t *h)
{
	free(h->data);
}

void sweeper_close(struct sweeper *s)
{
	if (s == NULL || s->closing)
		return;
	s->closing = true;
	uv_close((uv_handle_t *)&s->timer, sweeper_on_closed);
}
