/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - What an agent's session can be set to, and what it is set to
 *
 * An agent offers modes, models (older agents) and config options, with their
 * current values, and says so again when they change.  All of it is in the log,
 * so the guest follows it live and the host by reading the log: by the same
 * functions.
 *
 * A wish is what a user wants set: a member of
 *
 *	{"model":"m","mode":"m","thought":"high","options":{"id":"value"}}
 *
 * where null takes an earlier wish back, and the value of an option that is a
 * boolean is true, false or one of these words as a string.
 */
#ifndef CORE_SETTINGS_H
#define CORE_SETTINGS_H

#include "core/json.h"

#define SETTINGS_BYTES_MAX (1u << 20) /* Of each text below. */
#define WISH_OPTIONS_MAX   64	      /* In one object of wishes. */
#define WISH_ID_MAX	   256	      /* Bytes of an option's id... */
#define WISH_VALUE_MAX	   1024	      /* ...and of a value. */

/* --- wishes ------------------------------------------------------------- */

enum wish_kind { WISH_MODEL, WISH_THOUGHT, WISH_MODE, WISH_OPTION };

struct wish {
	enum wish_kind kind;
	struct jv id;	 /* Of the option; WISH_OPTION only. */
	struct jv value; /* A string, a boolean, or null. */
};

/* The key of a kind: "model", "thought", "mode", "options". */
const char *wish_key(enum wish_kind k);

/* Have the wishes in an object (or nothing at all) a right shape?  @strict: it
 * holds nothing else.  Return: 0 or -FAULT_INVALID_ARGUMENT. */
int wish_check(struct jv config, bool strict, struct err *e);

/* The wish at @i of a checked object, in the order in which they are to be
 * fulfilled (a model decides about the rest).  False at the end. */
bool wish_at(struct jv config, size_t i, struct wish *out);

/* Write the first @n wishes as members into an open object. */
void wish_write(struct jv config, size_t n, struct jw *w);

/* --- settings ----------------------------------------------------------- */

/* JSON texts; NULL: the agent has none. */
struct settings {
	char *modes;   /* {currentModeId, availableModes} */
	char *models;  /* {currentModelId, availableModels} */
	char *options; /* configOptions */
};

void settings_done(struct settings *s);

/* Each of the following leaves the settings as they were when memory is out,
 * and takes what has a wrong type or size for absent.  Return: 0 or -ENOMEM. */

/* All of them anew. */
int settings_set(struct settings *s, struct jv modes, struct jv models,
		 struct jv options);
/* Config options that came alone.  Absent: no change. */
int settings_set_options(struct settings *s, struct jv options);
/* The `update` of a session/update, whatever its kind. */
int settings_note(struct settings *s, struct jv update);

/* What fulfils a wish. */
enum settings_via { VIA_OPTION, VIA_MODES, VIA_MODELS };
struct settings_target {
	enum settings_via via;
	bool boolean;
	char *id;    /* Of the option, JSON text. */
	char *value; /* JSON text. */
};

/**
 * settings_find() - Hold a wish against what the agent offers
 * @w:   Checked, and not null
 * @out: Set on success, released by settings_target_done()
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT, data: "values" there are;
 * -FAULT_CAPABILITY_UNSUPPORTED when nothing of that kind can be set; -ENOMEM.
 */
int settings_find(const struct settings *s, const struct wish *w,
		  struct settings_target *out, struct err *e);
void settings_target_done(struct settings_target *t);
/* It was set. */
int settings_apply(struct settings *s, const struct settings_target *t);

#endif
