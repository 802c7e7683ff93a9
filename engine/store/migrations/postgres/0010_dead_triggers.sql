-- Programs of schema 5 and later can use the database after this migration.

-- The trigger and the type of the event whose run failed, so that dead letters by cause are filtered by them without
-- reading the run and the event of each. They are NULL in rows of the program before, until pruning writes them.
ALTER TABLE hookloom.dead_causes ADD COLUMN trigger TEXT COLLATE "C", ADD COLUMN type TEXT COLLATE "C";
