-- Programs of schema 3 and later can use the database after this migration.
-- A body that is not UTF-8 is marked when it is stored, as in SQLite, and shown in hexadecimal.
ALTER TABLE hookloom.events ADD COLUMN not_utf8 BIGINT;
CREATE OR REPLACE VIEW hookloom.events_view AS
SELECT hookloom.hex_id('evt_%016x', id) AS id, trigger, inlet, key, type, hookloom.moment(received_at) AS received_at,
       (SELECT count(*) FROM hookloom.sightings s WHERE s.event_id = e.id) AS duplicates,
       CASE WHEN inputs IS NOT NULL THEN inputs
            WHEN body IS NULL THEN NULL
            WHEN not_utf8 = 1 OR position('\x00'::bytea IN body) > 0 OR substr(flag, 1, 17) = 'body not readable'
              THEN '{"hex":"' || upper(encode(body, 'hex')) || '"}'
            WHEN hookloom.json_valid(hookloom.body_text(body)) THEN hookloom.body_text(body)
            ELSE to_json(hookloom.body_text(body))::text END AS body
FROM hookloom.events e;
