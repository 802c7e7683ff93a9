-- A queued or waiting run that only an answer, an event, its turn or the like lets go on
-- is parked: due_at is NULL. It was a time in a hundred years. The changed text says less
-- than before, so the rows need no second look (see 0008).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '(due_at IS NOT NULL) = (status = ''queued'' OR status = ''waiting'')',
  'due_at IS NULL OR status = ''queued'' OR status = ''waiting''')
  WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = RESET;

UPDATE runs SET due_at = NULL WHERE due_at > created_at + 3124224000000
  AND NOT EXISTS (SELECT 1 FROM waits w WHERE w.run_id = runs.id AND w.until IS NOT NULL);
DROP INDEX runs_due;
CREATE INDEX runs_due ON runs (due_at) WHERE status = 'queued' OR status = 'waiting';
