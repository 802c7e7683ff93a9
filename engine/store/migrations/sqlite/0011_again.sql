-- Events that come while a workflow is switched off are recorded as disabled, or as
-- held when they are to run once it is switched on. The changed text says more than
-- before, so the rows need no second look (see 0008).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'OR outcome = ''dropped''', 'OR outcome = ''dropped'' OR outcome = ''disabled'' OR outcome = ''held''')
  WHERE type = 'table' AND name = 'decisions';
PRAGMA writable_schema = RESET;

-- What is to be looked after: rules that failed, and what a switched-off workflow missed.
CREATE INDEX decisions_failed ON decisions (event_id, workflow) WHERE outcome = 'rule_failed';
CREATE INDEX decisions_missed ON decisions (workflow, outcome, event_id) WHERE outcome = 'disabled' OR outcome = 'held';

-- Earlier decisions about an event that was decided again; decisions has the newest.
CREATE TABLE decision_history (
  event_id INTEGER NOT NULL,
  workflow TEXT NOT NULL,
  version  TEXT NOT NULL,
  outcome  TEXT NOT NULL,
  reason   TEXT NOT NULL,
  trace    TEXT NOT NULL,
  run_id   INTEGER,
  at       INTEGER NOT NULL
);
CREATE INDEX decision_history_by_event ON decision_history (event_id, workflow);

-- 0: off, events are recorded as disabled. 1: events are held. 2: switched on again,
-- what was held is being decided; events that come meanwhile are held behind it.
ALTER TABLE switched_off ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;

-- Queued runs that came due while their workflow was switched off, with the time at
-- which they were due.
CREATE TABLE held_runs (
  run_id   INTEGER PRIMARY KEY,
  workflow TEXT NOT NULL,
  due_at   INTEGER NOT NULL
);

-- The steps that an event released which waited for it.
CREATE TABLE ended_waits (
  event_id INTEGER NOT NULL,
  run_id   INTEGER NOT NULL,
  path     TEXT NOT NULL,
  PRIMARY KEY (event_id, run_id, path)
) WITHOUT ROWID;

-- Orders to decide many events again.
CREATE TABLE batches (
  id          INTEGER PRIMARY KEY,
  at          INTEGER NOT NULL,
  by          TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state = 'running' OR state = 'paused' OR state = 'done' OR state = 'cancelled'),
  reason      TEXT NOT NULL DEFAULT '',
  -- What it takes: triggers, workflow, outcomes and the like, as JSON.
  filter      TEXT NOT NULL,
  rate        INTEGER NOT NULL,
  -- Events up to this id are done; those from until_id on are not taken.
  cursor      INTEGER NOT NULL,
  until_id    INTEGER NOT NULL,
  total       INTEGER NOT NULL,
  looked      INTEGER NOT NULL DEFAULT 0,
  runs        INTEGER NOT NULL DEFAULT 0,
  not_matched INTEGER NOT NULL DEFAULT 0,
  failed      INTEGER NOT NULL DEFAULT 0,
  known       INTEGER NOT NULL DEFAULT 0,
  finished_at INTEGER,
  CHECK ((finished_at IS NOT NULL) = (state = 'done' OR state = 'cancelled'))
);

-- Orders that came with an Idempotency-Key, and how they were answered.
CREATE TABLE orders (
  key    TEXT PRIMARY KEY,
  digest BLOB NOT NULL,
  -- 0 while the order is being carried out.
  status INTEGER NOT NULL,
  answer BLOB,
  at     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX orders_by_time ON orders (at);
