-- Programs of schema 5 and later can use the database after this migration.

-- The number of events and runs of each past hour, so that charts of a long history need not count its rows.
-- kind is event, webhook (events that came by webhook) or run; name is the trigger or the workflow, empty for
-- all of them. hour is the number of hours since 2020, as in ids. An hour has been counted if it has a row of
-- kind event without a name. On PostgreSQL a row of kind node has the epoch of the node that counted in n.
CREATE TABLE hookloom.hour_counts (
  kind TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  hour BIGINT NOT NULL,
  n    BIGINT NOT NULL,
  PRIMARY KEY (kind, name, hour)
);
CREATE INDEX hour_counts_by_hour ON hookloom.hour_counts (hour);
