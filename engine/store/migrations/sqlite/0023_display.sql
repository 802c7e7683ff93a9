-- What proved a delivery, such as "signature STRIPE_SECRET"; NULL for events that no
-- proof is recorded of.
ALTER TABLE events ADD COLUMN proof TEXT;

-- The host that an attempt went to, or waits for, and how much of the time from its
-- start it waited. NULL for none.
ALTER TABLE steps ADD COLUMN destination TEXT;
ALTER TABLE steps ADD COLUMN waited_ms INTEGER;

-- Failures by host. Attempts that succeed are in neither of these.
CREATE INDEX steps_failed_at ON steps (destination, run_id) WHERE status = 'failed' AND destination IS NOT NULL;
-- The steps that wait for a person.
CREATE INDEX steps_asking ON steps (run_id) WHERE status = 'waiting' AND output ->> '$.approval' IS NOT NULL;
-- Runs by their end, for readers of the stream that were cut off. A run that is over
-- within two seconds is found by its id.
CREATE INDEX runs_ended_late ON runs (finished_at) WHERE finished_at - created_at > 2000;

-- What an action was, beyond its target: the options of the order.
ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '';
