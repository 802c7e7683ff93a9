-- The number of events and runs of each past hour, so that charts of a long history need not count its rows.
-- kind is event, webhook (events that came by webhook) or run; name is the trigger or the workflow, empty for
-- all of them. hour is the number of hours since 2020, as in ids. An hour has been counted if it has a row of
-- kind event without a name.
CREATE TABLE hour_counts (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  hour INTEGER NOT NULL,
  n    INTEGER NOT NULL,
  PRIMARY KEY (kind, name, hour)
) WITHOUT ROWID;
CREATE INDEX hour_counts_by_hour ON hour_counts (hour);
