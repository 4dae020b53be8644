-- Programs of attempts: opened before their first line runs, closed when their tree is gone.

-- name: open
-- The fence: a row only for the present owner's run, and only for an attempt that is still open. No row: no start.
INSERT INTO smithers_processes
    (run, node, scope, iteration, generation, attempt, owner, boot, namespace, pid, ticks, mark, program, started_ms)
SELECT a.run, a.node, a.scope, a.iteration, a.generation, a.attempt, r.owner, :boot, :namespace, :pid, :ticks, :mark,
       :program, :now
FROM smithers_runs r
JOIN smithers_attempts a ON a.run = r.id
WHERE r.id = :run AND r.fence = :fence AND r.owner IS NOT NULL
  AND a.node = (SELECT id FROM smithers_names WHERE text = :node)
  AND a.scope = (SELECT id FROM smithers_names WHERE text = :scope)
  AND a.iteration = :iteration AND a.generation = :generation AND a.attempt = :attempt AND a.to_frame IS NULL;

-- name: close
UPDATE smithers_processes SET ended_ms = ?, status = ? WHERE id = ? AND ended_ms IS NULL;

-- name: open_rows
-- With the owner they belong to (NULLs once it has left, or was forgotten). A NULL run is no condition.
SELECT p.id, p.run, n.text, s.text, p.iteration, p.generation, p.attempt, p.owner, p.boot, p.namespace, p.pid,
       p.ticks, p.mark, p.program, p.started_ms, p.ended_ms, p.status,
       o.id, o.host, o.boot, o.namespace, o.pid, o.ticks, o.started_ms, o.expires_wall_ms, o.expires_monotonic_ms
FROM smithers_processes p
JOIN smithers_names n ON n.id = p.node
JOIN smithers_names s ON s.id = p.scope
LEFT JOIN smithers_owners o ON o.id = p.owner
WHERE p.ended_ms IS NULL AND (:run IS NULL OR p.run = :run)
ORDER BY p.id;

-- name: of_run
SELECT p.id, p.run, n.text, s.text, p.iteration, p.generation, p.attempt, p.owner, p.boot, p.namespace, p.pid,
       p.ticks, p.mark, p.program, p.started_ms, p.ended_ms, p.status
FROM smithers_processes p
JOIN smithers_names n ON n.id = p.node
JOIN smithers_names s ON s.id = p.scope
WHERE p.run = :run
ORDER BY p.id;

-- name: marked
-- The attempt that the environment of one of its programs names, while that is there.
SELECT p.id, p.run, n.text, s.text, p.iteration, p.generation, p.attempt, p.owner, p.boot, p.namespace, p.pid,
       p.ticks, p.mark, p.program, p.started_ms, p.ended_ms, p.status
FROM smithers_processes p
JOIN smithers_names n ON n.id = p.node
JOIN smithers_names s ON s.id = p.scope
WHERE p.mark = ? AND p.ended_ms IS NULL
ORDER BY p.id DESC;
