// SPDX-License-Identifier: Apache-2.0
/*
 * content.c - Content blocks, which ACP and MCP share
 */
#include "core/content.h"

void content_text(struct jw *w, const char *text, size_t n)
{
	jw_obj(w);
	jw_kstr(w, "type", "text");
	jw_key(w, "text");
	jw_strn(w, text, n);
	jw_obj_end(w);
}
