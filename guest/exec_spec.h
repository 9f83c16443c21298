/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_spec.h - What the host asks to have run
 *
 *	{"argv": ["ls", "-l"] or "command": a line for the shell,
 *	 "cwd": "/workspace", "env": {}, "stdin" or "stdin_b64",
 *	 "timeout_ms": 0, "session": id, "collect": false, "max_output": bytes,
 *	 "exec": id, by which the host comes back to it}
 */
#ifndef GUEST_EXEC_SPEC_H
#define GUEST_EXEC_SPEC_H

#include "core/id.h"
#include "core/json.h"

struct exec_spec {
	char **argv, **env; /* NULL-terminated; env is the base and more. */
	char *cwd;
	char *input; /* NULL: stdin is /dev/null. */
	size_t input_len;
	int64_t timeout_ms;   /* 0: none. */
	char session[ID_MAX]; /* To be joined; "": none. */
	char id[ID_MAX];      /* "": none. */
	bool collect;	      /* Output comes with the result. */
	size_t max_output;    /* Then: the last so many bytes, of each. */
};

/**
 * exec_spec_read() - Check and take over what is asked
 * @cwd: Where to run, if it does not say
 * @out: Zeroed; exec_spec_done() by the caller, also after a failure
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_INVALID_ID;
 * -FAULT_MESSAGE_TOO_LARGE; -ENOMEM.
 */
int exec_spec_read(struct jv in, const char *cwd, struct exec_spec *out,
		   struct err *e);
void exec_spec_done(struct exec_spec *s);

#endif
