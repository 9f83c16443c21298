// SPDX-License-Identifier: Apache-2.0
/*
 * api_secret.c - Secrets that users keep here: set, list, remove
 *
 * A value comes in and never out again by this way: it goes to the agents whose
 * session names it, see secrets.h.
 */
#include <string.h>

#include "host/daemon/routes.h"
#include "host/daemon/secrets.h"

void secret_list_route(struct op *op)
{
	struct err e = {0};

	if (views_secrets(op->d->reader, &op->out, &e) < 0)
		op_fail(op, &e);
	else
		op_reply_out(op);
}

static bool check_name(struct op *op)
{
	if (secret_name_is_good(op->what))
		return true;
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "a secret's name is 1 to %d letters, digits and . _ -",
		  SECRET_NAME_MAX);
	return false;
}

static void secret_on_stored(const struct err *e, void *arg)
{
	struct op *op = arg;

	if (e->code < 0)
		op_fail(op, e);
	else
		op_reply_empty(op);
}

static void seal(struct op *op, const char *value)
{
	struct change *c = change_new();
	struct err e = {0};

	if (vault_put(op->d->vault, c, SECRET_SCOPE, op->what, value, &e) < 0) {
		change_free(c);
		op_fail(op, &e);
		return;
	}
	change_submit(op->d->store, c, secret_on_stored, op);
}

void secret_set_route(struct op *op)
{
	char *value = NULL;

	if (!check_name(op) ||
	    !op_string(op, "value", SECRET_VALUE_MAX, &value))
		return;
	if (value == NULL || value[0] == '\0')
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "value: a string of 1 to %u bytes", SECRET_VALUE_MAX);
	else
		seal(op, value);
	vault_wipe(value);
}

void secret_delete_route(struct op *op)
{
	const char *args[] = {SECRET_SCOPE, op->what, NULL};
	autofree char *found = NULL;
	struct change *c;

	if (!check_name(op))
		return;
	if (reader_value(op->d->reader,
			 "SELECT name FROM secret WHERE scope=?1 AND name=?2",
			 args, &found, NULL) != 1) {
		op_refuse(op, -FAULT_KEY_NOT_FOUND, "there is no secret %s",
			  op->what);
		return;
	}
	c = change_new();
	change_add(c, "DELETE FROM secret WHERE scope=?1 AND name=?2", 2,
		   SECRET_SCOPE, op->what);
	change_submit(op->d->store, c, secret_on_stored, op);
}
