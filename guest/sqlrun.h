/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlrun.h - Run strangers' SQL on one database file, with bounds
 *
 * Blocks; for a thread that may wait.
 */
#ifndef GUEST_SQLRUN_H
#define GUEST_SQLRUN_H

#include <stdatomic.h>

#include "core/json.h"

enum sql_op {
	SQL_EXECUTE, /* May write, makes the file. */
	SQL_QUERY,   /* Only reads one that is there. */
	SQL_SCHEMA,  /* What is in it; no SQL. */
};

struct sqlrun {
	enum sql_op op;
	const char *path; /* Of the file. */
	const char *sql;  /* One statement, or more without parameters. */
	/* An array for ?1, ?2..., an object for :name, or absent: null, a
	 * boolean (0, 1), a number, a string, {"base64":..} each. */
	struct jv params;
	int64_t max_bytes;	      /* Of the file. */
	int64_t timeout_ms;	      /* 0: SQL_TIMEOUT_MS. */
	const atomic_bool *cancelled; /* Set by others; may be NULL. */
};

/**
 * sqlrun() - Run it
 * @out: The result, a JSON object: {"columns":[],"rows":[[]],"truncated",
 *	 "changes","last_insert_rowid"}, with the rows of the last statement that
 *	 has some, at most SQL_ROWS_MAX in SQL_RESULT_MAX bytes; of a schema
 *	 {"tables":[{"type","name","table","sql"}],"bytes"}
 *
 * All statements are one transaction: all of them are done, or none.
 *
 * Return: 0; -FAULT_FILE_NOT_FOUND (no such database); -FAULT_INVALID_ARGUMENT
 * (the SQL is wrong, or a constraint does not hold); -FAULT_FORBIDDEN;
 * -FAULT_QUOTA_EXCEEDED; -FAULT_REQUEST_TIMEOUT; -FAULT_CANCELLED...
 */
int sqlrun(const struct sqlrun *q, struct jw *out, struct err *e);

#endif
