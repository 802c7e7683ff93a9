-- The places of runs whose workflow has concurrency or rate. A row stands while
-- the run has not ended, and longer where its start still counts for a rate.
CREATE TABLE places (
  run_id     INTEGER PRIMARY KEY,
  workflow   TEXT NOT NULL,
  -- The group of concurrency; NULL without one, and when the run has ended.
  grp        TEXT,
  state      TEXT NOT NULL CHECK (state IN ('waits', 'has', 'replaced', 'left')),
  max_runs   INTEGER NOT NULL,
  stale      NUMERIC,
  rate_grp   TEXT,
  rate_limit INTEGER NOT NULL,
  rate_per   INTEGER NOT NULL,
  -- When the run was, or is, to start.
  starts_at  INTEGER
);
CREATE INDEX places_in_group ON places (workflow, grp, state) WHERE grp IS NOT NULL;
CREATE INDEX places_by_rate ON places (workflow, rate_grp, starts_at) WHERE rate_grp IS NOT NULL;

-- What was applied last in a group with stale, for good: one row a group.
CREATE TABLE newest (
  workflow TEXT NOT NULL,
  grp      TEXT NOT NULL,
  value    NUMERIC NOT NULL,
  run_id   INTEGER NOT NULL,
  PRIMARY KEY (workflow, grp)
) WITHOUT ROWID;

-- Endpoints that answered 410 Gone: nothing is sent to them until a person says so.
-- key is a digest of the URL, which may hold a secret.
CREATE TABLE paused (
  key      TEXT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  run      TEXT NOT NULL,
  at       INTEGER NOT NULL
) WITHOUT ROWID;

-- The steps that wait for their destination, which a start lets go on at once.
CREATE INDEX steps_by_destination ON steps (run_id) WHERE status = 'waiting' AND output ->> '$.destination' IS NOT NULL;

-- The replays of a run: a dead letter that was replayed is none any more.
CREATE INDEX runs_by_repeats ON runs (repeats) WHERE repeats IS NOT NULL;
