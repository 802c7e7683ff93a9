-- A body that is not UTF-8 is marked when it is stored, because SQL cannot tell: as text it would be
-- invalid, and clients such as Python's refuse to read it. The view shows it in hexadecimal. Of the
-- events before, those whose body has a zero byte or could not be read are still known by that.
ALTER TABLE events ADD COLUMN not_utf8 INTEGER;
DROP VIEW events_view;
CREATE VIEW events_view AS
SELECT printf('evt_%016x', id) AS id, trigger, inlet, key, type,
       strftime('%Y-%m-%dT%H:%M:%S', received_at / 1000, 'unixepoch') || printf('.%03dZ', received_at % 1000) AS received_at,
       (SELECT count(*) FROM sightings s WHERE s.event_id = e.id) AS duplicates,
       CASE WHEN inputs IS NOT NULL THEN inputs
            WHEN body IS NULL THEN NULL
            WHEN not_utf8 = 1 THEN json_object('hex', hex(body))
            WHEN json_valid(CAST(body AS TEXT)) AND instr(body, x'00') = 0 THEN CAST(body AS TEXT)
            WHEN instr(body, x'00') > 0 OR substr(flag, 1, 17) = 'body not readable' THEN json_object('hex', hex(body))
            ELSE json_quote(CAST(body AS TEXT)) END AS body
FROM events e;
