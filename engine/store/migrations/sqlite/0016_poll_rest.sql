-- What a poll remembers beside its cursor: where it stopped in a list that goes on,
-- as JSON. NULL when there is nothing.
ALTER TABLE inlets ADD COLUMN rest TEXT;
