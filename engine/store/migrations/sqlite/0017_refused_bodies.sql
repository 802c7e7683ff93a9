-- A refused body of which history.redact masks fields stands here whole, encrypted, so
-- that it can be judged again. Its key is not in the database.
ALTER TABLE quarantine ADD COLUMN sealed BLOB;
