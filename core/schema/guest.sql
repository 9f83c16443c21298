-- SPDX-License-Identifier: Apache-2.0
-- guest.sql : guest.db only (after core.sql)
PRAGMA application_id = 0x48696247;   -- "HibG", for db.c and file(1)
CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL) STRICT, WITHOUT ROWID;  -- vm_id, boot_id, generation, schema
CREATE TABLE sync (                     -- what the host has confirmed
  session_id TEXT PRIMARY KEY, acked_seq INTEGER NOT NULL DEFAULT 0, pruned_seq INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE proc (                     -- processes of this boot, so that a restart can reap or report them
  id TEXT PRIMARY KEY, session_id TEXT, kind TEXT NOT NULL CHECK (kind IN ('agent','mcp','exec','shell')),
  boot_id TEXT NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL,
  argv TEXT NOT NULL, cwd TEXT NOT NULL, started_ms INTEGER NOT NULL, exit_code INTEGER, term_signal INTEGER, ended_ms INTEGER
) STRICT;
CREATE TABLE sqldb (
  session_id TEXT NOT NULL, name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[A-Za-z_]*' AND name NOT GLOB '*[^A-Za-z0-9_]*'),
  file TEXT NOT NULL, created_ms INTEGER NOT NULL, PRIMARY KEY (session_id, name)
) STRICT, WITHOUT ROWID;
