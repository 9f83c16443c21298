/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instruct.h - How an agent is told what its session wants of it
 *
 * A session's instructions are one text.  ACP's system prompt is used where the
 * agent has it, else the way that its manifest names:
 *
 *	{"via":"meta","meta":{..}}  _meta of session/new, load, resume and fork
 *	{"via":"args","args":[..]}  arguments behind those of the command line
 *	{"via":"env","env":"NAME"}  the value of a variable
 *
 * In each string of these, {text} stands for the text, and {json} for it as a
 * JSON string.  An agent that has no way at all is told in front of the first
 * prompt of a fresh mind.  args and env are given with the process, so they are
 * used whatever the agent says of itself later.
 */
#ifndef GUEST_INSTRUCT_H
#define GUEST_INSTRUCT_H

#include "core/json.h"

enum instruct_via {
	INSTRUCT_NONE, /* There is nothing to tell. */
	INSTRUCT_SYSTEM_PROMPT,
	INSTRUCT_META,
	INSTRUCT_ARGS,
	INSTRUCT_ENV,
	INSTRUCT_PREAMBLE,
};

/* What a manifest says of it. */
struct instruct {
	enum instruct_via via; /* META, ARGS, ENV; NONE: it names no way. */
	char *meta;	       /* JSON object. */
	char **args;	       /* NULL-terminated. */
	char *env;
};

/**
 * instruct_read() - Check and take over what a manifest says
 * @v:   The object; absent or null: it names no way
 * @out: Set on success, released by instruct_done()
 * @e:   Set on failure
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -ENOMEM.
 */
int instruct_read(struct jv v, struct instruct *out, struct err *e);
void instruct_done(struct instruct *in);

/* The way that @text takes; NULL: no text. */
enum instruct_via instruct_choose(const struct instruct *in, const char *text,
				  bool has_system_prompt);
const char *instruct_name(enum instruct_via via);

/* A template with {text} and {json} put in; owned by the caller.  NULL: out of
 * memory. */
char *instruct_fill(const char *template, const char *text);
/* Write in->meta, filled. */
void instruct_write_meta(const struct instruct *in, const char *text,
			 struct jw *w);

#endif
