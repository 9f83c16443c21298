/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_url.h - URLs of one origin
 */
#ifndef MCP_HTTP_URL_H
#define MCP_HTTP_URL_H

#include "core/base.h"

/* Is it an absolute URL of http or https? */
bool http_url_is_good(const char *url);
/* What @ref, absolute or not, means in a document at @base.  *@out is the
 * caller's.  Return: 0; -EXDEV when that is of another origin; -EINVAL; -ENOMEM. */
int http_url_resolve(const char *base, const char *ref, char **out);

#endif
