// SPDX-License-Identifier: Apache-2.0
/*
 * err.c - Errors: a code, and words for whoever must act on it
 *
 * One table says all about the public errors.  An errno becomes public only
 * at the border, in err_fault(): inside, it is worth more as it is.
 *
 * An error travels as a JSON-RPC error object.  err_read() trusts nothing of
 * it: the number decides, the name helps when a newer peer sent a number that
 * this table lacks, and everything else ends as FAULT_INTERNAL.
 */
#include "core/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"

struct fault_info {
	enum fault fault;
	const char *name;
	bool retryable; /* The same call may succeed later. */
	int exit_code;
};

static const struct fault_info faults[] = {
	{FAULT_INVALID_ARGUMENT, "invalid_argument", false, 5},
	{FAULT_INVALID_ID, "invalid_id", false, 5},
	{FAULT_CWD_NOT_FOUND, "cwd_not_found", false, 5},
	{FAULT_RESULTS_MISMATCH, "results_mismatch", false, 5},
	{FAULT_PATH_ESCAPE, "path_escape", false, 5},
	{FAULT_UNAUTHORIZED, "unauthorized", false, 3},
	{FAULT_FORBIDDEN, "forbidden", false, 3},
	{FAULT_POLICY_DENIED, "policy_denied", false, 3},
	{FAULT_ROUTE_NOT_FOUND, "route_not_found", false, 6},
	{FAULT_SESSION_NOT_FOUND, "session_not_found", false, 6},
	{FAULT_VM_NOT_FOUND, "vm_not_found", false, 6},
	{FAULT_TURN_NOT_FOUND, "turn_not_found", false, 6},
	{FAULT_REQUEST_NOT_FOUND, "request_not_found", false, 6},
	{FAULT_FILE_NOT_FOUND, "file_not_found", false, 6},
	{FAULT_SNAPSHOT_NOT_FOUND, "snapshot_not_found", false, 6},
	{FAULT_AGENT_UNKNOWN, "agent_unknown", false, 5},
	{FAULT_KEY_NOT_FOUND, "key_not_found", false, 6},
	{FAULT_TURN_ACTIVE, "turn_active", true, 7},
	{FAULT_SESSION_CONFLICT, "session_conflict", false, 7},
	{FAULT_NOT_WAITING, "not_waiting", false, 7},
	{FAULT_SESSION_NOT_LIVE, "session_not_live", false, 7},
	{FAULT_SESSION_CLOSED, "session_closed", false, 7},
	{FAULT_SESSION_ARCHIVED, "session_archived", false, 7},
	{FAULT_SESSION_FAILED, "session_failed", false, 7},
	{FAULT_STALE_EPOCH, "stale_epoch", false, 7},
	{FAULT_FORK_MID_TURN, "fork_mid_turn", true, 7},
	{FAULT_CAS_MISMATCH, "cas_mismatch", false, 7},
	{FAULT_ALREADY_EXISTS, "already_exists", false, 7},
	{FAULT_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", false, 7},
	{FAULT_NO_TURN, "no_turn", false, 7},
	{FAULT_NOT_READY, "not_ready", true, 7},
	{FAULT_SESSION_CLOSING, "session_closing", false, 7},
	{FAULT_CURSOR_AHEAD, "cursor_ahead", false, 7},
	{FAULT_TAIL_INCOMPLETE, "tail_incomplete", false, 7},
	{FAULT_HAS_CHILDREN, "has_children", false, 7},
	{FAULT_SESSION_EXPIRED, "session_expired", false, 9},
	{FAULT_CURSOR_GONE, "cursor_gone", false, 9},
	{FAULT_AGENT_AUTH_REQUIRED, "agent_auth_required", false, 3},
	{FAULT_CAPABILITY_UNSUPPORTED, "capability_unsupported", false, 5},
	{FAULT_MESSAGE_TOO_LARGE, "message_too_large", false, 4},
	{FAULT_QUOTA_EXCEEDED, "quota_exceeded", false, 4},
	{FAULT_LIMIT_SESSIONS, "limit_sessions", true, 4},
	{FAULT_OVERLOADED, "overloaded", true, 4},
	{FAULT_CANCELLED, "cancelled", false, 130},
	{FAULT_INTERNAL, "internal", false, 2},
	{FAULT_STORE_ERROR, "store_error", false, 2},
	{FAULT_STORE_CORRUPT, "store_corrupt", false, 2},
	{FAULT_CHAIN_DIVERGED, "chain_diverged", false, 2},
	{FAULT_METHOD_UNKNOWN, "method_unknown", false, 5},
	{FAULT_AGENT_SPAWN_FAILED, "agent_spawn_failed", false, 2},
	{FAULT_AGENT_EXITED, "agent_exited", false, 2},
	{FAULT_AGENT_PROTOCOL_ERROR, "agent_protocol_error", false, 2},
	{FAULT_MCP_START_FAILED, "mcp_start_failed", false, 2},
	{FAULT_NO_PROGRESS, "no_progress", false, 2},
	{FAULT_BAD_FRAME, "bad_frame", false, 2},
	{FAULT_VM_UNAVAILABLE, "vm_unavailable", true, 8},
	{FAULT_GUEST_UNREACHABLE, "guest_unreachable", true, 8},
	{FAULT_DRAINING, "draining", true, 8},
	{FAULT_START_TIMEOUT, "start_timeout", true, 8},
	{FAULT_REQUEST_TIMEOUT, "request_timeout", true, 8},
	{FAULT_DISK_FULL, "disk_full", false, 4},
};

static const struct {
	int number;
	enum fault fault;
} errnos[] = {
	{ENOSPC, FAULT_DISK_FULL},
	{EDQUOT, FAULT_DISK_FULL},
	{ENOMEM, FAULT_INTERNAL},
	{EINVAL, FAULT_INVALID_ARGUMENT},
	{EMSGSIZE, FAULT_MESSAGE_TOO_LARGE},
	{E2BIG, FAULT_MESSAGE_TOO_LARGE},
	{ETIMEDOUT, FAULT_REQUEST_TIMEOUT},
	{ECONNREFUSED, FAULT_GUEST_UNREACHABLE},
	{ECONNRESET, FAULT_GUEST_UNREACHABLE},
	{EPIPE, FAULT_GUEST_UNREACHABLE},
	{ENOTCONN, FAULT_GUEST_UNREACHABLE},
	{ECANCELED, FAULT_CANCELLED},
	{EACCES, FAULT_FORBIDDEN},
	{EPERM, FAULT_FORBIDDEN},
	{EUCLEAN, FAULT_STORE_CORRUPT},
};

/* The protocol errors that JSON-RPC itself defines. */
static const struct {
	int number;
	enum fault fault;
} rpc_errors[] = {
	{-32700, FAULT_BAD_FRAME},
	{-32600, FAULT_BAD_FRAME},
	{-32601, FAULT_METHOD_UNKNOWN},
	{-32602, FAULT_INVALID_ARGUMENT},
};

/* NULL when there is no such public error. */
static const struct fault_info *find(int64_t fault)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if ((int64_t)faults[i].fault == fault)
			return &faults[i];
	return NULL;
}

static const struct fault_info *find_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}

/* A number outside the table is a bug of ours, and is reported as one. */
static const struct fault_info *info(enum fault f)
{
	static const struct fault_info bug = {FAULT_INTERNAL, "internal", false,
					      2};
	const struct fault_info *i = find((int64_t)f);

	return i ? i : &bug;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	assert(code < 0);
	if (e == NULL)
		return code;

	e->code = code;
	e->data[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char inner[ERR_MSG_MAX];
	va_list ap;
	size_t n;

	if (e == NULL)
		return -EIO;

	assert(e->code < 0);
	memcpy(inner, e->msg, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);

	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", inner);
	return e->code;
}

void err_data(struct err *e, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (e == NULL)
		return;
	va_start(ap, fmt);
	n = vsnprintf(e->data, sizeof(e->data), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(e->data))
		e->data[0] = '\0';
}

enum fault err_fault(int code)
{
	const struct fault_info *public = find(-(int64_t)code);

	if (public != NULL)
		return public->fault;
	for (size_t i = 0; i < ARRAY_LEN(errnos); i++)
		if (errnos[i].number == -(int64_t)code)
			return errnos[i].fault;
	return FAULT_INTERNAL;
}

const char *fault_name(enum fault f)
{
	return info(f)->name;
}

enum fault fault_from_name(const char *name)
{
	const struct fault_info *i = find_name(name);

	return i ? i->fault : FAULT_INTERNAL;
}

bool fault_retryable(enum fault f)
{
	return info(f)->retryable;
}

int fault_exit_code(enum fault f)
{
	return info(f)->exit_code;
}

int fault_http_status(enum fault f)
{
	return (int)info(f)->fault / 100;
}

void err_write(const struct err *e, struct jw *w)
{
	enum fault f = err_fault(e->code);

	jw_obj(w);
	jw_kint(w, "code", (int64_t)f);
	jw_kstr(w, "message", e->msg);
	jw_key(w, "data");
	jw_obj(w);
	jw_kstr(w, "code", fault_name(f));
	jw_kbool(w, "retryable", fault_retryable(f));
	if (e->data[0] != '\0') {
		jw_lit(w, ",", 1);
		jw_lit(w, e->data, strlen(e->data));
	}
	jw_obj_end(w);
	jw_obj_end(w);
}

static enum fault read_fault(struct jv object)
{
	int64_t number = jv_int(jv_get(object, "code"), 0);
	const struct fault_info *known = find(number);
	char name[64];

	if (known == NULL &&
	    jv_strcpy(jv_path(object, "data.code"), name, sizeof(name)) >= 0)
		known = find_name(name);
	if (known != NULL)
		return known->fault;

	for (size_t i = 0; i < ARRAY_LEN(rpc_errors); i++)
		if (rpc_errors[i].number == number)
			return rpc_errors[i].fault;
	return FAULT_INTERNAL;
}

static void read_message(struct err *e, struct jv message)
{
	autofree char *s = jv_strdup(message, NULL);

	if (s != NULL)
		snprintf(e->msg, sizeof(e->msg), "%s", s);
}

/* Append to err->data.  Return: -ENOSPC when it does not fit. */
static int add_data(struct err *e, size_t *len, const char *s, size_t n)
{
	if (n >= sizeof(e->data) - *len)
		return -ENOSPC;
	memcpy(e->data + *len, s, n);
	*len += n;
	return 0;
}

static int add_member(struct err *e, size_t *len, struct jv key)
{
	size_t key_len, value_len;
	const char *k = jv_raw(key, &key_len);
	const char *v = jv_raw(jv_value(key), &value_len);

	if ((*len > 0 && add_data(e, len, ",", 1) < 0) ||
	    add_data(e, len, k, key_len) < 0 || add_data(e, len, ":", 1) < 0)
		return -ENOSPC;
	return add_data(e, len, v, value_len);
}

/* Keep the members that err_write() does not make by itself; all or none. */
static void read_data(struct err *e, struct jv data)
{
	size_t len = 0;

	for (struct jv k = jv_first(data); jv_has(k); k = jv_next(data, k)) {
		if (jv_eq(k, "code") || jv_eq(k, "retryable"))
			continue;
		if (add_member(e, &len, k) < 0) {
			len = 0;
			break;
		}
	}
	e->data[len] = '\0';

	/* Raw control bytes are white space between tokens, never in a string;
	 * as blanks they cannot break a line that carries them on. */
	for (char *p = e->data; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
}

int err_read(struct err *e, struct jv object)
{
	enum fault f = read_fault(object);
	struct jv data = jv_get(object, "data");

	err_set(e, -(int)f, "%s", fault_name(f));
	if (e == NULL)
		return -(int)f;
	read_message(e, jv_get(object, "message"));
	if (jv_is(data, JV_OBJECT))
		read_data(e, data);
	return e->code;
}
