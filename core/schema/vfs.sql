-- SPDX-License-Identifier: Apache-2.0
-- vfs.sql : vfs.db, what the host has of a workspace (vfs/sent.h)
PRAGMA application_id = 0x48696256;   -- "HibV", for db.c and file(1)
PRAGMA user_version = 1;
CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL) STRICT, WITHOUT ROWID;  -- head, and what the boot keeps
CREATE TABLE entry (                    -- of the upper tree, as it was when the host took it
  dir BLOB NOT NULL,                    -- path of its folder, x'' for the workspace itself
  name BLOB NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('file','folder','link','deleted','ignored')),
  mode INTEGER NOT NULL, size INTEGER NOT NULL,   -- as stat(2) says
  mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, ino INTEGER NOT NULL,
  racy INTEGER NOT NULL,                -- 1: may have changed since without a trace; counts as changed
  opaque INTEGER NOT NULL,              -- 1: a folder that hides what the commit below has in it
  PRIMARY KEY (dir, name)
) STRICT, WITHOUT ROWID;
CREATE VIEW session_files AS
  SELECT CASE WHEN dir = x'' THEN '/' ELSE '/' || CAST(dir AS TEXT) || '/' END || CAST(name AS TEXT) AS path,
    kind, kind = 'folder' AS is_directory, mode & 146 = 0 AS is_readonly, size,
    printf('%04o', mode & 4095) AS permissions,
    datetime(mtime_ns / 1000000000, 'unixepoch') AS modified
  FROM entry;
