-- Warnings about what a step sent, such as a text with a hole. Most runs have none.
CREATE TABLE step_notes (
  run_id INTEGER NOT NULL,
  path   TEXT NOT NULL,
  note   TEXT NOT NULL,
  PRIMARY KEY (run_id, path, note)
) WITHOUT ROWID;

-- The cron or interval that a poll was asked by last; '' where that was not noted.
ALTER TABLE inlets ADD COLUMN timetable TEXT NOT NULL DEFAULT '';
