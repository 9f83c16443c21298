/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content.h - Content blocks, which ACP and MCP share
 */
#ifndef CORE_CONTENT_H
#define CORE_CONTENT_H

#include "core/json.h"

/* {"type":"text","text":..} (ACP, "Content"; MCP, "Text Content"). */
void content_text(struct jw *w, const char *text, size_t n);

#endif
