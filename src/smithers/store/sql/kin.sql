-- Which run belongs to which.

-- name: has_kin
-- A store that was last written before there were any is only looked at, and so stays without.
SELECT 1 FROM sqlite_master WHERE name = 'smithers_lineages';

-- name: add_child
-- Behind the parent's fence: a former owner begins nothing in the name of a run that has another one. The child
-- of a node that names another workflow now gives way to a new one. No row: neither holds.
INSERT INTO smithers_children (run, node, scope, iteration, generation, child)
SELECT id, :node, :scope, :iteration, :generation, :child FROM smithers_runs
WHERE id = :run AND fence = :fence
ON CONFLICT DO UPDATE SET child = excluded.child WHERE child IS :instead_of;

-- name: keep_child
-- A new generation of a node goes on with the child of the one before.
INSERT INTO smithers_children (run, node, scope, iteration, generation, child) VALUES (?, ?, ?, ?, ?, ?);

-- name: add_successor
INSERT INTO smithers_lineages (run, previous, first, number, state, blob)
SELECT :run, p.id, coalesce(l.first, p.id), coalesce(l.number, 1) + 1, :state, :blob
FROM smithers_runs p LEFT JOIN smithers_lineages l ON l.run = p.id
WHERE p.id = :previous;

-- name: children
-- Of each node's every generation, and where the child went on as another run, the newest of these.
SELECT c.node, c.scope, c.iteration, c.generation, r.id, r.name, r.state
FROM smithers_children c
JOIN smithers_runs r ON r.id = coalesce((SELECT max(l.run) FROM smithers_lineages l WHERE l.first = c.child), c.child)
WHERE c.run = ?
ORDER BY c.generation;

-- name: open_children
-- Of a run: those that neither ended nor went on; states up to 3 are running, waiting and paused.
SELECT r.id FROM smithers_runs r
WHERE r.state <= 3 AND r.id IN (
    SELECT child FROM smithers_children WHERE run = ?1
    UNION SELECT l.run FROM smithers_children c JOIN smithers_lineages l ON l.first = c.child WHERE c.run = ?1
);

-- name: carried
SELECT state, blob FROM smithers_lineages WHERE run = ?;

-- name: successor
SELECT run FROM smithers_lineages WHERE previous = ?;

-- name: kin
-- Parent, and the runs before and after, of those runs that have any. Later runs of a child's lineage have its parent.
SELECT x.value, r.id, r.name, c.node, c.scope, c.iteration, c.generation, before.name, after.name,
       (SELECT name FROM smithers_runs WHERE id = (
           SELECT max(run) FROM smithers_lineages WHERE first = coalesce(l.first, x.value) AND run > x.value
       )),
       coalesce(l.number, 1)
FROM json_each(?) x
LEFT JOIN smithers_lineages l ON l.run = x.value
LEFT JOIN smithers_runs before ON before.id = l.previous
LEFT JOIN smithers_lineages m ON m.previous = x.value
LEFT JOIN smithers_runs after ON after.id = m.run
LEFT JOIN smithers_children c ON c.child = coalesce(l.first, x.value) AND NOT EXISTS (
    SELECT 1 FROM smithers_children d WHERE d.child = c.child AND d.generation > c.generation
)
LEFT JOIN smithers_runs r ON r.id = c.run
WHERE c.run IS NOT NULL OR l.run IS NOT NULL OR m.run IS NOT NULL;

-- name: top_runs
-- Ids, newest first, of runs that are nobody's child, and of each lineage the newest; conditions as for `runs`.
SELECT r.id FROM smithers_runs r
WHERE r.state <> 8
  AND (:workflow IS NULL OR r.workflow = :workflow)
  AND (:states IS NULL OR r.state IN (SELECT value FROM json_each(:states)))
  AND NOT EXISTS (
      SELECT 1 FROM smithers_children c
      WHERE c.child = coalesce((SELECT l.first FROM smithers_lineages l WHERE l.run = r.id), r.id)
  )
ORDER BY r.id DESC
LIMIT :limit;

-- name: heads_named_like
-- By prefix, of runs that are nobody's child, and of each lineage the first.
SELECT r.id, r.name FROM smithers_runs r
WHERE r.name >= ? AND r.name < ?
  AND NOT EXISTS (SELECT 1 FROM smithers_lineages l WHERE l.run = r.id)
  AND NOT EXISTS (SELECT 1 FROM smithers_children c WHERE c.child = r.id)
ORDER BY r.name LIMIT 6;

-- name: cancelled_by
-- The request, if there was one, by which a run was cancelled, and not together with the run that it belongs to.
SELECT data FROM smithers_events
WHERE run = ?1 AND type = 10 AND json_extract(data, '$.superseded') IS NULL
  AND seq > coalesce((SELECT max(seq) FROM smithers_events WHERE run = ?1 AND type = 2), 0)
ORDER BY seq DESC LIMIT 1;

-- name: newest
-- Of a run's lineage.
SELECT coalesce(max(m.run), ?1) FROM smithers_lineages m
WHERE m.first = coalesce((SELECT first FROM smithers_lineages WHERE run = ?1), ?1);
