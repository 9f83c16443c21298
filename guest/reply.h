/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.h - Where the answers to an agent's requests go
 *
 * What serves an agent takes the id of a request, a JSON token, and answers it
 * once, now or later.  Whoever has the agent gives it these two functions.
 */
#ifndef GUEST_REPLY_H
#define GUEST_REPLY_H

struct reply_to {
	/* @result: JSON text. */
	void (*result)(const char *id, const char *result, void *arg);
	/* @code: of JSON-RPC or ACP. */
	void (*refuse)(const char *id, int code, const char *why, void *arg);
	void *arg;
};

#endif
