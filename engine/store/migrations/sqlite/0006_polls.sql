-- How far each poll, and each schedule, has come. A poll's cursor moves in the
-- transaction that stores what it found.
CREATE TABLE inlets (
  trigger    TEXT NOT NULL,
  -- The inlet: poll, reconcile, or schedule and its id.
  inlet      TEXT NOT NULL,
  cursor     TEXT,
  etag       TEXT NOT NULL DEFAULT '',
  modified   TEXT NOT NULL DEFAULT '',
  -- When it was asked last, when it last answered, and how often in a row it has not
  -- since. For a schedule, asked_at is the last planned time.
  asked_at   INTEGER NOT NULL,
  ok_at      INTEGER,
  failures   INTEGER NOT NULL DEFAULT 0,
  error      TEXT NOT NULL DEFAULT '',
  -- Not before this moment is it asked again: the service said so.
  retry_at   INTEGER,
  PRIMARY KEY (trigger, inlet)
) WITHOUT ROWID;

-- What the first poll found there already: not new to later polls, and no event.
CREATE TABLE remembered (
  trigger TEXT NOT NULL,
  key     TEXT NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (trigger, key)
) WITHOUT ROWID;

-- What a poll with compare: true has seen: a measure of the webhook, no event.
CREATE TABLE observed (
  trigger TEXT NOT NULL,
  key     TEXT NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (trigger, key)
) WITHOUT ROWID;

-- What each poll cost.
CREATE TABLE poll_log (
  trigger  TEXT NOT NULL,
  at       INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  items    INTEGER NOT NULL,
  fresh    INTEGER NOT NULL,
  -- ok, unchanged (304), or failed.
  outcome  TEXT NOT NULL,
  took_ms  INTEGER NOT NULL,
  quota    TEXT NOT NULL DEFAULT ''
);
CREATE INDEX poll_log_by_trigger ON poll_log (trigger, at);

-- The events of one trigger among those of all, by time.
CREATE INDEX events_by_trigger ON events (trigger, id);

ALTER TABLE events ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0;

-- Where the data of a later delivery, by another inlet, differs from the event's: the
-- paths, with both values, as JSON.
ALTER TABLE sightings ADD COLUMN diff TEXT;
