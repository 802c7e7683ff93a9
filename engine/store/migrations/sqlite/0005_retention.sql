-- An event whose body, headers and inputs were pruned (history: bodies). What it
-- was, and what came of it, stays.
ALTER TABLE events ADD COLUMN stripped INTEGER NOT NULL DEFAULT 0;

-- The runs of one workflow among those of all.
CREATE INDEX runs_by_workflow ON runs (workflow, id);
