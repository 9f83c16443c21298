/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otel.h - A session's turns as OpenTelemetry traces
 *
 * The JSON encoding of OTLP (opentelemetry-proto, TracesData): one trace for
 * each turn, its id the hex part of the turn's id; one root span for the turn
 * and a child for each tool call in it.  Ids follow from the log, so exporting
 * twice gives the same traces.
 */
#ifndef HOST_OTEL_H
#define HOST_OTEL_H

#include "core/reader.h"

/* Write one document as a value.  Return: 0 or a negative code. */
int otel_write(struct reader *r, const char *session, struct jw *out,
	       struct err *e);

#endif
