/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h - One entry of a session's log, and its one-line JSON envelope
 *
 *	{"v":1,"session":"ses_..","seq":17,"epoch":2,"ts":1763683200123,
 *	 "type":"acp.update","turn":"trn_..","ctx":{..},"data":{..}}
 *
 * The line is rendered from the fields in this order and no other way, so an
 * event has the same bytes whether it is pushed, replayed, exported or read
 * from the file years later.  `ctx` and `data` are JSON objects kept byte for
 * byte, but for raw line ends between their tokens, which become spaces: an
 * envelope is one line wherever it goes.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <sys/queue.h>

#include "core/id.h"
#include "core/json.h"

#define EVENT_LINE_MAX (17u << 20) /* One envelope; an ACP line is <= 16 MiB. */
#define EVENT_TYPE_MAX 32
/* Nesting of ctx and data: one level more is the envelope itself, and deeper
 * ones would be refused by every event_parse(). */
#define EVENT_DEPTH_MAX (JSON_DEPTH_MAX - 1)

struct event {
	TAILQ_ENTRY(event) link; /* For the list that owns it. */
	char session[ID_MAX];
	char turn[ID_MAX]; /* "" outside a turn. */
	char type[EVENT_TYPE_MAX];
	int64_t seq, epoch, ts_ms;
	const char *ctx; /* JSON object inside line, or NULL. */
	size_t ctx_len;
	const char *data; /* JSON object inside line. */
	size_t data_len;
	size_t len;  /* Of line, its '\n' included. */
	char line[]; /* The envelope and a '\n', then NUL. */
};
TAILQ_HEAD(event_list, event);

/* The fields of an event to be made; borrowed for the call. */
struct event_spec {
	const char *session, *turn, *type; /* turn: NULL or "" for none. */
	int64_t seq, epoch, ts_ms;
	const char *ctx; /* JSON object or NULL. */
	size_t ctx_len;
	const char *data; /* JSON object. */
	size_t data_len;
};

/* Make an event on the heap; free() releases it.  NULL: out of memory. */
struct event *event_new(const struct event_spec *s);

/* Append the same line, with its newline, to @w. */
void event_write(struct jw *w, const struct event_spec *s);

/**
 * event_parse() - Make an event from an envelope that somebody else wrote
 * @line: Hostile bytes, without the newline
 *
 * Unknown members are dropped, `v` must be 1, ids must be well-formed, the type
 * must be of a known shape (event_type_ok) and ctx and data objects.  The
 * result is rendered anew.
 *
 * Return: 0; -FAULT_BAD_FRAME and why; -ENOMEM.
 */
int event_parse(const char *line, size_t len, struct event **out,
		struct err *e);

/* Is it what an agent said of a session that is not this one?  It is kept as it
 * came and belongs to no turn and no message, whatever stands around it. */
bool event_is_foreign(const struct event *ev);

/* Free every event of a list and empty it. */
void event_list_free(struct event_list *l);

/* The durable types, in the order of the model; NULL-terminated. */
extern const char *const event_types[];
/* Is it one of them? */
bool event_type_known(const char *type);
/* "word.word", lower case with digits and '_': what a newer writer may have
 * invented. */
bool event_type_ok(const char *type);

/* Chain hash: XXH3-64 over the previous event's chain (0 before seq 1) and the
 * seq, both as 8 bytes little endian, then type, NUL, data. */
int64_t event_chain(int64_t prev, int64_t seq, const char *type,
		    const char *data, size_t data_len);

#endif
