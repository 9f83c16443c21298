// SPDX-License-Identifier: Apache-2.0
/*
 * thaw.c - What the host says to a guest that goes on
 */
#include "guest/thaw.h"

#include <string.h>

#include "core/hex.h"

#define HOSTNAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-"

static int read_entropy(struct jv v, struct thaw *t, struct err *e)
{
	char hex[2 * RENEW_ENTROPY + 1];

	t->has_entropy = jv_has(v) && !jv_is(v, JV_NULL);
	if (!t->has_entropy)
		return 0;
	if (jv_strcpy(v, hex, sizeof(hex)) != 2 * RENEW_ENTROPY ||
	    hex_decode(hex, RENEW_ENTROPY, t->entropy) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "entropy is no %d hexadecimal digits",
			       2 * RENEW_ENTROPY);
	return 0;
}

/* A member that may be missing, or null, and else is a text that fits. */
static int read_word(struct jv params, const char *key, char *out, size_t cap,
		     struct err *e)
{
	struct jv v = jv_get(params, key);

	if (!jv_has(v) || jv_is(v, JV_NULL))
		return 0;
	if (jv_strcpy(v, out, cap) <= 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "%s is no text of 1 to %zu bytes", key, cap - 1);
	return 0;
}

int thaw_read(struct jv params, struct thaw *out, struct err *e)
{
	struct thaw t = {
		.generation = jv_int(jv_get(params, "generation"), 0),
		.now_ms = jv_int(jv_get(params, "now"), 0),
		.reason = "resume",
	};

	if (t.generation < 0 || t.now_ms < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "generation or now is negative");
	if (read_entropy(jv_get(params, "entropy"), &t, e) < 0 ||
	    read_word(params, "vm", t.vm, sizeof(t.vm), e) < 0 ||
	    read_word(params, "hostname", t.hostname, sizeof(t.hostname), e) <
		    0 ||
	    read_word(params, "reason", t.reason, sizeof(t.reason), e) < 0)
		return e->code;
	if (t.vm[0] != '\0' && !id_is(t.vm, "vm"))
		return err_set(e, -FAULT_INVALID_ID, "vm is no id of a VM");
	if (t.hostname[strspn(t.hostname, HOSTNAME_CHARS)] != '\0')
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "hostname is no name of a host");
	t.sessions = jv_get(params, "sessions");
	if (jv_is(t.sessions, JV_NULL))
		t.sessions.i = -1;
	if (jv_has(t.sessions) && !jv_is(t.sessions, JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "sessions is no object");
	t.execs = jv_get(params, "execs");
	if (jv_has(t.execs) && !jv_is(t.execs, JV_ARRAY))
		return err_set(e, -FAULT_INVALID_ARGUMENT, "execs is no list");
	*out = t;
	return 0;
}
