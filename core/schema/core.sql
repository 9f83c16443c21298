-- SPDX-License-Identifier: Apache-2.0
-- core.sql : tables of both guest.db and the host's hib.db
-- every connection: PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON; PRAGMA journal_mode=WAL; PRAGMA busy_timeout=5000;
PRAGMA user_version = 1;
CREATE TABLE session (
  n              INTEGER PRIMARY KEY,          -- local key of the event table: an integer key appends 1.4 x faster than the text id
  id             TEXT NOT NULL UNIQUE CHECK (length(id)=36 AND id GLOB 'ses_[0-9a-f]*'),
  vm_id          TEXT NOT NULL,
  agent          TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('starting','idle','running','waiting','suspended','closing','closed','failed','expired')),
  suspended_from TEXT CHECK (suspended_from IN ('idle','running','waiting')),
  wait_kind      TEXT CHECK (wait_kind IN ('permission','elicitation','tool','child')),
  epoch          INTEGER NOT NULL DEFAULT 1 CHECK (epoch>0),
  cwd            TEXT NOT NULL,
  config         TEXT NOT NULL DEFAULT '{}',   -- model, mode, thought level, instructions, mcp specs without secret values
  env_names      TEXT NOT NULL DEFAULT '[]',   -- names only, never values
  create_hash    BLOB NOT NULL,                -- sha256 of the immutable create options
  acp_session_id TEXT,                         -- the adapter's private id
  agent_info     TEXT, agent_caps TEXT, features TEXT NOT NULL DEFAULT '[]',
  parent_id      TEXT, root_id TEXT NOT NULL,
  forked_from    TEXT, forked_seq INTEGER,
  last_seq       INTEGER NOT NULL DEFAULT 0,
  turn_count     INTEGER NOT NULL DEFAULT 0,
  usage          TEXT NOT NULL DEFAULT '{}',
  last_error     TEXT,
  title          TEXT, tags TEXT NOT NULL DEFAULT '[]',
  created_ms     INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  closed_ms      INTEGER, archived_ms INTEGER, expires_ms INTEGER,
  CHECK ((state='suspended') = (suspended_from IS NOT NULL)),
  CHECK ((state='waiting' OR suspended_from='waiting') OR wait_kind IS NULL)
) STRICT;

CREATE TABLE event (
  id         INTEGER PRIMARY KEY,
  session_n  INTEGER NOT NULL REFERENCES session(n),
  seq        INTEGER NOT NULL CHECK (seq>0),
  epoch      INTEGER NOT NULL,
  ts_ms      INTEGER NOT NULL,
  type       TEXT NOT NULL,
  turn_id    TEXT,
  ctx        TEXT,
  data       TEXT NOT NULL,
  chain      INTEGER NOT NULL,               -- 64-bit hash over (previous chain, seq, type, data)
  UNIQUE (session_n, seq)
) STRICT;
CREATE INDEX event_other ON event(session_n, type, seq) WHERE type<>'acp.update';  -- turn.*, permission.*, … without paying for every chunk

CREATE TABLE purge (session_id TEXT PRIMARY KEY) STRICT;   -- a row here unlocks DELETE for that session (destroy, retention)

-- The next number, or, where retention has emptied the log, the one that the session remembers.  The writer carries
-- last_seq and updated_ms to the session once for each batch: done here, for each event, it took a third of the time.
CREATE TRIGGER event_seq BEFORE INSERT ON event
WHEN NEW.seq IS NOT (SELECT max(seq)+1 FROM event WHERE session_n=NEW.session_n)
 AND NEW.seq IS NOT (SELECT last_seq+1 FROM session WHERE n=NEW.session_n)
BEGIN SELECT RAISE(ABORT,'event: sequence gap'); END;
CREATE TRIGGER event_frozen BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT,'event: immutable'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event
WHEN NOT EXISTS (SELECT 1 FROM purge p JOIN session s ON s.id=p.session_id WHERE s.n=OLD.session_n)
BEGIN SELECT RAISE(ABORT,'event: append-only'); END;

CREATE TABLE abandoned (                    -- ranges undone by restoring an older snapshot
  session_id TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
  by_epoch INTEGER NOT NULL, snapshot_id TEXT,
  PRIMARY KEY (session_id, from_seq), CHECK (to_seq>=from_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE turn (
  id          TEXT NOT NULL,
  session_id  TEXT NOT NULL REFERENCES session(id),
  n           INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('running','waiting','completed','failed','cancelled','interrupted')),
  input_id    TEXT NOT NULL,
  idem_key    TEXT, idem_hash BLOB,
  stop_reason TEXT, error TEXT, usage TEXT,
  first_seq   INTEGER, last_seq INTEGER,
  started_ms  INTEGER NOT NULL, ended_ms INTEGER,
  PRIMARY KEY (session_id, id), UNIQUE (session_id, n),
  CHECK ((state IN ('running','waiting')) = (ended_ms IS NULL))
) STRICT;
CREATE UNIQUE INDEX turn_open ON turn(session_id) WHERE state IN ('running','waiting');
CREATE UNIQUE INDEX turn_idem ON turn(session_id, idem_key) WHERE idem_key IS NOT NULL;

CREATE TABLE request (                      -- permissions, elicitations, client tool calls
  id TEXT NOT NULL, session_id TEXT NOT NULL, turn_id TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('permission','elicitation','tool')),
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending','answered','cancelled','expired')),
  tool_call_id TEXT, body TEXT NOT NULL, answer TEXT, answered_by TEXT,
  asked_seq INTEGER NOT NULL, resolved_seq INTEGER,
  created_ms INTEGER NOT NULL, deadline_ms INTEGER, resolved_ms INTEGER,
  PRIMARY KEY (session_id, id)
) STRICT;
CREATE INDEX request_open ON request(session_id, asked_seq) WHERE state='pending';

CREATE TABLE diff (
  session_id TEXT NOT NULL, turn_id TEXT NOT NULL, path TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('add','modify','delete','rename')),
  old_oid TEXT, new_oid TEXT, patch TEXT, seq INTEGER NOT NULL,
  PRIMARY KEY (session_id, turn_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
  id TEXT NOT NULL, session_id TEXT NOT NULL, turn_id TEXT,
  name TEXT NOT NULL, path TEXT, media_type TEXT,
  size INTEGER NOT NULL, sha256 BLOB NOT NULL, blob BLOB, created_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, id)
) STRICT;
CREATE INDEX artifact_session ON artifact(session_id, created_ms);

CREATE TABLE kv (
  session_id TEXT NOT NULL, key TEXT NOT NULL CHECK (length(CAST(key AS BLOB)) BETWEEN 1 AND 255),
  value TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory (
  session_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  meta TEXT NOT NULL DEFAULT '{}', created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE summary (
  session_id TEXT NOT NULL, to_seq INTEGER NOT NULL, from_seq INTEGER NOT NULL,
  text TEXT NOT NULL, tokens INTEGER, model TEXT, created_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, to_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE mcp_server (
  session_id TEXT NOT NULL, name TEXT NOT NULL,
  transport TEXT NOT NULL CHECK (transport IN ('stdio','http','sse')),
  spec TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('starting','ready','failed','exited')),
  pid INTEGER, exit_code INTEGER, error TEXT,
  PRIMARY KEY (session_id, name)
) STRICT, WITHOUT ROWID;
