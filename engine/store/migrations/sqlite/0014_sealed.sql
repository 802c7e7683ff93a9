-- What is shown as *** and a run still needs stands here encrypted. Its key is not
-- in the database.
ALTER TABLE events ADD COLUMN sealed BLOB;
ALTER TABLE steps ADD COLUMN sealed BLOB;
ALTER TABLE runs ADD COLUMN sealed BLOB;
