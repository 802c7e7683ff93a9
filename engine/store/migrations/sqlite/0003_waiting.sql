-- What people said about steps that wait for them, one answer to a question. An
-- attempt under review is a question of its own.
CREATE TABLE answers (
  run_id  INTEGER NOT NULL,
  path    TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('approve', 'reject', 'resend', 'done', 'fail')),
  said_by TEXT NOT NULL,
  comment TEXT NOT NULL,
  output  TEXT,
  at      INTEGER NOT NULL,
  PRIMARY KEY (run_id, path, attempt)
) WITHOUT ROWID;

-- The steps that wait for an event, found by the event.
CREATE INDEX steps_by_event ON steps (output ->> '$.event', output ->> '$.key') WHERE status = 'waiting';

-- The steps that wait for a called run, found by the event that called it.
CREATE INDEX steps_by_call ON steps (output ->> '$.call') WHERE status = 'waiting';
