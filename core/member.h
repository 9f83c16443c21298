/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member.h - Members of an event, as rows are made of them
 *
 * Private to project*.c.  The data of an event comes from another machine and may
 * hold anything: a member that has another type or size than is asked for is
 * nothing (NULL, no bytes), and a column keeps what it held.
 */
#ifndef CORE_MEMBER_H
#define CORE_MEMBER_H

#include "core/err.h"
#include "core/event.h"
#include "core/json.h"

#define TEXT_LEN_MAX 4096	  /* Of a short string: a title, a path. */
#define JSON_LEN_MAX (256u << 10) /* Of a JSON column of session. */
#define HASH_MAX     32		  /* A SHA-256. */
#define HELD_MAX     12		  /* Strings that one event decodes at once. */

struct db_cache;

/* One event on its way into rows. */
struct projection {
	struct db_cache *db;
	const struct event *ev;
	int64_t n; /* Of the session. */
	bool host;
	bool again; /* Its rows were removed after a rewind. */
	struct err *e;
	struct json data_doc, ctx_doc;
	struct jv data, ctx;
	char *held[HELD_MAX]; /* Decoded strings. */
	unsigned n_held;
	bool out_of_memory;
};

struct slice {
	const char *p; /* NULL: nothing. */
	size_t len;
};

/* A string of @min to @max bytes without U+0000.  As all strings that follow it
 * is the projection's, until members_release(). */
const char *member_text_of(struct projection *p, struct jv v, size_t min,
			   size_t max);
/* A string of the heap, or NULL, becomes the projection's. */
const char *member_hold(struct projection *p, char *s);
/* The short string @key of the data. */
const char *member_text(struct projection *p, const char *key);
/* An id with that prefix. */
const char *member_id(struct projection *p, struct jv v, const char *prefix);
/* A string of a closed list, which ends with NULL. */
const char *member_word_of(struct projection *p, struct jv v,
			   const char *const *list);
const char *member_word(struct projection *p, const char *key,
			const char *const *list);
/* The JSON text of a member of type @t; it points into the event. */
struct slice member_json_of(struct jv v, enum jv_type t, size_t max);
struct slice member_json(struct projection *p, const char *key, enum jv_type t);
/* Return: how many bytes the hex string @key holds. */
size_t member_hash(struct projection *p, const char *key,
		   uint8_t out[HASH_MAX]);

void members_release(struct projection *p);

#endif
