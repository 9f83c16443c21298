/* SPDX-License-Identifier: Apache-2.0 */
/*
 * note.h - What a session keeps beside its conversation
 *
 *	kv	keys with a text each
 *	memory	the same with metadata; of the session, or shared by the sessions
 *		of its VM
 *	summary	what a part of the conversation comes to
 *
 * A note is an event of the session's log, kv.set, kv.deleted, memory.set,
 * memory.deleted or summary.created, and the rows follow from it (project.h).
 * So whoever writes the log, the guest or the host, makes a note in the same
 * three steps: read what is wanted, check it against the rows, write the event.
 * Between the check and the event's commit no other note of the session may be
 * written.
 *
 * A shared memory is written into the log of the session that sets it, with a
 * revision above any that its VM has of that key, and the highest one is what
 * the VM's sessions read.  It goes with the session that has set it last.
 */
#ifndef CORE_NOTE_H
#define CORE_NOTE_H

#include "core/reader.h"

#define NOTE_KEY_MAX   255	    /* Bytes, at least one. */
#define NOTE_VALUE_MAX (1u << 20)   /* Bytes. */
#define NOTE_META_MAX  (64u << 10)  /* Bytes, as JSON. */
#define NOTE_TEXT_MAX  (256u << 10) /* Bytes of a summary. */
#define NOTE_KEYS_MAX  10000	    /* Of a session's kv, memory; of a VM. */
#define NOTE_ETAG_MAX  33	    /* Of a value, with its NUL. */
#define NOTE_LIST      200 /* Keys of a list, whose values are read... */
#define NOTE_PREVIEW   200 /* ...and characters of each value. */

enum note_kind {
	NOTE_KV_SET,
	NOTE_KV_DELETE,
	NOTE_MEMORY_SET,
	NOTE_MEMORY_DELETE,
	NOTE_SUMMARY,
};

/* One change, as it is asked for. */
struct note {
	enum note_kind kind;
	char key[NOTE_KEY_MAX + 1];
	char *text; /* The value, or the text of a summary. */
	size_t len;
	char *meta;		  /* JSON object, or NULL. */
	bool shared;		  /* With the sessions of the VM. */
	bool must_not_exist;	  /* Refuse to overwrite. */
	char etag[NOTE_ETAG_MAX]; /* That it must have; "": any, or none;
				   * "*": any. */
	int64_t from_seq, to_seq; /* Of a summary; 0: not told. */
	int64_t rev;		  /* Of what is shared; set by note_check(). */
};

/**
 * note_read() - Take a change from what a client says
 * @params: {"key","value","etag","must_not_exist"}, memory with "meta" {} and
 *	    "scope" session or vm; a summary {"text","from_seq","to_seq"}
 * @out:    Released by note_done(), after a failure, too
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_MESSAGE_TOO_LARGE; -ENOMEM.
 */
int note_read(enum note_kind kind, struct jv params, struct note *out,
	      struct err *e);
void note_done(struct note *n);

static inline void note_donep(struct note *n)
{
	note_done(n);
}
#define autonote cleanup(note_donep)

/* Is that a key?  Return: 0 or -FAULT_INVALID_ARGUMENT. */
int note_check_key(const char *key, size_t len, struct err *e);

/* Hold it against the rows: may it be written?  Completes it.
 * Return: 0; -FAULT_KEY_NOT_FOUND (to delete nothing); -FAULT_CAS_MISMATCH (data:
 * etag); -FAULT_ALREADY_EXISTS; -FAULT_QUOTA_EXCEEDED; -FAULT_INVALID_ARGUMENT. */
int note_check(struct reader *r, const char *session, struct note *n,
	       struct err *e);

/* Its event: the type, and the data into an empty writer. */
const char *note_type(const struct note *n);
void note_write(const struct note *n, struct jw *w);
/* What its writer is told, as members of an open object: {"key","etag"} of a
 * value, {"key"} of what is deleted, {"from_seq","to_seq"}. */
void note_put_result(const struct note *n, struct jw *w);

/* Tells values apart. */
void note_etag(const char *value, size_t len, char out[NOTE_ETAG_MAX]);

/*
 * Reading.
 */

enum note_scope { NOTE_ANY, NOTE_SESSION, NOTE_VM };
/* "session", "vm" or NULL.  Return: 0 or -FAULT_INVALID_ARGUMENT. */
int note_scope_read(const char *name, enum note_scope *out, struct err *e);

/* {"key","value","etag","created_ms","updated_ms"}, of a memory with "meta" and
 * "scope"; of any scope the session's own comes first.
 * Return: 0; -FAULT_KEY_NOT_FOUND; -FAULT_SESSION_NOT_FOUND. */
int note_get_kv(struct reader *r, const char *session, const char *key,
		struct jw *out, struct err *e);
int note_get_memory(struct reader *r, const char *session,
		    enum note_scope scope, const char *key, struct jw *out,
		    struct err *e);

struct note_query {
	const char *prefix; /* Of keys; NULL: any. */
	const char *after;  /* Only keys behind this one; NULL: all. */
	unsigned limit;	    /* 0, or too much: NOTE_LIST. */
	enum note_scope scope;
	unsigned preview; /* Characters of each value; 0: none. */
};

/* {"key","bytes","created_ms","updated_ms"}, of memories with "meta" and
 * "scope", and "preview", by key, as values inside an array that the caller
 * opened.  Return: their number; -FAULT_SESSION_NOT_FOUND. */
int note_list_kv(struct reader *r, const char *session,
		 const struct note_query *q, struct jw *out, struct err *e);
int note_list_memory(struct reader *r, const char *session,
		     const struct note_query *q, struct jw *out, struct err *e);

#endif
