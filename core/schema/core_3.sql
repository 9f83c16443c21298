-- SPDX-License-Identifier: Apache-2.0
-- core_3.sql : guest.db and hib.db from version 2 to 3
PRAGMA user_version = 3;

-- Memories for all sessions of a VM, each with the session whose log has it.  Of one key the highest rev counts (note.c).
CREATE TABLE memory_shared (
  session_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT,   -- value NULL: it is deleted
  meta TEXT NOT NULL DEFAULT '{}', rev INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_shared_key ON memory_shared(key);

-- Which databases a session has is told by their files (guest/sqldb.h).
DROP TABLE IF EXISTS sqldb;
