-- Several nodes serve the database. A transaction that writes begins by locking the row of turn, so
-- that the transactions of all nodes run one after another, as those of one process do: what one of
-- them reads is what was committed before it. epoch is the node that wrote last.
CREATE TABLE hookloom.turn (one BIGINT PRIMARY KEY CHECK (one = 1), epoch BIGINT NOT NULL);
INSERT INTO hookloom.turn (one, epoch) VALUES (1, 0);

-- A process of an earlier build has no turn: without its row it writes nothing more.
DELETE FROM hookloom.nodes;
ALTER TABLE hookloom.nodes DROP COLUMN until,
  ADD COLUMN name    TEXT COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN version TEXT COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN digest  TEXT COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN problem TEXT COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN since   BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN drain   BOOLEAN NOT NULL DEFAULT FALSE,
  -- The node has ended, or did not extend its lease. Its number is free when its work was taken over.
  ADD COLUMN gone    BOOLEAN NOT NULL DEFAULT FALSE;

-- The ends of the nodes' leases, by the database's clock. They are not in nodes because a transaction
-- that writes holds its node's row there until it ends.
CREATE TABLE hookloom.beats (
  node  BIGINT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  until BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Work that only one node does. A lease ends with its node.
CREATE TABLE hookloom.leases (
  name  TEXT COLLATE "C" PRIMARY KEY,
  node  BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  at    BIGINT NOT NULL
);

-- The node that executes a run or decides an event. Another one takes over what belongs to no node.
ALTER TABLE hookloom.runs ADD COLUMN owner_node BIGINT;
ALTER TABLE hookloom.inbox ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY, ADD COLUMN owner_node BIGINT;
CREATE INDEX inbox_by_node ON hookloom.inbox (owner_node, rowid);

-- Ids of several nodes are not in the order of arrival: rowid is.
ALTER TABLE hookloom.places ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY;
