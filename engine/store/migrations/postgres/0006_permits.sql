-- Programs of schema 5 and later can use the database after this migration.

-- Limits that hold for all nodes together (package permit): the time of the next start that was not given to
-- a node yet, in microseconds, and how many slots each node may use and wants.
CREATE TABLE hookloom.permit_starts (name TEXT COLLATE "C" PRIMARY KEY, next_at BIGINT NOT NULL);
CREATE TABLE hookloom.permit_slots (
  name   TEXT COLLATE "C" NOT NULL,
  epoch  BIGINT NOT NULL,
  held   BIGINT NOT NULL,
  wanted BIGINT NOT NULL,
  PRIMARY KEY (name, epoch)
);
