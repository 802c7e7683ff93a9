-- What several nodes must agree on before they decide about events: seq changes when a workflow is
-- switched on or off, and when a version is loaded whose runs wait for events or are ended by them
-- (rules). A node whose decisions rely on an earlier seq is told to read again.
CREATE TABLE hookloom.deciding (one BIGINT PRIMARY KEY CHECK (one = 1), seq BIGINT NOT NULL);
INSERT INTO hookloom.deciding (one, seq) VALUES (1, 1);
CREATE TABLE hookloom.shared_rules (version TEXT COLLATE "C" PRIMARY KEY, workflow TEXT COLLATE "C" NOT NULL);

-- Orders to other nodes: to end a run that one of them executes (node is NULL), or to forget what it keeps
-- in memory about a destination or a connection.
CREATE TABLE hookloom.orders_to_nodes (
  rowid   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node    BIGINT,
  run_id  BIGINT,
  kind    TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  why     TEXT
);

-- Events of a lane are decided in order of arrival: while one waits at a node, later ones go there too.
ALTER TABLE hookloom.inbox ADD COLUMN lane TEXT COLLATE "C";
CREATE INDEX inbox_by_lane ON hookloom.inbox (lane, rowid) WHERE lane IS NOT NULL;
