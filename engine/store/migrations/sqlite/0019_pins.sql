-- What runs of a workflow's version use of other files, as JSON, from a run on. Runs go
-- on with what they began with. The texts stand in versions.
CREATE TABLE version_uses (
  version TEXT NOT NULL,
  from_id INTEGER NOT NULL,
  uses    TEXT NOT NULL,
  PRIMARY KEY (version, from_id)
) WITHOUT ROWID;

-- What proved the name of who answered: token or link; empty for a name that was typed.
ALTER TABLE answers ADD COLUMN proof TEXT NOT NULL DEFAULT '';
