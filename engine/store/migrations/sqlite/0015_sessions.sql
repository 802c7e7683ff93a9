-- What a caller showed for an action: token, session, link.
ALTER TABLE audit ADD COLUMN proof TEXT NOT NULL DEFAULT '';

-- Sessions of the console are signed cookies; those that were ended before their
-- time are listed here until it is over.
CREATE TABLE ended_sessions (
  id    TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) WITHOUT ROWID;
