-- Times are Unix milliseconds, UTC. Ids are time-ordered 64-bit integers; the
-- views show them as evt_ and run_ with 16 hex digits. Bodies and JSON are bytes
-- or text exactly as they came.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
  id          INTEGER PRIMARY KEY,
  trigger     TEXT NOT NULL CHECK (trigger <> ''),
  inlet       TEXT NOT NULL CHECK (inlet IN ('webhook', 'poll', 'schedule', 'manual', 'call', 'workflow_run')),
  key         TEXT NOT NULL CHECK (key <> ''),
  flag        TEXT NOT NULL DEFAULT '',
  type        TEXT NOT NULL,
  time        INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  method      TEXT NOT NULL DEFAULT '',
  path        TEXT NOT NULL DEFAULT '',
  headers     TEXT NOT NULL DEFAULT '{}',
  query       TEXT NOT NULL DEFAULT '{}',
  data_expr   TEXT NOT NULL DEFAULT '',
  inputs      TEXT,
  only_one    TEXT NOT NULL DEFAULT '',
  body        BLOB,
  crc         INTEGER NOT NULL
);

-- One row a key: what makes two deliveries one event. It outlives the event's
-- body. Keys are kept as text, not hashed: most senders' ids rise, and rising
-- keys touch few pages of the tree where hashes would touch one each. A body
-- that counts as a second key stands here as body: and its SHA-256.
CREATE TABLE keys (
  trigger  TEXT NOT NULL,
  key      TEXT NOT NULL CHECK (key <> ''),
  event_id INTEGER NOT NULL,
  seen_at  INTEGER NOT NULL,
  PRIMARY KEY (trigger, key)
) WITHOUT ROWID;

-- Later deliveries of an event.
CREATE TABLE sightings (
  event_id INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  inlet    TEXT NOT NULL,
  same     INTEGER NOT NULL CHECK (same IN (0, 1))
);
CREATE INDEX sightings_by_event ON sightings (event_id);

-- Acknowledged and not matched yet. What stands here after a crash is matched at
-- the next start.
CREATE TABLE inbox (event_id INTEGER PRIMARY KEY);

CREATE TABLE decisions (
  event_id INTEGER NOT NULL,
  workflow TEXT NOT NULL,
  version  TEXT NOT NULL,
  outcome  TEXT NOT NULL CHECK (outcome IN ('matched', 'filtered', 'skipped', 'rule_failed', 'dropped')),
  reason   TEXT NOT NULL DEFAULT '',
  trace    TEXT NOT NULL DEFAULT '[]',
  run_id   INTEGER,
  at       INTEGER NOT NULL,
  PRIMARY KEY (event_id, workflow),
  CHECK ((outcome = 'matched') = (run_id IS NOT NULL))
) WITHOUT ROWID;

CREATE TABLE versions (
  version  TEXT PRIMARY KEY,
  workflow TEXT NOT NULL,
  text     TEXT NOT NULL,
  first_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
  id          INTEGER PRIMARY KEY,
  event_id    INTEGER NOT NULL,
  workflow    TEXT NOT NULL,
  version     TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'timed_out')),
  repeats     INTEGER,
  replayed_by TEXT NOT NULL DEFAULT '',
  created_at  INTEGER NOT NULL,
  started_at  INTEGER,
  finished_at INTEGER,
  due_at      INTEGER,
  active_ms   INTEGER NOT NULL DEFAULT 0,
  boots       INTEGER NOT NULL DEFAULT 0,
  output      TEXT,
  error       TEXT,
  text        TEXT NOT NULL DEFAULT '',
  CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled', 'timed_out'))),
  CHECK ((due_at IS NOT NULL) = (status IN ('queued', 'waiting')))
);
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_at_work ON runs (id) WHERE status = 'running';
CREATE INDEX runs_not_well ON runs (status, id) WHERE status IN ('failed', 'timed_out', 'cancelled');
CREATE INDEX runs_by_event ON runs (event_id);

CREATE TABLE steps (
  run_id      INTEGER NOT NULL,
  path        TEXT NOT NULL,
  attempt     INTEGER NOT NULL CHECK (attempt >= 1),
  action      TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('running', 'waiting', 'succeeded', 'failed', 'skipped', 'unknown')),
  started_at  INTEGER NOT NULL,
  finished_at INTEGER,
  input       TEXT,
  output      TEXT,
  error       TEXT,
  UNIQUE (run_id, path, attempt),
  CHECK ((finished_at IS NULL) = (status IN ('running', 'waiting')))
);

-- Refused deliveries: never executed, bounded in number.
CREATE TABLE quarantine (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  trigger TEXT NOT NULL,
  reason  TEXT NOT NULL,
  detail  TEXT NOT NULL DEFAULT '',
  remote  TEXT NOT NULL DEFAULT '',
  method  TEXT NOT NULL DEFAULT '',
  path    TEXT NOT NULL DEFAULT '',
  headers TEXT NOT NULL DEFAULT '{}',
  size    INTEGER NOT NULL,
  body    BLOB
);

CREATE VIEW events_view AS
SELECT printf('evt_%016x', id) AS id, trigger, inlet, key, type,
       strftime('%Y-%m-%dT%H:%M:%S', received_at / 1000, 'unixepoch') || printf('.%03dZ', received_at % 1000) AS received_at,
       (SELECT count(*) FROM sightings s WHERE s.event_id = e.id) AS duplicates,
       coalesce(inputs, CAST(body AS TEXT)) AS body
FROM events e;

CREATE VIEW runs_view AS
SELECT printf('run_%016x', id) AS id, workflow, version, printf('evt_%016x', event_id) AS event_id, status,
       strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000, 'unixepoch') || printf('.%03dZ', started_at % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000, 'unixepoch') || printf('.%03dZ', finished_at % 1000) AS finished_at,
       error
FROM runs;

CREATE VIEW steps_view AS
SELECT printf('run_%016x', run_id) AS run_id, path, action, attempt, status,
       strftime('%Y-%m-%dT%H:%M:%S', started_at / 1000, 'unixepoch') || printf('.%03dZ', started_at % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000, 'unixepoch') || printf('.%03dZ', finished_at % 1000) AS finished_at,
       input, output, error
FROM steps;
