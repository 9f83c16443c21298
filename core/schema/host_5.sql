-- SPDX-License-Identifier: Apache-2.0
-- host_5.sql : hib.db from version 4 to 5
PRAGMA user_version = 5;

-- Snapshots; nobody wrote to the table before.  manifest is the folder's snapshot.json (host/snapshot.h); vm_id, parent_id,
-- kind, label and cursors are in there, too.  hashes is filled behind: [{"name","size","sha256"}].
DROP TABLE snapshot;
CREATE TABLE snapshot (
  id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, parent_id TEXT, kind TEXT NOT NULL CHECK (kind IN ('memory','disk')),
  label TEXT, manifest TEXT NOT NULL, cursors TEXT NOT NULL,   -- {"ses_..": last_seq} at the instant of the snapshot
  size INTEGER NOT NULL, hashes TEXT, verified_ms INTEGER,     -- bytes of content; hashes; when they were compared last
  damage TEXT, created_ms INTEGER NOT NULL                     -- what was found when they differed, a list
) STRICT;
CREATE INDEX snapshot_vm ON snapshot(vm_id, created_ms);
