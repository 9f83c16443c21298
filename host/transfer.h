/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.h - A session as a file: export
 *
 * JSON lines.  The first says what it is,
 *
 *	{"hibernacle":1,"kind":"session","session":"ses_.."}
 *
 * and holds nothing that changes; then come the envelopes of the log, byte for
 * byte.  So an export made later begins with the bytes of an earlier one.
 */
#ifndef HOST_TRANSFER_H
#define HOST_TRANSFER_H

#include "core/reader.h"

#define TRANSFER_VERSION  1
#define TRANSFER_HEAD_MAX 4096 /* Bytes of the first line. */

/* Append the first line, with its line end. */
void transfer_write_head(const char *session, struct jw *out);

/* Read a first line that somebody else wrote.  Return: 0; -FAULT_INVALID_
 * ARGUMENT when it is no export, or one of a later version. */
int transfer_read_head(const char *line, size_t len, char session[ID_MAX],
		       struct err *e);

/**
 * transfer_export() - Write all of a session
 * @write: Takes bytes; a negative result ends the export and is returned
 *
 * Return: 0; -FAULT_SESSION_NOT_FOUND; -FAULT_CURSOR_GONE when the log's
 * beginning was removed.
 */
int transfer_export(struct reader *r, const char *session,
		    int (*write)(const char *data, size_t n, void *arg),
		    void *arg, struct err *e);

#endif
