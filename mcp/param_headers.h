/* SPDX-License-Identifier: Apache-2.0 */
/*
 * param_headers.h - Arguments of tools that go into HTTP headers as well
 *
 * In the modern era the schema of a tool may name a header for an argument, by
 * "x-mcp-header".  A client sends the argument in Mcp-Param-<name> too, and must
 * not use a tool whose annotations break the rules: on a string, integer or
 * boolean only, reached by `properties` alone, with the name of a header, used
 * once.
 */
#ifndef MCP_PARAM_HEADERS_H
#define MCP_PARAM_HEADERS_H

#include "core/json.h"

#define PARAM_HEADERS_TOOLS_MAX 1024 /* Tools with annotations. */
#define PARAM_HEADERS_MAX	32   /* Of one tool. */
#define PARAM_HEADER_NAME_MAX	64   /* Bytes. */
#define PARAM_HEADERS_DEPTH_MAX 16   /* Of an argument in objects. */

struct param_headers; /* What was learnt; opaque. */

/* NULL when memory is out. */
struct param_headers *param_headers_new(void);
void param_headers_free(struct param_headers *p); /* NULL is allowed. */

/* Learn a tool of a list.  Return: 0; -EINVAL when it must not be used; -ENOMEM;
 * -E2BIG past a limit. */
int param_headers_learn(struct param_headers *p, struct jv tool);

/**
 * param_headers_put() - Tell the headers of a call
 * @params: Of tools/call
 * @cb:     Gets each; @value has the encoding of param_header_value()
 *
 * Return: 0; -ENOMEM; what @cb returned, which ended the walk.
 */
int param_headers_put(const struct param_headers *p, struct jv params,
		      int (*cb)(const char *name, const char *value, void *arg),
		      void *arg);

/* Append a string as the value of a header: as it is, or =?base64?...?= when it
 * would not survive that. */
void param_header_value(struct jw *w, const char *s, size_t n);

/* Is it a name that a header can have? */
bool param_header_is_name(const char *s, size_t n);

#endif
