-- SPDX-License-Identifier: Apache-2.0
-- core_4.sql : guest.db and hib.db from version 3 to 4
PRAGMA user_version = 4;

-- The MCP servers of a session, as its log tells of them; nobody wrote to the table before.
DROP TABLE mcp_server;
CREATE TABLE mcp_server (
  session_id TEXT NOT NULL, name TEXT NOT NULL,
  transport  TEXT NOT NULL CHECK (transport IN ('stdio','http','sse','builtin')),
  spec       TEXT NOT NULL,              -- what may be known of its configuration: no argument, no value
  state      TEXT NOT NULL CHECK (state IN ('off','starting','ready','failed','exited')),
  pid INTEGER, exit_code INTEGER, exit_signal INTEGER,
  error TEXT, stderr_tail TEXT,          -- of the last start that failed, or end that nobody wanted
  era TEXT CHECK (era IN ('legacy','modern')), version TEXT, server TEXT, -- the protocol it speaks; who it says it is
  capabilities TEXT, instructions TEXT,  -- what it says it can do, and how it is used
  start_ms   INTEGER,                    -- how long its last start took
  hash TEXT, tools TEXT,                 -- its tools/list, all pages, and the SHA-256 of that
  updated_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, name)
) STRICT, WITHOUT ROWID;
