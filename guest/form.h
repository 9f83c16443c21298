/* SPDX-License-Identifier: Apache-2.0 */
/*
 * form.h - The forms of elicitation/create: a flat schema, and answers to it
 *
 * A form is the restricted JSON Schema of the Agent Client Protocol: named
 * fields that are a string, a number, an integer, a boolean or a list of chosen
 * strings.  The schema comes from the agent, the answer from a client; neither
 * is trusted.
 *
 * Checked are: the type, required fields, fields that the form does not have,
 * enum and oneOf, minLength and maxLength (in characters), minimum and maximum,
 * items, minItems and maxItems, and, by their look alone, the formats email,
 * uri, date and date-time.  A pattern is not: it is an ECMAScript expression,
 * which is for the program that shows the form.
 */
#ifndef GUEST_FORM_H
#define GUEST_FORM_H

#include "core/json.h"

/* Is @schema a form?  Optional members that are wrong count as absent.
 * Return: 0; -EINVAL, also past FORM_BYTES_MAX, FORM_FIELDS_MAX and
 * FORM_CHOICES_MAX. */
int form_check_schema(struct jv schema, struct err *e);

/* Is @content an answer to the form @schema, which was checked?
 * Return: 0; -FAULT_INVALID_ARGUMENT, whose words name the field. */
int form_check(struct jv schema, struct jv content, struct err *e);

#endif
