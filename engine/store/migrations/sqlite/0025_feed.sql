-- What changed, in the order of the commits: one row a commit that decided events or
-- changed the status of runs. seq is the position of its last change; its n changes have
-- the n positions up to it. A position holds the moment of its commit, as an id does.
-- total is how many bytes the feed has had up to this row: the oldest rows are deleted by
-- it. changes is encoded (feed.go).
CREATE TABLE feed (
  seq     INTEGER PRIMARY KEY,
  total   INTEGER NOT NULL,
  changes BLOB NOT NULL
);

-- From here on everything is in the feed.
INSERT INTO feed (seq, total, changes) VALUES ((CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER) - 1577836800000) << 21, 0, x'');
