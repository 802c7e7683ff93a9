-- What people did by the console and the API, the newest 100,000 actions.
CREATE TABLE audit (
  id     INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,
  -- Who says so himself: with a shared token, a name is a word, not a proof.
  who    TEXT NOT NULL,
  role   TEXT NOT NULL,
  remote TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  -- The HTTP status that answered it.
  status INTEGER NOT NULL
);

-- Workflows that a person has switched off, whatever their file says.
CREATE TABLE switched_off (
  workflow TEXT PRIMARY KEY,
  by       TEXT NOT NULL,
  at       INTEGER NOT NULL
) WITHOUT ROWID;
