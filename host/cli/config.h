/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - Options of commands that set what an agent offers
 */
#ifndef HOST_CLI_CONFIG_H
#define HOST_CLI_CONFIG_H

#include "host/cli/cli.h"

struct wish_options {
	const char *model, *mode, *thought;
	struct opt_list options; /* "ID=VALUE" */
};

/* Entries of an option table, for the member @field of a command's options. */
#define WISH_OPTS(strct, field)                                 \
	OPT(OPT_TEXT, strct, field.model, "model"),             \
		OPT(OPT_TEXT, strct, field.mode, "mode"),       \
		OPT(OPT_TEXT, strct, field.thought, "thought"), \
		OPT(OPT_LIST, strct, field.options, "option")

bool wish_options_given(const struct wish_options *o);
/* Write them as members into an open object.  Return: -1 to go on, else the
 * exit status. */
int wish_options_write(struct cli *c, const struct wish_options *o,
		       struct jw *w);

#endif
