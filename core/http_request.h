/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_request.h - The bytes of an HTTP request
 *
 * Method, path and headers may come from users; what would break out of its
 * place in the head is refused.
 */
#ifndef CORE_HTTP_REQUEST_H
#define CORE_HTTP_REQUEST_H

#include "core/http_client.h"
#include "core/json.h"

/**
 * http_request_write() - Append a request's head, and its body unless streamed
 * @host:  Value of the Host field
 * @token: Bearer token, or NULL
 *
 * Return: 0; -EINVAL, and nothing written, when a part of @spec is malformed.
 * Want of memory shows in @w.
 */
int http_request_write(struct jw *w, const struct http_call_spec *spec,
		       const char *host, const char *token);

#endif
