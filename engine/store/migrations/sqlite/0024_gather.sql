-- Why a run is being cancelled that has finally steps to come, as JSON.
ALTER TABLE runs ADD COLUMN ending TEXT;

-- An event that takes part in the run of another is recorded as folded, with that run.
-- The changed text says more than before, so the rows need no second look (see 0008).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql, 'OR outcome = ''held''', 'OR outcome = ''held'' OR outcome = ''folded'''),
  '(outcome = ''matched'') = (run_id IS NOT NULL)', '(outcome = ''matched'' OR outcome = ''folded'') = (run_id IS NOT NULL)')
  WHERE type = 'table' AND name = 'decisions';
PRAGMA writable_schema = RESET;

-- Runs that gather events (debounce, batch) and have not begun.
CREATE TABLE gatherings (
  run_id   INTEGER PRIMARY KEY,
  workflow TEXT NOT NULL,
  kind     TEXT NOT NULL CHECK (kind = 'debounce' OR kind = 'batch'),
  key      TEXT NOT NULL,
  -- 0 when it is full, and takes no more events.
  open     INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  due_at   INTEGER NOT NULL,
  events   INTEGER NOT NULL,
  bytes    INTEGER NOT NULL
);
CREATE UNIQUE INDEX gatherings_open ON gatherings (workflow, key) WHERE open = 1;
CREATE INDEX gatherings_due ON gatherings (due_at);

-- The events of a run besides its own, with the memory that each takes.
CREATE TABLE run_events (
  run_id   INTEGER NOT NULL,
  event_id INTEGER NOT NULL,
  size     INTEGER NOT NULL,
  PRIMARY KEY (run_id, event_id)
) WITHOUT ROWID;
CREATE INDEX run_events_by_event ON run_events (event_id);

-- The keys by which an event ends open runs (cancel_on), and the event that did.
CREATE TABLE cancel_keys (
  run_id   INTEGER NOT NULL,
  trigger  TEXT NOT NULL,
  rule     TEXT NOT NULL,
  key      TEXT NOT NULL,
  by_event INTEGER,
  PRIMARY KEY (run_id, rule)
) WITHOUT ROWID;
CREATE INDEX cancel_keys_by_key ON cancel_keys (trigger, rule, key);
