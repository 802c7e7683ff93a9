-- Events whose body could not be read, of which there are few among many.
CREATE INDEX events_unreadable ON events (id) WHERE substr(flag, 1, 17) = 'body not readable';

-- body is JSON text in every row: JSON as it came, other text as a JSON string, and
-- bytes that are no text in hexadecimal. Of bytes that SQL cannot tell from text, those
-- of an event whose body could not be read count as none.
DROP VIEW events_view;
CREATE VIEW events_view AS
SELECT printf('evt_%016x', id) AS id, trigger, inlet, key, type,
       strftime('%Y-%m-%dT%H:%M:%S', received_at / 1000, 'unixepoch') || printf('.%03dZ', received_at % 1000) AS received_at,
       (SELECT count(*) FROM sightings s WHERE s.event_id = e.id) AS duplicates,
       CASE WHEN inputs IS NOT NULL THEN inputs
            WHEN body IS NULL THEN NULL
            WHEN json_valid(CAST(body AS TEXT)) AND instr(body, x'00') = 0 THEN CAST(body AS TEXT)
            WHEN instr(body, x'00') > 0 OR substr(flag, 1, 17) = 'body not readable' THEN json_object('hex', hex(body))
            ELSE json_quote(CAST(body AS TEXT)) END AS body
FROM events e;
