-- What names an event: 0 unknown, 1 the trigger's key, 2 the provider's, 3 an id
-- header, 4 its content.
ALTER TABLE events ADD COLUMN identity INTEGER NOT NULL DEFAULT 0;
-- The earlier event with the same body, where the key is not signed.
ALTER TABLE events ADD COLUMN same_body INTEGER;
-- A digest of the body without the signature that stands in it; NULL elsewhere.
ALTER TABLE events ADD COLUMN content_sum INTEGER;
CREATE INDEX events_by_content ON events (id) WHERE identity = 4;
CREATE INDEX events_same_body ON events (id) WHERE same_body IS NOT NULL;

-- Digests that name an event besides its key: of what was signed for one delivery, of
-- a content, of a body. They count until they expire.
CREATE TABLE claims (
  trigger    TEXT NOT NULL,
  digest     BLOB NOT NULL,
  event_id   INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (trigger, digest)
) WITHOUT ROWID;

-- Builds before this one took an equal body for the same event. Those rows name no
-- event any more.
DELETE FROM keys WHERE key GLOB 'body:*' AND length(key) = 37 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.id = keys.event_id AND e.key = keys.key);

-- Later deliveries of an event whose body or type differs, bounded in number and size.
CREATE TABLE conflicts (
  id        INTEGER PRIMARY KEY,
  event_id  INTEGER NOT NULL,
  digest    BLOB NOT NULL,
  at        INTEGER NOT NULL,
  count     INTEGER NOT NULL DEFAULT 1,
  trigger   TEXT NOT NULL,
  key       TEXT NOT NULL,
  type      TEXT NOT NULL,
  time      INTEGER NOT NULL,
  method    TEXT NOT NULL,
  path      TEXT NOT NULL,
  headers   TEXT NOT NULL,
  query     TEXT NOT NULL,
  data_expr TEXT NOT NULL,
  size      INTEGER NOT NULL,
  body      BLOB,
  -- The event that it became.
  admitted  INTEGER,
  UNIQUE (event_id, digest)
);
CREATE INDEX conflicts_by_trigger ON conflicts (trigger, id);
