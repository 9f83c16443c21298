/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto.h - Words and numbers of the Model Context Protocol, and our limits
 *
 * There are two eras.  The legacy one (up to 2025-11-25) begins a connection
 * with `initialize`; the modern one (2026-07-28) has no connections: each
 * request brings what must be known about its sender in params._meta.
 */
#ifndef MCP_PROTO_H
#define MCP_PROTO_H

#define MCP_2024_10_07 "2024-10-07"
#define MCP_2024_11_05 "2024-11-05"
#define MCP_2025_03_26 "2025-03-26"
#define MCP_2025_06_18 "2025-06-18"
#define MCP_2025_11_25 "2025-11-25"
#define MCP_2026_07_28 "2026-07-28"

#define MCP_LEGACY_LATEST MCP_2025_11_25
#define MCP_MODERN_LATEST MCP_2026_07_28

enum mcp_era { MCP_ERA_UNKNOWN, MCP_ERA_LEGACY, MCP_ERA_MODERN };

/* Error codes beyond those of JSON-RPC in core/rpc.h. */
#define MCP_RESOURCE_NOT_FOUND	(-32002) /* Legacy; modern: -32602. */
#define MCP_HEADER_MISMATCH	(-32020)
#define MCP_MISSING_CAPABILITY	(-32021)
#define MCP_UNSUPPORTED_VERSION (-32022)

/* Keys of _meta. */
#define MCP_META_PREFIX	      "io.modelcontextprotocol/"
#define MCP_META_VERSION      MCP_META_PREFIX "protocolVersion"
#define MCP_META_CLIENT_INFO  MCP_META_PREFIX "clientInfo"
#define MCP_META_CLIENT_CAPS  MCP_META_PREFIX "clientCapabilities"
#define MCP_META_LOG_LEVEL    MCP_META_PREFIX "logLevel"
#define MCP_META_SERVER_INFO  MCP_META_PREFIX "serverInfo"
#define MCP_META_SUBSCRIPTION MCP_META_PREFIX "subscriptionId"

/* Limits; the nesting of a message is bounded by JSON_DEPTH_MAX. */
#define MCP_LINE_MAX	    (10u << 20) /* One message, as in the SDKs. */
#define MCP_METHOD_MAX	    128		/* Bytes of a method's name. */
#define MCP_REQUESTS_MAX    1024	/* Open at once on a connection. */
#define MCP_OPEN_BYTES	    (32u << 20) /* Of them, and answers for them. */
#define MCP_PARKED_MAX	    64		/* Messages before a server is up. */
#define MCP_PARKED_BYTES    MCP_LINE_MAX
#define MCP_PAGES_MAX	    64 /* Pages of one list. */
#define MCP_LISTEN_URIS_MAX 256
#define MCP_URI_MAX	    4096
#define MCP_ASKS_MAX	    16	 /* Questions in one mcp_ask(). */
#define MCP_ROUNDS_MAX	    10	 /* Times that a request is asked back. */
#define MCP_STATE_MAX	    4096 /* Bytes of a handler's own state. */
#define MCP_STATE_TTL_S	    3600 /* A question waits for a person. */
#define MCP_PROBE_MS	    2000 /* For an answer to server/discover. */

/* The version of the legacy era of that name that we speak; NULL: none.  The
 * string is a constant. */
const char *mcp_legacy_version(const char *name);

#endif
