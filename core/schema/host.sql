-- SPDX-License-Identifier: Apache-2.0
-- host.sql : the host's own tables in hib.db (after core.sql)
PRAGMA application_id = 0x48696248;   -- "HibH", for db.c and file(1)
CREATE TABLE vm (
  id TEXT PRIMARY KEY, name TEXT UNIQUE, image TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('stopped','booting','running','suspending','suspended','resuming','failed')),
  generation INTEGER NOT NULL DEFAULT 0, boot_id TEXT, config TEXT NOT NULL DEFAULT '{}',
  from_snapshot TEXT, last_error TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, last_seen_ms INTEGER
) STRICT;
CREATE TABLE vm_event (vm_id TEXT NOT NULL, seq INTEGER NOT NULL, ts_ms INTEGER NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (vm_id, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot (
  id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, parent_id TEXT, kind TEXT NOT NULL CHECK (kind IN ('memory','disk')),
  path TEXT NOT NULL, size INTEGER, sha256 BLOB, cursors TEXT NOT NULL,   -- {"ses_..": last_seq} at the instant of the snapshot
  label TEXT, created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE mirror (                    -- what only the host knows of a session
  session_n INTEGER PRIMARY KEY REFERENCES session(n),
  tail_complete INTEGER NOT NULL DEFAULT 0, -- 1: the host holds everything the guest ever wrote
  pending INTEGER NOT NULL DEFAULT 0, preview TEXT
) STRICT;
CREATE INDEX session_recent ON session(archived_ms IS NOT NULL, updated_ms DESC);
CREATE INDEX session_vm ON session(vm_id, created_ms);
CREATE INDEX session_fork ON session(forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX session_child ON session(parent_id) WHERE parent_id IS NOT NULL;
CREATE TABLE tombstone (id TEXT PRIMARY KEY, kind TEXT NOT NULL, destroyed_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE idem (key TEXT PRIMARY KEY, method TEXT NOT NULL, hash BLOB NOT NULL, result TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE token (hash BLOB PRIMARY KEY, session_id TEXT, scope TEXT NOT NULL, expires_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE secret (scope TEXT NOT NULL, name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 255),
  nonce BLOB NOT NULL, box BLOB NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, PRIMARY KEY (scope, name)) STRICT, WITHOUT ROWID;
CREATE TABLE schedule (
  id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, session_id TEXT,
  action TEXT NOT NULL CHECK (action IN ('prompt','session','exec')), payload TEXT NOT NULL,
  cron TEXT, at_ms INTEGER, tz TEXT NOT NULL DEFAULT 'UTC',
  overlap TEXT NOT NULL DEFAULT 'skip' CHECK (overlap IN ('skip','queue','allow')),
  catch_up INTEGER NOT NULL DEFAULT 0, enabled INTEGER NOT NULL DEFAULT 1,
  next_ms INTEGER, last_ms INTEGER, run_count INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
  CHECK ((cron IS NULL) <> (at_ms IS NULL))
) STRICT;
CREATE INDEX schedule_due ON schedule(next_ms) WHERE enabled=1;
CREATE TABLE schedule_run (
  schedule_id TEXT NOT NULL REFERENCES schedule(id) ON DELETE CASCADE, due_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running','completed','failed','skipped')),
  session_id TEXT, turn_id TEXT, error TEXT, started_ms INTEGER, ended_ms INTEGER,
  PRIMARY KEY (schedule_id, due_ms)) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5(session_id UNINDEXED, turn_id UNINDEXED, seq UNINDEXED, role UNINDEXED, text, tokenize='unicode61');
