// SPDX-License-Identifier: Apache-2.0
/*
 * note.c - What a session keeps beside its conversation
 *
 * The newest revision of a shared memory is found when it is read, among the
 * rows of all sessions of the VM: a deletion is a row without a value.  So the
 * rows of each session follow from its own log alone, in whatever order a mirror
 * gets the logs.
 */
#include "core/note.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "core/hex.h"

#define NUMBER_TEXT 24 /* Of an int64_t in decimal. */

/*
 * Reading what is wanted.
 */

static int bad(struct err *e, const char *what)
{
	return err_set(e, -FAULT_INVALID_ARGUMENT, "%s", what);
}

int note_check_key(const char *key, size_t len, struct err *e)
{
	if (len >= 1 && len <= NOTE_KEY_MAX && strlen(key) == len)
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "a key has 1 to %d bytes and no NUL", NOTE_KEY_MAX);
}

static int read_key(struct jv v, struct note *n, struct err *e)
{
	int r = jv_strcpy(v, n->key, sizeof(n->key));

	return r > 0 ? 0 : note_check_key("", 0, e);
}

static int read_text(struct jv v, const char *name, size_t max, struct note *n,
		     struct err *e)
{
	if (!jv_is(v, JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s is no string",
			       name);
	n->text = jv_strdup(v, &n->len);
	if (n->text == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	if (n->len > max)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "%s has %zu bytes; %zu are allowed", name,
			       n->len, max);
	if (strlen(n->text) != n->len)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s holds a NUL",
			       name);
	return 0;
}

static int read_meta(struct jv v, struct note *n, struct err *e)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	if (!jv_is(v, JV_OBJECT))
		return bad(e, "meta is no object");
	if (len > NOTE_META_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "meta has %zu bytes; %u are allowed", len,
			       NOTE_META_MAX);
	n->meta = strndup(raw, len);
	return n->meta != NULL ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int note_scope_read(const char *name, enum note_scope *out, struct err *e)
{
	*out = NOTE_ANY;
	if (name == NULL)
		return 0;
	if (strcmp(name, "session") == 0)
		*out = NOTE_SESSION;
	else if (strcmp(name, "vm") == 0)
		*out = NOTE_VM;
	else
		return bad(e, "scope: session or vm");
	return 0;
}

static int read_scope(struct jv v, struct note *n, struct err *e)
{
	char name[16] = "session";
	enum note_scope scope;
	int r;

	if (jv_has(v) && !jv_is(v, JV_NULL) &&
	    jv_strcpy(v, name, sizeof(name)) < 0)
		return bad(e, "scope: session or vm");
	r = note_scope_read(name, &scope, e);
	n->shared = scope == NOTE_VM;
	return r;
}

static int read_condition(struct jv p, struct note *n, struct err *e)
{
	struct jv etag = jv_get(p, "etag");

	n->must_not_exist = jv_bool(jv_get(p, "must_not_exist"), false);
	if (!jv_has(etag) || jv_is(etag, JV_NULL))
		return 0;
	if (!jv_is(etag, JV_STRING))
		return bad(e, "etag is no string");
	/* One that is none of ours is the etag of nothing. */
	if (jv_strcpy(etag, n->etag, sizeof(n->etag)) <= 0)
		strcpy(n->etag, "-");
	return 0;
}

static int read_range(struct jv p, struct note *n, struct err *e)
{
	n->from_seq = jv_int(jv_get(p, "from_seq"), 0);
	n->to_seq = jv_int(jv_get(p, "to_seq"), 0);
	if (n->from_seq < 0 || n->to_seq < 0)
		return bad(e, "from_seq and to_seq are numbers of events");
	return 0;
}

static bool is_set(const struct note *n)
{
	return n->kind == NOTE_KV_SET || n->kind == NOTE_MEMORY_SET;
}

static bool is_memory(const struct note *n)
{
	return n->kind == NOTE_MEMORY_SET || n->kind == NOTE_MEMORY_DELETE;
}

int note_read(enum note_kind kind, struct jv params, struct note *out,
	      struct err *e)
{
	int r;

	*out = (struct note){.kind = kind};
	if (kind == NOTE_SUMMARY) {
		r = read_text(jv_get(params, "text"), "text", NOTE_TEXT_MAX,
			      out, e);
		return r < 0 ? r : read_range(params, out, e);
	}
	r = read_key(jv_get(params, "key"), out, e);
	if (r == 0 && is_set(out))
		r = read_text(jv_get(params, "value"), "value", NOTE_VALUE_MAX,
			      out, e);
	if (r == 0 && kind == NOTE_MEMORY_SET)
		r = read_meta(jv_get(params, "meta"), out, e);
	if (r == 0 && is_memory(out))
		r = read_scope(jv_get(params, "scope"), out, e);
	return r < 0 ? r : read_condition(params, out, e);
}

void note_done(struct note *n)
{
	free(n->text);
	free(n->meta);
	*n = (struct note){0};
}

/*
 * Rows.
 */

/* Those of shared memories that count.  ?1: a session of the VM. */
#define SHARED                                                             \
	"(SELECT key, value, meta, created_ms, updated_ms, rev FROM "      \
	"(SELECT m.*, row_number() OVER (PARTITION BY m.key ORDER BY "     \
	"m.rev DESC, m.session_id DESC) AS place FROM memory_shared m "    \
	"JOIN session s ON s.id=m.session_id WHERE s.vm_id="               \
	"(SELECT vm_id FROM session WHERE id=?1)) WHERE place=1 AND value" \
	" IS NOT NULL)"
/* Memories of both scopes; ?2: "", or the scope. */
#define MEMORIES                                                           \
	"(SELECT key, value, meta, created_ms, updated_ms, 'session' "     \
	"AS scope FROM memory WHERE session_id=?1 AND ?2<>'vm' UNION ALL " \
	"SELECT key, value, meta, created_ms, updated_ms, 'vm' AS scope "  \
	"FROM " SHARED " WHERE ?2<>'session')"
/* The same of a store that was made before memories were shared, and has not
 * been written to since. */
#define OLD_MEMORIES                                                   \
	"(SELECT key, value, meta, created_ms, updated_ms, 'session' " \
	"AS scope FROM memory WHERE session_id=?1 AND ?2<>'vm')"

static bool has_shared(struct reader *r)
{
	autofree char *one = NULL;

	return reader_value(r,
			    "SELECT 1 FROM sqlite_schema"
			    " WHERE name='memory_shared'",
			    NULL, &one, NULL) == 1;
}

void note_etag(const char *value, size_t len, char out[NOTE_ETAG_MAX])
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx h;

	sha256_init(&h);
	sha256_update(&h, len, (const uint8_t *)value);
	sha256_digest(&h, sizeof(sum), sum);
	hex_encode(sum, (NOTE_ETAG_MAX - 1) / 2, out);
}

/* The value under the note's key.  Return: 1; 0: none; or an error. */
static int find_value(struct reader *r, const char *session,
		      const struct note *n, char **out, struct err *e)
{
	const char *args[] = {session, n->key, NULL};

	if (!is_memory(n))
		return reader_value(r,
				    "SELECT value FROM kv WHERE session_id=?1"
				    " AND key=?2",
				    args, out, e);
	if (!n->shared)
		return reader_value(r,
				    "SELECT value FROM memory"
				    " WHERE session_id=?1 AND key=?2",
				    args, out, e);
	return reader_value(r, "SELECT value FROM " SHARED " WHERE key=?2",
			    args, out, e);
}

static int ask_number(struct reader *r, const char *sql,
		      const char *const *args, int64_t *out, struct err *e)
{
	autofree char *text = NULL;
	int n = reader_value(r, sql, args, &text, e);

	*out = n == 1 && text != NULL ? strtoll(text, NULL, 10) : 0;
	return n < 0 ? n : 0;
}

/*
 * Checking.
 */

static int check_room(struct reader *r, const char *session,
		      const struct note *n, struct err *e)
{
	const char *args[] = {session, NULL};
	const char *sql = "SELECT count(*) FROM kv WHERE session_id=?1";
	int64_t count;
	int bad_sql;

	if (is_memory(n))
		sql = n->shared ? "SELECT count(*) FROM " SHARED
				: "SELECT count(*) FROM memory"
				  " WHERE session_id=?1";
	bad_sql = ask_number(r, sql, args, &count, e);
	if (bad_sql < 0 || count < NOTE_KEYS_MAX)
		return bad_sql;
	return err_set(e, -FAULT_QUOTA_EXCEEDED, "there are %d keys already",
		       NOTE_KEYS_MAX);
}

static int mismatch(const struct note *n, const char *value, struct err *e)
{
	char now[NOTE_ETAG_MAX] = "";

	if (value != NULL)
		note_etag(value, strlen(value), now);
	if (value != NULL &&
	    (strcmp(now, n->etag) == 0 || strcmp(n->etag, "*") == 0))
		return 0;
	err_set(e, -FAULT_CAS_MISMATCH, "the value is another one by now");
	err_data(e, "\"etag\":%s%s%s", value ? "\"" : "", value ? now : "null",
		 value ? "\"" : "");
	return -FAULT_CAS_MISMATCH;
}

static int next_rev(struct reader *r, const char *session, struct note *n,
		    struct err *e)
{
	const char *args[] = {session, n->key, NULL};
	int bad_sql;

	if (!n->shared)
		return 0;
	bad_sql = ask_number(r,
			     "SELECT max(m.rev) FROM memory_shared m JOIN "
			     "session s ON s.id=m.session_id WHERE s.vm_id="
			     "(SELECT vm_id FROM session WHERE id=?1) AND "
			     "m.key=?2",
			     args, &n->rev, e);
	n->rev++;
	return bad_sql;
}

/* Up to the last event, from the first one that no summary covers. */
static int check_range(struct reader *r, const char *session, struct note *n,
		       struct err *e)
{
	const char *args[] = {session, NULL};
	struct session_brief b;
	int64_t covered = 0;
	int bad_sql = reader_session(r, session, &b, e);

	if (bad_sql < 0)
		return bad_sql;
	if (n->to_seq == 0)
		n->to_seq = b.last_seq;
	if (n->from_seq == 0)
		bad_sql = ask_number(r,
				     "SELECT max(to_seq) FROM summary"
				     " WHERE session_id=?1",
				     args, &covered, e);
	if (bad_sql < 0)
		return bad_sql;
	if (n->from_seq == 0)
		n->from_seq = covered < n->to_seq ? covered + 1 : 1;
	if (n->from_seq <= n->to_seq && n->to_seq <= b.last_seq)
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "from_seq and to_seq are no range of the %lld events",
		       (long long)b.last_seq);
}

int note_check(struct reader *r, const char *session, struct note *n,
	       struct err *e)
{
	autofree char *value = NULL;
	int found;

	if (n->kind == NOTE_SUMMARY)
		return check_range(r, session, n, e);
	found = find_value(r, session, n, &value, e);
	if (found < 0)
		return found;
	if (n->etag[0] != '\0' && mismatch(n, value, e) < 0)
		return -FAULT_CAS_MISMATCH;
	if (!is_set(n) && found == 0)
		return err_set(e, -FAULT_KEY_NOT_FOUND, "there is no key '%s'",
			       n->key);
	if (n->must_not_exist && found > 0)
		return err_set(e, -FAULT_ALREADY_EXISTS,
			       "there is a key '%s' already", n->key);
	if (found == 0)
		found = check_room(r, session, n, e);
	return found < 0 ? found : next_rev(r, session, n, e);
}

/*
 * Writing.
 */

const char *note_type(const struct note *n)
{
	static const char *const types[] = {
		[NOTE_KV_SET] = "kv.set",
		[NOTE_KV_DELETE] = "kv.deleted",
		[NOTE_MEMORY_SET] = "memory.set",
		[NOTE_MEMORY_DELETE] = "memory.deleted",
		[NOTE_SUMMARY] = "summary.created",
	};

	return types[n->kind];
}

void note_write(const struct note *n, struct jw *w)
{
	jw_obj(w);
	if (n->kind == NOTE_SUMMARY) {
		jw_kint(w, "from_seq", n->from_seq);
		jw_kint(w, "to_seq", n->to_seq);
		jw_key(w, "text");
		jw_strn(w, n->text, n->len);
		jw_obj_end(w);
		return;
	}
	jw_kstr(w, "key", n->key);
	if (is_set(n)) {
		jw_key(w, "value");
		jw_strn(w, n->text, n->len);
	}
	if (n->meta != NULL)
		jw_kraw(w, "meta", n->meta);
	if (n->shared) {
		jw_kstr(w, "scope", "vm");
		jw_kint(w, "rev", n->rev);
	}
	jw_obj_end(w);
}

void note_put_result(const struct note *n, struct jw *w)
{
	char etag[NOTE_ETAG_MAX];

	if (n->kind == NOTE_SUMMARY) {
		jw_kint(w, "from_seq", n->from_seq);
		jw_kint(w, "to_seq", n->to_seq);
		return;
	}
	jw_kstr(w, "key", n->key);
	if (!is_set(n))
		return;
	note_etag(n->text, n->len, etag);
	jw_kstr(w, "etag", etag);
}

/*
 * Answers.
 */

static int check_session(struct reader *r, const char *session, struct err *e)
{
	struct session_brief b;

	return reader_session(r, session, &b, e);
}

static int no_key(struct reader *r, const char *session, const char *key,
		  struct err *e)
{
	int bad_session = check_session(r, session, e);

	if (bad_session < 0)
		return bad_session;
	return err_set(e, -FAULT_KEY_NOT_FOUND, "there is no key '%s'", key);
}

/* The one row of @sql, with the etag of its value. */
static int get_row(struct reader *r, const char *sql, const char *const *args,
		   const char *key, struct jw *out, struct err *e)
{
	autojw struct jw text = {0};
	autojson struct json j = {0};
	autofree char *value = NULL;
	char etag[NOTE_ETAG_MAX];
	size_t len = 0;
	int n = reader_rows(r, sql, args, &text, e);

	if (n == 0)
		return no_key(r, args[0], key, e);
	if (n > 0)
		n = json_parse(&j, text.buf, text.len, e);
	if (n < 0)
		return n;
	value = jv_strdup(jv_get(json_root(&j), "value"), &len);
	if (value == NULL)
		return err_set(e, -ENOMEM, "value: out of memory");
	note_etag(value, len, etag);
	text.buf[text.len - 1] = '\0'; /* The object stays open. */
	jw_raw(out, text.buf, text.len - 1);
	jw_kstr(out, "etag", etag);
	jw_obj_end(out);
	return 0;
}

int note_get_kv(struct reader *r, const char *session, const char *key,
		struct jw *out, struct err *e)
{
	const char *args[] = {session, key, NULL};

	return get_row(r,
		       "SELECT key, value, created_ms, updated_ms FROM kv"
		       " WHERE session_id=?1 AND key=?2",
		       args, key, out, e);
}

static const char *scope_name(enum note_scope scope)
{
	static const char *const names[] = {
		[NOTE_ANY] = "", [NOTE_SESSION] = "session", [NOTE_VM] = "vm"};

	return names[scope];
}

int note_get_memory(struct reader *r, const char *session,
		    enum note_scope scope, const char *key, struct jw *out,
		    struct err *e)
{
#define ONE_MEMORY(from)                                                    \
	"SELECT key, value, meta, scope, created_ms, updated_ms FROM " from \
	" WHERE key=?3 ORDER BY scope LIMIT 1"
	const char *args[] = {session, scope_name(scope), key, NULL};
	const char *sql =
		has_shared(r) ? ONE_MEMORY(MEMORIES) : ONE_MEMORY(OLD_MEMORIES);

	return get_row(r, sql, args, key, out, e);
}

static int list(struct reader *r, const char *sql, const char *session,
		const struct note_query *q, struct jw *out, struct err *e)
{
	char limit[NUMBER_TEXT], preview[NUMBER_TEXT];
	const char *args[] = {session,
			      scope_name(q->scope),
			      q->prefix ? q->prefix : "",
			      q->after ? q->after : "",
			      limit,
			      preview,
			      NULL};

	int bad_session = check_session(r, session, e);

	if (bad_session < 0)
		return bad_session;
	snprintf(limit, sizeof(limit), "%u",
		 q->limit > 0 && q->limit < NOTE_LIST ? q->limit : NOTE_LIST);
	snprintf(preview, sizeof(preview), "%u", q->preview);
	return reader_rows(r, sql, args, out, e);
}

#define LIST(columns, from)                                            \
	"SELECT key, length(CAST(value AS BLOB)) AS bytes, " columns   \
	"created_ms, updated_ms, substr(value,1,CAST(?6 AS INTEGER)) " \
	"AS preview FROM " from " WHERE key>?4 AND key>=?3 AND "       \
	"substr(key,1,length(?3))=?3 ORDER BY key, 3 LIMIT CAST(?5 AS INTEGER)"

int note_list_kv(struct reader *r, const char *session,
		 const struct note_query *q, struct jw *out, struct err *e)
{
	return list(r,
		    LIST("", "(SELECT * FROM kv WHERE session_id=?1 AND "
			     "?2='')"),
		    session, q, out, e);
}

int note_list_memory(struct reader *r, const char *session,
		     const struct note_query *q, struct jw *out, struct err *e)
{
	const char *sql = has_shared(r) ? LIST("scope, meta, ", MEMORIES)
					: LIST("scope, meta, ", OLD_MEMORIES);

	return list(r, sql, session, q, out, e);
}
