-- Values that steps keep between runs (store/set and its like). workflow is the id of
-- the one they belong to, or empty for those of the whole project.
CREATE TABLE kept_values (
  workflow   TEXT NOT NULL,
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  expires_at INTEGER,
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  PRIMARY KEY (workflow, key)
) WITHOUT ROWID;
CREATE INDEX kept_values_expiring ON kept_values (expires_at) WHERE expires_at IS NOT NULL;
-- How many there are and how large they are, for their bounds.
CREATE TABLE kept_size (id INTEGER PRIMARY KEY CHECK (id = 1), keys INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO kept_size (id, keys, bytes) VALUES (1, 0, 0);
CREATE TRIGGER kept_values_added AFTER INSERT ON kept_values BEGIN
  UPDATE kept_size SET keys = keys + 1, bytes = bytes + length(CAST(NEW.key AS BLOB)) + length(CAST(NEW.value AS BLOB));
END;
CREATE TRIGGER kept_values_removed AFTER DELETE ON kept_values BEGIN
  UPDATE kept_size SET keys = keys - 1, bytes = bytes - length(CAST(OLD.key AS BLOB)) - length(CAST(OLD.value AS BLOB));
END;
CREATE TRIGGER kept_values_changed AFTER UPDATE OF value ON kept_values BEGIN
  UPDATE kept_size SET bytes = bytes + length(CAST(NEW.value AS BLOB)) - length(CAST(OLD.value AS BLOB));
END;
-- What steps have written whose runs may still repeat the attempt, by its idempotency
-- key: the repeated attempt gets the same result and changes nothing.
CREATE TABLE kept_writes (
  op     TEXT PRIMARY KEY,
  run_id INTEGER NOT NULL,
  result TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX kept_writes_run ON kept_writes (run_id);
-- The events that steps put into triggers, by the idempotency key of the step.
CREATE TABLE emitted (
  op        TEXT PRIMARY KEY,
  event_id  INTEGER NOT NULL,
  run_id    INTEGER NOT NULL,
  path      TEXT NOT NULL,
  duplicate INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX emitted_event ON emitted (event_id);
CREATE INDEX emitted_run ON emitted (run_id);
-- Events may come from them.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'inlet = ''workflow_run''', 'inlet = ''workflow_run'' OR inlet = ''emit''') WHERE type = 'table' AND name = 'events';
PRAGMA writable_schema = RESET;
