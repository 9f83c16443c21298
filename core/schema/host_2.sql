-- SPDX-License-Identifier: Apache-2.0
-- host_2.sql : hib.db from version 1 to 2
PRAGMA user_version = 2;

-- Search.  One row of search_doc is a message, a tool's title or a session's title, with the events that it stands in;
-- search has its words.  The text is kept here, once: an index without it (contentless) can be deleted from only with
-- SQLite 3.43, or by being told again the very text that it was given, which a later version may not make the same way
-- from the events; and a session that is destroyed must leave no word.  Text is a tenth of the log that it comes from.
DROP TABLE search;
CREATE TABLE search_doc (
  id INTEGER PRIMARY KEY, session_n INTEGER NOT NULL REFERENCES session(n),
  first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, ts_ms INTEGER NOT NULL,
  turn_id TEXT, role TEXT NOT NULL CHECK (role IN ('user','agent','tool','title')), text TEXT NOT NULL
) STRICT;
CREATE INDEX search_doc_session ON search_doc(session_n);
CREATE VIRTUAL TABLE search USING fts5(text, content='search_doc', content_rowid='id', tokenize='unicode61 remove_diacritics 2');
CREATE TABLE search_state (              -- up to which event a session is in the index; no row: nothing of it
  session_n INTEGER PRIMARY KEY REFERENCES session(n), seq INTEGER NOT NULL
) STRICT;

CREATE TABLE cursor (                    -- how far a reader has come, by a name of his choice
  session_id TEXT NOT NULL, name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  seq INTEGER NOT NULL CHECK (seq>=0), updated_ms INTEGER NOT NULL, PRIMARY KEY (session_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_expiry ON session(expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX idem_expiry ON idem(expires_ms);
