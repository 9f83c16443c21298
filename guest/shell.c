// SPDX-License-Identifier: Apache-2.0
/*
 * shell.c - What users of shells are used to: who runs a line, how ends are told
 */
#include "guest/shell.h"

#include <stdio.h>
#include <string.h>

#define CODE_NO_EXEC 126
#define CODE_MISSING 127

const char *shell_path(void)
{
	return access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
}

int shell_no_start(const struct proc_end *end)
{
	bool no_exec =
		end->failed == PROC_STEP_EXEC && end->err.code == -EACCES;

	return no_exec ? CODE_NO_EXEC : CODE_MISSING;
}

void shell_put_signal(struct jw *w, int signal)
{
	const char *name = signal == 0 ? NULL : sigabbrev_np(signal);
	char text[32];

	jw_key(w, "signal");
	if (signal == 0) {
		jw_null(w);
		return;
	}
	if (name != NULL)
		snprintf(text, sizeof(text), "SIG%s", name);
	else
		snprintf(text, sizeof(text), "%d", signal);
	jw_str(w, text);
}
