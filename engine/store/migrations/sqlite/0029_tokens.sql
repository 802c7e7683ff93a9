-- Tokens of connections, encrypted with the key of the project, and how each connection
-- stands. owner has the claim to change a row until claimed_until.
CREATE TABLE tokens (
  connection    TEXT PRIMARY KEY,
  sealed        BLOB,
  version       INTEGER NOT NULL DEFAULT 0,
  account       TEXT NOT NULL DEFAULT '',
  scopes        TEXT NOT NULL DEFAULT '[]',
  config        TEXT NOT NULL DEFAULT '',
  expires_at    INTEGER,
  obtained_at   INTEGER,
  used_at       INTEGER,
  error         TEXT NOT NULL DEFAULT '',
  error_at      INTEGER,
  held          TEXT NOT NULL DEFAULT '',
  held_at       INTEGER,
  owner         TEXT NOT NULL DEFAULT '',
  claimed_until INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
