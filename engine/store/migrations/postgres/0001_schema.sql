-- The schema of the SQLite store as of its migration 0030, in types of PostgreSQL. Times are Unix
-- milliseconds, UTC. Ids are time-ordered 64-bit integers; the views show them as evt_ and run_ with
-- 16 hex digits. Texts sort by their bytes, as in SQLite. JSON is text exactly as it came: jsonb would
-- change it, and refuses \u0000.
--
-- Portable: no trigger, no advisory lock, no ctid. rowid numbers the rows of a table in the order in
-- which they were added.

CREATE TABLE hookloom.meta (name TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL);

-- The nodes that use the database. Each transaction of a node writes the number of its batch into the
-- node's row, with the epoch as the condition: a node that has lost its row writes nothing, and whether
-- a commit whose answer was lost took place is read from the row.
CREATE TABLE hookloom.nodes (
  node  BIGINT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  batch BIGINT NOT NULL DEFAULT 0,
  -- The end of the lease, by the database's clock.
  until BIGINT NOT NULL,
  host  TEXT NOT NULL DEFAULT '',
  pid   BIGINT NOT NULL DEFAULT 0,
  verb  TEXT NOT NULL DEFAULT '',
  hooks TEXT NOT NULL DEFAULT '',
  admin TEXT NOT NULL DEFAULT ''
);

CREATE TABLE hookloom.events (
  id          BIGINT PRIMARY KEY,
  trigger     TEXT COLLATE "C" NOT NULL CHECK (trigger <> ''),
  inlet       TEXT COLLATE "C" NOT NULL CHECK (inlet <> ''),
  key         TEXT COLLATE "C" NOT NULL CHECK (key <> ''),
  flag        TEXT COLLATE "C" NOT NULL DEFAULT '',
  type        TEXT COLLATE "C" NOT NULL,
  time        BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  method      TEXT COLLATE "C" NOT NULL DEFAULT '',
  path        TEXT COLLATE "C" NOT NULL DEFAULT '',
  headers     TEXT COLLATE "C" NOT NULL DEFAULT '{}',
  query       TEXT COLLATE "C" NOT NULL DEFAULT '{}',
  data_expr   TEXT COLLATE "C" NOT NULL DEFAULT '',
  inputs      TEXT COLLATE "C",
  only_one    TEXT COLLATE "C" NOT NULL DEFAULT '',
  body        BYTEA,
  crc         BIGINT NOT NULL,
  stripped    BIGINT NOT NULL DEFAULT 0,
  recovered   BIGINT NOT NULL DEFAULT 0,
  identity    BIGINT NOT NULL DEFAULT 0,
  same_body   BIGINT,
  content_sum BIGINT,
  sealed      BYTEA,
  proof       TEXT COLLATE "C"
);
CREATE INDEX events_by_trigger ON hookloom.events (trigger, id);
CREATE INDEX events_unreadable ON hookloom.events (id) WHERE substr(flag, 1, 17) = 'body not readable';
CREATE INDEX events_by_content ON hookloom.events (id) WHERE identity = 4;
CREATE INDEX events_same_body ON hookloom.events (id) WHERE same_body IS NOT NULL;

CREATE TABLE hookloom.keys (
  trigger  TEXT COLLATE "C" NOT NULL,
  key      TEXT COLLATE "C" NOT NULL CHECK (key <> ''),
  event_id BIGINT NOT NULL,
  seen_at  BIGINT NOT NULL,
  PRIMARY KEY (trigger, key)
);

CREATE TABLE hookloom.sightings (
  rowid    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id BIGINT NOT NULL,
  at       BIGINT NOT NULL,
  inlet    TEXT COLLATE "C" NOT NULL,
  same     BIGINT NOT NULL CHECK (same IN (0, 1)),
  diff     TEXT COLLATE "C"
);
CREATE INDEX sightings_by_event ON hookloom.sightings (event_id);

CREATE TABLE hookloom.inbox (event_id BIGINT PRIMARY KEY);

CREATE TABLE hookloom.decisions (
  event_id BIGINT NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  version  TEXT COLLATE "C" NOT NULL,
  outcome  TEXT COLLATE "C" NOT NULL CHECK (outcome IN ('matched', 'filtered', 'skipped', 'rule_failed', 'dropped', 'disabled', 'held',
    'folded')),
  reason   TEXT COLLATE "C" NOT NULL DEFAULT '',
  trace    TEXT COLLATE "C" NOT NULL DEFAULT '[]',
  run_id   BIGINT,
  at       BIGINT NOT NULL,
  PRIMARY KEY (event_id, workflow),
  CHECK ((outcome = 'matched' OR outcome = 'folded') = (run_id IS NOT NULL))
);
CREATE INDEX decisions_failed ON hookloom.decisions (event_id, workflow) WHERE outcome = 'rule_failed';
CREATE INDEX decisions_missed ON hookloom.decisions (workflow, outcome, event_id) WHERE outcome = 'disabled' OR outcome = 'held';

CREATE TABLE hookloom.decision_history (
  rowid    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id BIGINT NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  version  TEXT COLLATE "C" NOT NULL,
  outcome  TEXT COLLATE "C" NOT NULL,
  reason   TEXT COLLATE "C" NOT NULL,
  trace    TEXT COLLATE "C" NOT NULL,
  run_id   BIGINT,
  at       BIGINT NOT NULL
);
CREATE INDEX decision_history_by_event ON hookloom.decision_history (event_id, workflow);

CREATE TABLE hookloom.versions (
  version  TEXT COLLATE "C" PRIMARY KEY,
  workflow TEXT COLLATE "C" NOT NULL,
  text     TEXT COLLATE "C" NOT NULL,
  first_at BIGINT NOT NULL
);

CREATE TABLE hookloom.version_uses (
  version TEXT COLLATE "C" NOT NULL,
  from_id BIGINT NOT NULL,
  uses    TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (version, from_id)
);

CREATE TABLE hookloom.runs (
  id          BIGINT PRIMARY KEY,
  event_id    BIGINT NOT NULL,
  workflow    TEXT COLLATE "C" NOT NULL,
  version     TEXT COLLATE "C" NOT NULL,
  status      TEXT COLLATE "C" NOT NULL CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'timed_out')),
  repeats     BIGINT,
  replayed_by TEXT COLLATE "C" NOT NULL DEFAULT '',
  created_at  BIGINT NOT NULL,
  started_at  BIGINT,
  finished_at BIGINT,
  due_at      BIGINT,
  active_ms   BIGINT NOT NULL DEFAULT 0,
  boots       BIGINT NOT NULL DEFAULT 0,
  output      TEXT COLLATE "C",
  error       TEXT COLLATE "C",
  text        TEXT COLLATE "C" NOT NULL DEFAULT '',
  continues   BIGINT,
  ending      TEXT COLLATE "C",
  sealed      BYTEA,
  CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled', 'timed_out'))),
  CHECK (due_at IS NULL OR status IN ('queued', 'waiting'))
) WITH (fillfactor = 85);
CREATE INDEX runs_due ON hookloom.runs (due_at, id) WHERE status = 'queued' OR status = 'waiting';
CREATE INDEX runs_at_work ON hookloom.runs (id) WHERE status = 'running';
CREATE INDEX runs_not_well ON hookloom.runs (id, status) WHERE status = 'failed' OR status = 'timed_out' OR status = 'cancelled';
CREATE INDEX runs_by_event ON hookloom.runs (event_id);
CREATE INDEX runs_by_repeats ON hookloom.runs (repeats) WHERE repeats IS NOT NULL;
CREATE INDEX runs_by_workflow ON hookloom.runs (workflow, id);
CREATE INDEX runs_ended_late ON hookloom.runs (finished_at) WHERE finished_at - created_at > 2000;

CREATE TABLE hookloom.steps (
  rowid       BIGINT GENERATED ALWAYS AS IDENTITY,
  run_id      BIGINT NOT NULL,
  path        TEXT COLLATE "C" NOT NULL,
  attempt     BIGINT NOT NULL CHECK (attempt >= 1),
  action      TEXT COLLATE "C" NOT NULL,
  status      TEXT COLLATE "C" NOT NULL CHECK (status IN ('running', 'waiting', 'succeeded', 'failed', 'skipped', 'unknown')),
  started_at  BIGINT NOT NULL,
  finished_at BIGINT,
  input       TEXT COLLATE "C",
  output      TEXT COLLATE "C",
  error       TEXT COLLATE "C",
  sealed      BYTEA,
  destination TEXT COLLATE "C",
  waited_ms   BIGINT,
  PRIMARY KEY (run_id, path, attempt),
  CHECK ((finished_at IS NULL) = (status IN ('running', 'waiting')))
) WITH (fillfactor = 85);
CREATE INDEX steps_failed_at ON hookloom.steps (destination, run_id) WHERE status = 'failed' AND destination IS NOT NULL;
CREATE INDEX steps_by_rowid ON hookloom.steps (rowid);

CREATE TABLE hookloom.step_notes (
  run_id BIGINT NOT NULL,
  path   TEXT COLLATE "C" NOT NULL,
  note   TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (run_id, path, note)
);

CREATE TABLE hookloom.quarantine (
  id        BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at        BIGINT NOT NULL,
  trigger   TEXT COLLATE "C" NOT NULL,
  reason    TEXT COLLATE "C" NOT NULL,
  detail    TEXT COLLATE "C" NOT NULL DEFAULT '',
  remote    TEXT COLLATE "C" NOT NULL DEFAULT '',
  method    TEXT COLLATE "C" NOT NULL DEFAULT '',
  path      TEXT COLLATE "C" NOT NULL DEFAULT '',
  headers   TEXT COLLATE "C" NOT NULL DEFAULT '{}',
  size      BIGINT NOT NULL,
  body      BYTEA,
  url       TEXT COLLATE "C" NOT NULL DEFAULT '',
  diagnosis TEXT COLLATE "C" NOT NULL DEFAULT '',
  event_id  BIGINT,
  sealed    BYTEA
);
CREATE INDEX quarantine_by_trigger ON hookloom.quarantine (trigger, id);

CREATE TABLE hookloom.secret_uses (
  trigger  TEXT COLLATE "C" NOT NULL,
  secret   TEXT COLLATE "C" NOT NULL,
  count    BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at  BIGINT NOT NULL,
  PRIMARY KEY (trigger, secret)
);

CREATE TABLE hookloom.answers (
  run_id  BIGINT NOT NULL,
  path    TEXT COLLATE "C" NOT NULL,
  attempt BIGINT NOT NULL,
  verdict TEXT COLLATE "C" NOT NULL CHECK (verdict IN ('approve', 'reject', 'resend', 'done', 'fail')),
  said_by TEXT COLLATE "C" NOT NULL,
  comment TEXT COLLATE "C" NOT NULL,
  output  TEXT COLLATE "C",
  at      BIGINT NOT NULL,
  proof   TEXT COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (run_id, path, attempt)
);

CREATE TABLE hookloom.waits (
  run_id   BIGINT NOT NULL,
  path     TEXT COLLATE "C" NOT NULL,
  number   BIGINT NOT NULL,
  kind     TEXT COLLATE "C" NOT NULL CHECK (kind IN ('approval', 'event', 'call', 'sleep', 'destination')),
  is_any   BOOLEAN NOT NULL DEFAULT FALSE,
  trigger  TEXT COLLATE "C",
  key      TEXT COLLATE "C",
  since    BIGINT,
  event_id BIGINT,
  workflow TEXT COLLATE "C",
  ending   TEXT COLLATE "C",
  text     TEXT COLLATE "C" NOT NULL DEFAULT '',
  by       TEXT COLLATE "C",
  until    BIGINT,
  fixed    BOOLEAN NOT NULL DEFAULT FALSE,
  sealed   BYTEA,
  PRIMARY KEY (run_id, path, number)
);
CREATE INDEX waits_by_event ON hookloom.waits (trigger, key) WHERE trigger IS NOT NULL;
CREATE INDEX waits_by_call ON hookloom.waits (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX waits_by_kind ON hookloom.waits (kind) WHERE kind = 'approval' OR kind = 'destination';
CREATE INDEX waits_sealed ON hookloom.waits (trigger) WHERE trigger IS NOT NULL AND sealed IS NOT NULL;

CREATE TABLE hookloom.ended_waits (
  event_id BIGINT NOT NULL,
  run_id   BIGINT NOT NULL,
  path     TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (event_id, run_id, path)
);
CREATE INDEX ended_waits_by_run ON hookloom.ended_waits (run_id);

CREATE TABLE hookloom.end_calls (
  event TEXT COLLATE "C" PRIMARY KEY,
  why   TEXT COLLATE "C" NOT NULL,
  at    BIGINT NOT NULL
);

CREATE TABLE hookloom.places (
  run_id     BIGINT PRIMARY KEY,
  workflow   TEXT COLLATE "C" NOT NULL,
  grp        TEXT COLLATE "C",
  state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('waits', 'has', 'replaced', 'left')),
  max_runs   BIGINT NOT NULL,
  stale      NUMERIC,
  rate_grp   TEXT COLLATE "C",
  rate_limit BIGINT NOT NULL,
  rate_per   BIGINT NOT NULL,
  starts_at  BIGINT,
  started    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX places_in_group ON hookloom.places (workflow, grp, state) WHERE grp IS NOT NULL;
CREATE INDEX places_by_rate ON hookloom.places (workflow, rate_grp, starts_at) WHERE rate_grp IS NOT NULL;
CREATE INDEX places_started ON hookloom.places (workflow, rate_grp, starts_at) WHERE started = 1 AND rate_grp IS NOT NULL;
CREATE INDEX places_planned ON hookloom.places (workflow, rate_grp, starts_at) WHERE started = 0 AND rate_grp IS NOT NULL;

CREATE TABLE hookloom.newest (
  workflow TEXT COLLATE "C" NOT NULL,
  grp      TEXT COLLATE "C" NOT NULL,
  value    NUMERIC NOT NULL,
  run_id   BIGINT NOT NULL,
  PRIMARY KEY (workflow, grp)
);

CREATE TABLE hookloom.paused (
  key      TEXT COLLATE "C" PRIMARY KEY,
  endpoint TEXT COLLATE "C" NOT NULL,
  run      TEXT COLLATE "C" NOT NULL,
  at       BIGINT NOT NULL
);

CREATE TABLE hookloom.inlets (
  trigger   TEXT COLLATE "C" NOT NULL,
  inlet     TEXT COLLATE "C" NOT NULL,
  cursor    TEXT COLLATE "C",
  etag      TEXT COLLATE "C" NOT NULL DEFAULT '',
  modified  TEXT COLLATE "C" NOT NULL DEFAULT '',
  asked_at  BIGINT NOT NULL,
  ok_at     BIGINT,
  failures  BIGINT NOT NULL DEFAULT 0,
  error     TEXT COLLATE "C" NOT NULL DEFAULT '',
  retry_at  BIGINT,
  rest      TEXT COLLATE "C",
  timetable TEXT COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (trigger, inlet)
);

CREATE TABLE hookloom.remembered (
  trigger TEXT COLLATE "C" NOT NULL,
  key     TEXT COLLATE "C" NOT NULL,
  at      BIGINT NOT NULL,
  PRIMARY KEY (trigger, key)
);

CREATE TABLE hookloom.observed (
  trigger TEXT COLLATE "C" NOT NULL,
  key     TEXT COLLATE "C" NOT NULL,
  at      BIGINT NOT NULL,
  PRIMARY KEY (trigger, key)
);

CREATE TABLE hookloom.poll_log (
  rowid    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  trigger  TEXT COLLATE "C" NOT NULL,
  at       BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  bytes    BIGINT NOT NULL,
  items    BIGINT NOT NULL,
  fresh    BIGINT NOT NULL,
  outcome  TEXT COLLATE "C" NOT NULL,
  took_ms  BIGINT NOT NULL,
  quota    TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX poll_log_by_trigger ON hookloom.poll_log (trigger, at);

CREATE TABLE hookloom.audit (
  id     BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at     BIGINT NOT NULL,
  who    TEXT COLLATE "C" NOT NULL,
  role   TEXT COLLATE "C" NOT NULL,
  remote TEXT COLLATE "C" NOT NULL,
  action TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  status BIGINT NOT NULL,
  proof  TEXT COLLATE "C" NOT NULL DEFAULT '',
  detail TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE hookloom.ended_sessions (
  id    TEXT COLLATE "C" PRIMARY KEY,
  until BIGINT NOT NULL
);

CREATE TABLE hookloom.switched_off (
  workflow TEXT COLLATE "C" PRIMARY KEY,
  by       TEXT COLLATE "C" NOT NULL,
  at       BIGINT NOT NULL,
  hold     BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE hookloom.held_runs (
  run_id   BIGINT PRIMARY KEY,
  workflow TEXT COLLATE "C" NOT NULL,
  due_at   BIGINT NOT NULL
);

CREATE TABLE hookloom.project_files (
  file TEXT COLLATE "C" PRIMARY KEY,
  text TEXT COLLATE "C" NOT NULL,
  at   BIGINT NOT NULL
);

CREATE TABLE hookloom.batches (
  id          BIGINT PRIMARY KEY,
  at          BIGINT NOT NULL,
  by          TEXT COLLATE "C" NOT NULL,
  state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
  reason      TEXT COLLATE "C" NOT NULL DEFAULT '',
  filter      TEXT COLLATE "C" NOT NULL,
  rate        BIGINT NOT NULL,
  cursor      BIGINT NOT NULL,
  until_id    BIGINT NOT NULL,
  total       BIGINT NOT NULL,
  looked      BIGINT NOT NULL DEFAULT 0,
  runs        BIGINT NOT NULL DEFAULT 0,
  not_matched BIGINT NOT NULL DEFAULT 0,
  failed      BIGINT NOT NULL DEFAULT 0,
  known       BIGINT NOT NULL DEFAULT 0,
  finished_at BIGINT,
  CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'cancelled')))
);

CREATE TABLE hookloom.orders (
  key    TEXT COLLATE "C" PRIMARY KEY,
  digest BYTEA NOT NULL,
  status BIGINT NOT NULL,
  answer BYTEA,
  at     BIGINT NOT NULL
);
CREATE INDEX orders_by_time ON hookloom.orders (at);

CREATE TABLE hookloom.alerts (
  kind      TEXT COLLATE "C" NOT NULL,
  subject   TEXT COLLATE "C" NOT NULL,
  trigger   TEXT COLLATE "C" NOT NULL,
  message   TEXT COLLATE "C" NOT NULL,
  opened_at BIGINT NOT NULL,
  PRIMARY KEY (kind, subject)
);

CREATE TABLE hookloom.claims (
  trigger    TEXT COLLATE "C" NOT NULL,
  digest     BYTEA NOT NULL,
  event_id   BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (trigger, digest)
);

CREATE TABLE hookloom.conflicts (
  id        BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  event_id  BIGINT NOT NULL,
  digest    BYTEA NOT NULL,
  at        BIGINT NOT NULL,
  count     BIGINT NOT NULL DEFAULT 1,
  trigger   TEXT COLLATE "C" NOT NULL,
  key       TEXT COLLATE "C" NOT NULL,
  type      TEXT COLLATE "C" NOT NULL,
  time      BIGINT NOT NULL,
  method    TEXT COLLATE "C" NOT NULL,
  path      TEXT COLLATE "C" NOT NULL,
  headers   TEXT COLLATE "C" NOT NULL,
  query     TEXT COLLATE "C" NOT NULL,
  data_expr TEXT COLLATE "C" NOT NULL,
  size      BIGINT NOT NULL,
  body      BYTEA,
  admitted  BIGINT,
  UNIQUE (event_id, digest)
);
CREATE INDEX conflicts_by_trigger ON hookloom.conflicts (trigger, id);

CREATE TABLE hookloom.kept_values (
  workflow   TEXT COLLATE "C" NOT NULL,
  key        TEXT COLLATE "C" NOT NULL,
  value      TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT,
  updated_at BIGINT NOT NULL,
  updated_by TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (workflow, key)
);
CREATE INDEX kept_values_expiring ON hookloom.kept_values (expires_at) WHERE expires_at IS NOT NULL;
CREATE VIEW hookloom.kept_size AS
SELECT count(*) AS keys, coalesce(sum(octet_length(key) + octet_length(value)), 0)::bigint AS bytes FROM hookloom.kept_values;

CREATE TABLE hookloom.kept_writes (
  op     TEXT COLLATE "C" PRIMARY KEY,
  run_id BIGINT NOT NULL,
  result TEXT COLLATE "C" NOT NULL
);
CREATE INDEX kept_writes_run ON hookloom.kept_writes (run_id);

CREATE TABLE hookloom.emitted (
  op        TEXT COLLATE "C" PRIMARY KEY,
  event_id  BIGINT NOT NULL,
  run_id    BIGINT NOT NULL,
  path      TEXT COLLATE "C" NOT NULL,
  duplicate BOOLEAN NOT NULL
);
CREATE INDEX emitted_event ON hookloom.emitted (event_id);
CREATE INDEX emitted_run ON hookloom.emitted (run_id);

CREATE TABLE hookloom.kept_keys (
  run_id  BIGINT NOT NULL,
  path    TEXT COLLATE "C" NOT NULL,
  key_run BIGINT NOT NULL,
  began   BIGINT NOT NULL,
  PRIMARY KEY (run_id, path)
);

CREATE TABLE hookloom.gatherings (
  run_id   BIGINT PRIMARY KEY,
  workflow TEXT COLLATE "C" NOT NULL,
  kind     TEXT COLLATE "C" NOT NULL CHECK (kind IN ('debounce', 'batch')),
  key      TEXT COLLATE "C" NOT NULL,
  open     BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  due_at   BIGINT NOT NULL,
  events   BIGINT NOT NULL,
  bytes    BIGINT NOT NULL
);
CREATE UNIQUE INDEX gatherings_open ON hookloom.gatherings (workflow, key) WHERE open = 1;
CREATE INDEX gatherings_due ON hookloom.gatherings (due_at);

CREATE TABLE hookloom.run_events (
  run_id   BIGINT NOT NULL,
  event_id BIGINT NOT NULL,
  size     BIGINT NOT NULL,
  PRIMARY KEY (run_id, event_id)
);
CREATE INDEX run_events_by_event ON hookloom.run_events (event_id);

CREATE TABLE hookloom.cancel_keys (
  run_id   BIGINT NOT NULL,
  trigger  TEXT COLLATE "C" NOT NULL,
  rule     TEXT COLLATE "C" NOT NULL,
  key      TEXT COLLATE "C" NOT NULL,
  by_event BIGINT,
  PRIMARY KEY (run_id, rule)
);
CREATE INDEX cancel_keys_by_key ON hookloom.cancel_keys (trigger, rule, key);

CREATE TABLE hookloom.feed (
  seq     BIGINT PRIMARY KEY,
  total   BIGINT NOT NULL,
  changes BYTEA NOT NULL
);
INSERT INTO hookloom.feed (seq, total, changes)
VALUES (((extract(epoch FROM now()) * 1000)::bigint - 1577836800000) << 21, 0, ''::bytea);

CREATE TABLE hookloom.tokens (
  connection    TEXT COLLATE "C" PRIMARY KEY,
  sealed        BYTEA,
  version       BIGINT NOT NULL DEFAULT 0,
  account       TEXT COLLATE "C" NOT NULL DEFAULT '',
  scopes        TEXT COLLATE "C" NOT NULL DEFAULT '[]',
  config        TEXT COLLATE "C" NOT NULL DEFAULT '',
  expires_at    BIGINT,
  obtained_at   BIGINT,
  used_at       BIGINT,
  error         TEXT COLLATE "C" NOT NULL DEFAULT '',
  error_at      BIGINT,
  held          TEXT COLLATE "C" NOT NULL DEFAULT '',
  held_at       BIGINT,
  owner         TEXT COLLATE "C" NOT NULL DEFAULT '',
  claimed_until BIGINT NOT NULL DEFAULT 0
);

-- The functions that queries of the store use beyond those of PostgreSQL.

-- hex_id is the text of an id after its prefix, as printf('evt_%016x', id) in SQLite.
CREATE FUNCTION hookloom.hex_id(format TEXT, id BIGINT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS
$$ SELECT replace(format, '%016x', lpad(to_hex(id), 16, '0')) $$;

-- moment is a time as RFC 3339 in UTC, with milliseconds.
CREATE FUNCTION hookloom.moment(ms BIGINT) RETURNS TEXT LANGUAGE SQL STABLE AS
$$ SELECT to_char(to_timestamp(ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
  || '.' || lpad((ms % 1000)::text, 3, '0') || 'Z' $$;

-- json_valid reports whether a text is JSON; NULL for NULL.
CREATE FUNCTION hookloom.json_valid(doc TEXT) RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF doc IS NULL THEN RETURN NULL; END IF;
  PERFORM doc::json;
  RETURN TRUE;
EXCEPTION WHEN others THEN
  RETURN FALSE;
END $$;

-- json_field is a field of an object as text; NULL where there is none, and where the text cannot be
-- read as JSON by PostgreSQL, which has no text with the character U+0000.
CREATE FUNCTION hookloom.json_field(doc TEXT, name TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF doc IS NULL THEN RETURN NULL; END IF;
  RETURN replace(doc, '\u0000', '\ufffd')::json ->> name;
EXCEPTION WHEN others THEN
  RETURN NULL;
END $$;

-- json_true is an object with a field that is true.
CREATE FUNCTION hookloom.json_true(doc TEXT, name TEXT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS
$$ SELECT jsonb_set(replace(doc, '\u0000', '\ufffd')::jsonb, ARRAY[name], 'true')::text $$;

-- moved_until is the output of a waiting step with the time in its field until moved back.
CREATE FUNCTION hookloom.moved_until(doc TEXT, ms BIGINT) RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
DECLARE until TIMESTAMPTZ := hookloom.json_field(doc, 'until')::timestamptz;
BEGIN
  IF until IS NULL THEN RETURN doc; END IF;
  RETURN jsonb_set(doc::jsonb, '{until}', to_jsonb(hookloom.moment((extract(epoch FROM until) * 1000)::bigint - ms)))::text;
EXCEPTION WHEN others THEN
  RETURN doc;
END $$;

-- body_text is a body as text; bytes that are no text are escaped.
CREATE FUNCTION hookloom.body_text(body BYTEA) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN convert_from(body, 'UTF8');
EXCEPTION WHEN others THEN
  RETURN encode(body, 'escape');
END $$;

-- json_ids and json_texts are the elements of a JSON list.
CREATE FUNCTION hookloom.json_ids(list TEXT) RETURNS TABLE (value BIGINT) LANGUAGE SQL IMMUTABLE ROWS 50 AS
$$ SELECT x::bigint FROM json_array_elements_text(list::json) AS x $$;
CREATE FUNCTION hookloom.json_texts(list TEXT) RETURNS TABLE (value TEXT) LANGUAGE SQL IMMUTABLE ROWS 50 AS
$$ SELECT x FROM json_array_elements_text(list::json) AS x $$;

CREATE VIEW hookloom.events_view AS
SELECT hookloom.hex_id('evt_%016x', id) AS id, trigger, inlet, key, type, hookloom.moment(received_at) AS received_at,
       (SELECT count(*) FROM hookloom.sightings s WHERE s.event_id = e.id) AS duplicates,
       CASE WHEN inputs IS NOT NULL THEN inputs
            WHEN body IS NULL THEN NULL
            WHEN position('\x00'::bytea IN body) > 0 OR substr(flag, 1, 17) = 'body not readable'
              THEN json_build_object('hex', upper(encode(body, 'hex')))::text
            WHEN hookloom.json_valid(hookloom.body_text(body)) THEN hookloom.body_text(body)
            ELSE to_json(hookloom.body_text(body))::text END AS body
FROM hookloom.events e;

CREATE VIEW hookloom.runs_view AS
SELECT hookloom.hex_id('run_%016x', id) AS id, workflow, version, hookloom.hex_id('evt_%016x', event_id) AS event_id, status,
       hookloom.moment(started_at) AS started_at, hookloom.moment(finished_at) AS finished_at, error
FROM hookloom.runs;

CREATE VIEW hookloom.steps_view AS
SELECT hookloom.hex_id('run_%016x', run_id) AS run_id, path, action, attempt,
       CASE WHEN status = 'failed' AND hookloom.json_field(error, 'code') = 'cancelled' THEN 'cancelled' ELSE status END AS status,
       hookloom.moment(started_at) AS started_at, hookloom.moment(finished_at) AS finished_at, input, output, error
FROM hookloom.steps;
