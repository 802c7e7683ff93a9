-- The project's files as they were when they last loaded without a mistake: a
-- start with a broken file goes on with its last good text.
CREATE TABLE project_files (
  file TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  at   INTEGER NOT NULL
) WITHOUT ROWID;
