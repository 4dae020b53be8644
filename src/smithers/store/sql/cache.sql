-- Outputs that later attempts may take, and what attempts found.

-- name: add_entry
-- The newest stands: it is what a rerun asked for, and what replaces an entry that is too old or does not fit.
INSERT INTO smithers_cache
    (workflow, node, only_run, key, parts, seen, run, scope, iteration, generation, stored_ms, reads)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET parts = excluded.parts, run = excluded.run, scope = excluded.scope,
    iteration = excluded.iteration, generation = excluded.generation, stored_ms = excluded.stored_ms,
    reads = excluded.reads;

-- name: add_lookup
-- Settling is idempotent; an attempt that is settled again, from rebuilt memory, says the same.
INSERT OR REPLACE INTO smithers_lookups (run, node, scope, iteration, generation, attempt, verdict, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: value
-- The value of one entry; an entry whose output is gone is none.
SELECT o.body, o.blob
FROM smithers_cache c
JOIN smithers_outputs o ON o.run = c.run AND o.node = c.node AND o.scope = c.scope AND o.iteration = c.iteration
    AND o.generation = c.generation
WHERE c.workflow = (SELECT id FROM smithers_names WHERE text = :workflow)
  AND c.node = (SELECT id FROM smithers_names WHERE text = :node)
  AND c.only_run = :run AND c.key = :key AND c.seen = :seen AND c.stored_ms = :stored_ms;

-- name: near
-- The newest entries of one place; those under one key, unless that is NULL.
SELECT w.text, c.only_run, c.key, c.parts, r.name, n.text, s.text, c.iteration, c.generation, c.stored_ms, c.seen,
       c.reads
FROM smithers_cache c
JOIN smithers_names w ON w.id = c.workflow
JOIN smithers_names n ON n.id = c.node
JOIN smithers_names s ON s.id = c.scope
JOIN smithers_runs r ON r.id = c.run
WHERE c.workflow = (SELECT id FROM smithers_names WHERE text = :workflow)
  AND c.node = (SELECT id FROM smithers_names WHERE text = :node)
  AND c.only_run = :run AND (:key IS NULL OR c.key = :key)
ORDER BY c.stored_ms DESC LIMIT :limit;

-- name: entries
-- Newest first. A NULL is no condition.
SELECT w.text, c.only_run, c.key, c.parts, r.name, n.text, s.text, c.iteration, c.generation, c.stored_ms, c.seen,
       c.reads
FROM smithers_cache c
JOIN smithers_names w ON w.id = c.workflow
JOIN smithers_names n ON n.id = c.node
JOIN smithers_names s ON s.id = c.scope
JOIN smithers_runs r ON r.id = c.run
WHERE (:workflow IS NULL OR w.text = :workflow) AND (:node IS NULL OR n.text = :node)
ORDER BY c.stored_ms DESC, w.text, n.text, c.key LIMIT :limit;

-- name: lookups
SELECT node, scope, iteration, generation, attempt, verdict, data FROM smithers_lookups WHERE run = ?;

-- name: clear
DELETE FROM smithers_cache
WHERE (:workflow IS NULL OR workflow = (SELECT id FROM smithers_names WHERE text = :workflow))
  AND (:node IS NULL OR node = (SELECT id FROM smithers_names WHERE text = :node));

-- name: has_cache
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'smithers_lookups';
