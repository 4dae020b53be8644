-- Views for people: which there are, and which names are free.

-- name: find
SELECT columns, name, note FROM smithers_views WHERE workflow = ? AND output = ?;

-- name: save
INSERT INTO smithers_views (workflow, output, columns, name, note) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET columns = excluded.columns, name = excluded.name, note = excluded.note;

-- name: all
SELECT workflow, output FROM smithers_views ORDER BY workflow, output;

-- name: count
-- SQLite does not tell `Review` from `review`, so neither may the short name of a view.
SELECT count(*) FROM smithers_views WHERE output = ? COLLATE NOCASE;

-- name: holder
SELECT workflow, output FROM smithers_views WHERE name = ? COLLATE NOCASE;

-- name: object
-- What has this name already. Triggers have names of their own.
SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type <> 'trigger';
