-- The events that a step waits for several of; a step that waits for one is found by
-- its own row. Rows stay until the run has ended.
CREATE TABLE any_waits (
  trigger TEXT NOT NULL,
  key     TEXT NOT NULL,
  run_id  INTEGER NOT NULL,
  path    TEXT NOT NULL,
  PRIMARY KEY (trigger, key, run_id, path)
) WITHOUT ROWID;
CREATE INDEX any_waits_by_run ON any_waits (run_id);

-- The events that ended the waits of a run.
CREATE INDEX ended_waits_by_run ON ended_waits (run_id);

-- Orders to end called runs that nobody waits for any more. A row stands until the run
-- has ended. event is the text of the event that called it, as it stands in the step.
CREATE TABLE end_calls (
  event TEXT PRIMARY KEY,
  why   TEXT NOT NULL,
  at    INTEGER NOT NULL
) WITHOUT ROWID;

-- Runs that wait look once more: an event may have come before them, which builds before
-- this one did not see.
UPDATE runs SET due_at = created_at WHERE status = 'waiting' AND id IN (SELECT run_id FROM steps WHERE status = 'waiting' AND output ->> '$.event' IS NOT NULL);
