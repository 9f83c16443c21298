/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - Errors: a code, and words for whoever must act on it
 *
 * Every function that can fail returns an int: 0 or more on success, a negative
 * code on failure.  A code is either a negative errno (libuv's codes are the
 * same numbers on Linux) or a negated `enum fault`, the errors that users see:
 * HTTP status * 100 + n.  Both ranges are disjoint, so one int carries either.
 * A function whose failure a person will read also takes a struct err as last
 * argument.  It lives on the caller's stack, so no error path allocates.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include "core/base.h"

/* The public errors.  err.c has the table of names, retry and exit codes. */
enum fault {
	FAULT_INVALID_ARGUMENT = 40000,
	FAULT_INVALID_ID = 40001,
	FAULT_CWD_NOT_FOUND = 40002,
	FAULT_RESULTS_MISMATCH = 40003,
	FAULT_PATH_ESCAPE = 40004,
	FAULT_UNAUTHORIZED = 40100,
	FAULT_FORBIDDEN = 40300,
	FAULT_POLICY_DENIED = 40301,
	FAULT_ROUTE_NOT_FOUND = 40400,
	FAULT_SESSION_NOT_FOUND = 40401,
	FAULT_VM_NOT_FOUND = 40402,
	FAULT_TURN_NOT_FOUND = 40403,
	FAULT_REQUEST_NOT_FOUND = 40404,
	FAULT_FILE_NOT_FOUND = 40405,
	FAULT_SNAPSHOT_NOT_FOUND = 40406,
	FAULT_AGENT_UNKNOWN = 40407,
	FAULT_KEY_NOT_FOUND = 40408,
	FAULT_TURN_ACTIVE = 40901,
	FAULT_SESSION_CONFLICT = 40902,
	FAULT_NOT_WAITING = 40903,
	FAULT_SESSION_NOT_LIVE = 40904,
	FAULT_SESSION_CLOSED = 40905,
	FAULT_SESSION_ARCHIVED = 40906,
	FAULT_SESSION_FAILED = 40907,
	FAULT_STALE_EPOCH = 40908,
	FAULT_FORK_MID_TURN = 40909,
	FAULT_CAS_MISMATCH = 40910,
	FAULT_ALREADY_EXISTS = 40911,
	FAULT_IDEMPOTENCY_MISMATCH = 40912,
	FAULT_NO_TURN = 40913,
	FAULT_NOT_READY = 40914,
	FAULT_SESSION_CLOSING = 40915,
	FAULT_CURSOR_AHEAD = 40916,
	FAULT_TAIL_INCOMPLETE = 40917,
	FAULT_HAS_CHILDREN = 40918,
	FAULT_SESSION_EXPIRED = 41001,
	FAULT_CURSOR_GONE = 41002,
	FAULT_AGENT_AUTH_REQUIRED = 41201,
	FAULT_CAPABILITY_UNSUPPORTED = 41202,
	FAULT_MESSAGE_TOO_LARGE = 41301,
	FAULT_QUOTA_EXCEEDED = 41302,
	FAULT_LIMIT_SESSIONS = 42901,
	FAULT_OVERLOADED = 42902,
	FAULT_CANCELLED = 49900,
	FAULT_INTERNAL = 50000,
	FAULT_STORE_ERROR = 50001,
	FAULT_STORE_CORRUPT = 50002,
	FAULT_CHAIN_DIVERGED = 50003,
	FAULT_METHOD_UNKNOWN = 50100,
	FAULT_AGENT_SPAWN_FAILED = 50201,
	FAULT_AGENT_EXITED = 50202,
	FAULT_AGENT_PROTOCOL_ERROR = 50203,
	FAULT_MCP_START_FAILED = 50204,
	FAULT_NO_PROGRESS = 50205,
	FAULT_BAD_FRAME = 50206,
	FAULT_VM_UNAVAILABLE = 50301,
	FAULT_GUEST_UNREACHABLE = 50302,
	FAULT_DRAINING = 50303,
	FAULT_START_TIMEOUT = 50401,
	FAULT_REQUEST_TIMEOUT = 50402,
	FAULT_DISK_FULL = 50700,
};

#define ERR_MSG_MAX  240
#define ERR_DATA_MAX 2048

struct err {
	int code; /* Negative errno or negated fault; 0: nothing failed. */
	char msg[ERR_MSG_MAX];
	/* More for programs: JSON members without braces, as
	 * `"turn":"trn_..","last_seq":7`; empty when there is nothing. */
	char data[ERR_DATA_MAX];
};

/**
 * err_set() - Record a failure; err->data is emptied
 * @e:    Where to record it, or NULL when the caller wants only the code
 * @code: Negative errno or negated fault
 * @fmt:  What failed and on which object, without a final full stop
 *
 * Return: @code, so that a failing function ends in `return err_set(...)`.
 */
int err_set(struct err *e, int code, const char *fmt, ...) printf_like(3, 4);

/* Put the caller's context in front of an error already recorded.
 * Return: the code already in @e, which may be NULL (then -EIO). */
int err_wrap(struct err *e, const char *fmt, ...) printf_like(2, 3);

/* Set err->data, cut to nothing when it would not fit.  @e may be NULL. */
void err_data(struct err *e, const char *fmt, ...) printf_like(2, 3);

/* The public error that stands for @code: itself when it is a negated fault,
 * else the one that a person would expect for this errno. */
enum fault err_fault(int code);

const char *fault_name(enum fault f);	      /* "turn_active" */
enum fault fault_from_name(const char *name); /* FAULT_INTERNAL if unknown */
bool fault_retryable(enum fault f);
int fault_exit_code(enum fault f); /* Of the command line tool. */
int fault_http_status(enum fault f);

struct jw;
struct jv;

/* Write @e as an error object: {"code":N,"message":..,"data":{"code":..,
 * "retryable":..,...}}. */
void err_write(const struct err *e, struct jw *w);

/* Read such an object, as a peer sent it, into @e.
 * Return: the negative code now in @e, never 0. */
int err_read(struct err *e, struct jv object);

#endif
