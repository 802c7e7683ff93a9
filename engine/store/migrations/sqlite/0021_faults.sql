-- A rate counts real starts. Until a run has started, starts_at is only when it is to.
ALTER TABLE places ADD COLUMN started INTEGER NOT NULL DEFAULT 0;
UPDATE places SET started = 1 WHERE rate_grp IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = places.run_id AND r.status = 'queued' AND r.started_at IS NULL);
CREATE INDEX places_started ON places (workflow, rate_grp, starts_at) WHERE started = 1 AND rate_grp IS NOT NULL;
CREATE INDEX places_planned ON places (workflow, rate_grp, starts_at) WHERE started = 0 AND rate_grp IS NOT NULL;

-- The run that a replay from the failed step continues: the first one of its chain.
ALTER TABLE runs ADD COLUMN continues INTEGER;

-- The steps of such a replay whose call is in doubt: it may have taken effect, so that it
-- is made again with the idempotency key of the run key_run, as it was at first at began.
CREATE TABLE kept_keys (
  run_id  INTEGER NOT NULL,
  path    TEXT NOT NULL,
  key_run INTEGER NOT NULL,
  began   INTEGER NOT NULL,
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;

-- A step that waited when its run ended did not fail.
DROP VIEW steps_view;
CREATE VIEW steps_view AS
SELECT printf('run_%016x', run_id) AS run_id, path, action, attempt,
       CASE WHEN status = 'failed' AND error ->> '$.code' = 'cancelled' THEN 'cancelled' ELSE status END AS status,
       strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000, 'unixepoch') || printf('.%03dZ', started_at % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000, 'unixepoch') || printf('.%03dZ', finished_at % 1000) AS finished_at,
       input, output, error
FROM steps;
