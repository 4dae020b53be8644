-- Users' own tables. Words in braces are filled in, quoted.

-- name: object
SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type <> 'trigger';

-- name: columns
-- Hidden columns: 1 of a virtual table, 2 and 3 generated. An INTEGER PRIMARY KEY numbers its rows by itself.
SELECT name,
       "notnull" AND dflt_value IS NULL AND hidden = 0 AND NOT (upper(type) = 'INTEGER' AND pk = 1),
       hidden <> 0
FROM pragma_table_xinfo(?);

-- name: delete
-- All of the earlier row goes: what is left of it would speak of another output.
DELETE FROM {table} WHERE {keys};

-- name: insert
INSERT INTO {table} ({columns}) VALUES ({marks});
