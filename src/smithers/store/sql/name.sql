-- Interned words and specs: one integer each.

-- name: find_name
SELECT id FROM smithers_names WHERE text = ?;

-- name: add_name
INSERT INTO smithers_names (text) VALUES (?);

-- name: find_names
-- Ids of many words at once (a JSON array).
SELECT text, id FROM smithers_names WHERE text IN (SELECT value FROM json_each(?));

-- name: texts
-- Words of many ids at once (a JSON array).
SELECT id, text FROM smithers_names WHERE id IN (SELECT value FROM json_each(?));

-- name: find_spec
SELECT id FROM smithers_specs WHERE hash = ?;

-- name: add_spec
INSERT INTO smithers_specs (hash, body) VALUES (?, ?);

-- name: specs
-- Bodies of many ids at once (a JSON array).
SELECT id, body FROM smithers_specs WHERE id IN (SELECT value FROM json_each(?));
