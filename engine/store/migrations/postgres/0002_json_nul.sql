-- The character U+0000 in a field of JSON is read as the one that stands for it in stored texts
-- (postgresqltext.go), in place of the one for unknown characters. An escaped backslash before u0000 is
-- none.
CREATE OR REPLACE FUNCTION hookloom.json_field(doc TEXT, name TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF doc IS NULL THEN RETURN NULL; END IF;
  IF strpos(doc, '\u0000') > 0 THEN
    doc := regexp_replace(doc, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\udbff\\udf00', 'g');
  END IF;
  RETURN doc::json ->> name;
EXCEPTION WHEN others THEN
  RETURN NULL;
END $$;
