-- What steps wait for: one row a step, or one for each of wait: any. Rows are written
-- and removed in the transaction that changes the step. The output of a waiting step
-- shows the same to people.
CREATE TABLE waits (
  run_id   INTEGER NOT NULL,
  path     TEXT NOT NULL,
  -- The place in the list of wait: any; else 0.
  number   INTEGER NOT NULL,
  kind     TEXT NOT NULL CHECK (kind = 'approval' OR kind = 'event' OR kind = 'call' OR kind = 'sleep' OR kind = 'destination'),
  is_any   INTEGER NOT NULL DEFAULT 0,
  -- Of an event: its trigger and key, and the earliest time of receipt that counts.
  trigger  TEXT,
  key      TEXT,
  since    INTEGER,
  -- Of a called run: the event that began it, its workflow, and why it is being ended.
  event_id INTEGER,
  workflow TEXT,
  ending   TEXT,
  -- What an approval asks, or why a destination holds the attempt; who may answer.
  text     TEXT NOT NULL DEFAULT '',
  by       TEXT,
  -- When the step stops waiting; NULL for never. A fixed one does not move with the clock.
  until    INTEGER,
  fixed    INTEGER NOT NULL DEFAULT 0,
  -- The key, encrypted, where it is masked.
  sealed   BLOB,
  PRIMARY KEY (run_id, path, number)
) WITHOUT ROWID;
CREATE INDEX waits_by_event ON waits (trigger, key) WHERE trigger IS NOT NULL;
CREATE INDEX waits_by_call ON waits (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX waits_by_kind ON waits (kind) WHERE kind = 'approval' OR kind = 'destination';

-- Open waits were found in the output of their steps.
INSERT INTO waits (run_id, path, number, kind, trigger, key, since, event_id, workflow, ending, text, by, until, fixed, sealed)
SELECT run_id, path, 0, kind,
  CASE kind WHEN 'event' THEN output ->> '$.event' END,
  CASE kind WHEN 'event' THEN output ->> '$.key' END,
  CASE kind WHEN 'event' THEN coalesce(CAST(round(unixepoch(output ->> '$.from', 'subsec') * 1000) AS INTEGER), started_at - 3600000) END,
  CASE kind WHEN 'call' THEN (WITH RECURSIVE hex(i, n) AS (SELECT 5, 0 UNION ALL
    SELECT i + 1, n * 16 + instr('0123456789abcdef', substr(output ->> '$.call', i, 1)) - 1 FROM hex WHERE i < 21) SELECT n FROM hex WHERE i = 21) END,
  CASE kind WHEN 'call' THEN coalesce(output ->> '$.workflow', '') END,
  CASE kind WHEN 'call' THEN output -> '$.ending' END,
  CASE kind WHEN 'approval' THEN output ->> '$.approval' WHEN 'destination' THEN output ->> '$.destination' ELSE '' END,
  CASE kind WHEN 'approval' THEN output -> '$.by' END,
  CAST(round(unixepoch(output ->> '$.until', 'subsec') * 1000) AS INTEGER),
  output ->> '$.fixed' IS NOT NULL,
  CASE kind WHEN 'event' THEN sealed END
FROM (SELECT *, CASE WHEN output ->> '$.call' IS NOT NULL THEN 'call' WHEN output ->> '$.destination' IS NOT NULL THEN 'destination'
    WHEN output ->> '$.event' IS NOT NULL THEN 'event' WHEN output ->> '$.approval' IS NOT NULL THEN 'approval' ELSE 'sleep' END AS kind
  FROM steps WHERE status = 'waiting' AND CASE WHEN json_valid(output) THEN output ->> '$.any' IS NULL ELSE 0 END);

INSERT INTO waits (run_id, path, number, kind, is_any, trigger, key, since, text, by, until, sealed)
SELECT s.run_id, s.path, x.key, CASE WHEN x.value ->> '$.event' IS NULL THEN 'approval' ELSE 'event' END, 1,
  x.value ->> '$.event', x.value ->> '$.key',
  CASE WHEN x.value ->> '$.event' IS NOT NULL THEN coalesce(CAST(round(unixepoch(x.value ->> '$.from', 'subsec') * 1000) AS INTEGER), s.started_at - 3600000) END,
  CASE WHEN x.value ->> '$.event' IS NULL THEN coalesce(s.output ->> '$.approval', '') ELSE '' END,
  CASE WHEN x.value ->> '$.event' IS NULL THEN s.output -> '$.by' END,
  CAST(round(unixepoch(s.output ->> '$.until', 'subsec') * 1000) AS INTEGER),
  CASE WHEN x.value ->> '$.event' IS NOT NULL THEN s.sealed END
FROM steps s JOIN json_each(CASE WHEN s.status = 'waiting' AND json_valid(s.output) THEN s.output ELSE '{}' END, '$.any') x
WHERE s.status = 'waiting';

DROP TABLE any_waits;
DROP INDEX steps_by_event;
DROP INDEX steps_by_call;
DROP INDEX steps_by_destination;
DROP INDEX steps_asking;
