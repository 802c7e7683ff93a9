-- What makes a refused delivery understood and admitted later.
ALTER TABLE quarantine ADD COLUMN url TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN diagnosis TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN event_id INTEGER;
CREATE INDEX quarantine_by_trigger ON quarantine (trigger, id);

-- How often, and when last, each secret of a trigger has proved a delivery. The
-- secret is named, never stored.
CREATE TABLE secret_uses (
  trigger  TEXT NOT NULL,
  secret   TEXT NOT NULL,
  count    INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  PRIMARY KEY (trigger, secret)
) WITHOUT ROWID;
