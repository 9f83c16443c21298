// SPDX-License-Identifier: Apache-2.0
/*
 * proto.c - Words of the Model Context Protocol
 */
#include "mcp/proto.h"

#include <string.h>

#include "core/base.h"

bool mcp_is_legacy_version(const char *version)
{
	static const char *const versions[] = {
		MCP_2025_11_25, MCP_2025_06_18, MCP_2025_03_26,
		MCP_2024_11_05, MCP_2024_10_07,
	};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (strcmp(version, versions[i]) == 0)
			return true;
	return false;
}
