-- SQLite builds a temporary table for each IN list of three or more each time a
-- row is checked against it; a chain of OR is compared in place. The rules stay
-- the same, so the rows need no second look (sqlite.org/lang_altertable.html,
-- "Making Other Kinds Of Table Schema Changes").
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'inlet IN (''webhook'', ''poll'', ''schedule'', ''manual'', ''call'', ''workflow_run'')',
  'inlet = ''webhook'' OR inlet = ''poll'' OR inlet = ''schedule'' OR inlet = ''manual'' OR inlet = ''call'' OR inlet = ''workflow_run''')
  WHERE type = 'table' AND name = 'events';
UPDATE sqlite_schema SET sql = replace(sql, 'outcome IN (''matched'', ''filtered'', ''skipped'', ''rule_failed'', ''dropped'')',
  'outcome = ''matched'' OR outcome = ''skipped'' OR outcome = ''filtered'' OR outcome = ''rule_failed'' OR outcome = ''dropped''')
  WHERE type = 'table' AND name = 'decisions';
UPDATE sqlite_schema SET sql = replace(replace(replace(sql,
  'status IN (''queued'', ''running'', ''waiting'', ''succeeded'', ''failed'', ''cancelled'', ''timed_out'')',
  'status = ''running'' OR status = ''succeeded'' OR status = ''queued'' OR status = ''waiting'' OR status = ''failed'' OR status = ''cancelled'' OR status = ''timed_out'''),
  'status IN (''succeeded'', ''failed'', ''cancelled'', ''timed_out'')',
  'status = ''succeeded'' OR status = ''failed'' OR status = ''cancelled'' OR status = ''timed_out'''),
  'status IN (''queued'', ''waiting'')',
  'status = ''queued'' OR status = ''waiting''')
  WHERE type = 'table' AND name = 'runs';
UPDATE sqlite_schema SET sql = replace(replace(sql,
  'status IN (''running'', ''waiting'', ''succeeded'', ''failed'', ''skipped'', ''unknown'')',
  'status = ''succeeded'' OR status = ''running'' OR status = ''waiting'' OR status = ''failed'' OR status = ''skipped'' OR status = ''unknown'''),
  'status IN (''running'', ''waiting'')',
  'status = ''running'' OR status = ''waiting''')
  WHERE type = 'table' AND name = 'steps';
PRAGMA writable_schema = RESET;

-- An index of a part of a table serves only questions that repeat its condition,
-- and status = 'failed' repeats a member of an OR, not one of an IN list.
DROP INDEX runs_not_well;
CREATE INDEX runs_not_well ON runs (id, status) WHERE status = 'failed' OR status = 'timed_out' OR status = 'cancelled';
