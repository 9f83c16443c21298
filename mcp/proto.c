// SPDX-License-Identifier: Apache-2.0
/*
 * proto.c - Words of the Model Context Protocol
 */
#include "mcp/proto.h"

#include <string.h>

#include "core/base.h"

const char *mcp_legacy_version(const char *name)
{
	static const char *const versions[] = {
		MCP_2025_11_25, MCP_2025_06_18, MCP_2025_03_26,
		MCP_2024_11_05, MCP_2024_10_07,
	};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (strcmp(name, versions[i]) == 0)
			return versions[i];
	return NULL;
}
