-- Programs of schema 5 and later can use the database after this migration.

-- Why a run failed, so that dead letters by cause are counted without reading the error of each and its steps.
-- A row is written in the transaction in which its run fails. Pruning writes those that are missing, because
-- the program before does not write them, and lists read the error of a run that has none.
CREATE TABLE hookloom.dead_causes (
  run_id      BIGINT PRIMARY KEY,
  workflow    TEXT COLLATE "C" NOT NULL,
  version     TEXT COLLATE "C" NOT NULL,
  step        TEXT COLLATE "C" NOT NULL,
  code        TEXT COLLATE "C" NOT NULL,
  message     TEXT COLLATE "C" NOT NULL,
  host        TEXT COLLATE "C" NOT NULL,
  finished_at BIGINT NOT NULL
);
CREATE INDEX dead_causes_by_host ON hookloom.dead_causes (host, run_id);
