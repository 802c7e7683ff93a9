-- The kinds of inlets are a table in Go (workflows/inletkind.go), and what is stored is
-- checked against it there: a new kind needs no change of the schema. A rule on the column
-- would have to be edited in sqlite_schema for each kind, as 0008 and 0020 did, because
-- SQLite has no ALTER TABLE that changes a CHECK (sqlite.org/lang_altertable.html).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'inlet = ''webhook'' OR inlet = ''poll'' OR inlet = ''schedule'' OR inlet = ''manual'' OR inlet = ''call'' OR inlet = ''workflow_run'' OR inlet = ''emit''',
  'inlet <> ''''') WHERE type = 'table' AND name = 'events';
PRAGMA writable_schema = RESET;
