-- A key that is masked for its run alone cannot be compared with an event's: every event of
-- the trigger makes the run look itself.
CREATE INDEX waits_sealed ON waits (trigger) WHERE trigger IS NOT NULL AND sealed IS NOT NULL;
