-- Runs that nobody drives: which there are, and how often that has happened.

-- name: held_by
-- Unfinished runs of an owner; states up to 3 are running, waiting and paused.
SELECT id FROM smithers_runs WHERE owner = ? AND state <= 3;

-- name: left
SELECT id FROM smithers_runs WHERE state = 1 AND owner IS NULL;

-- name: due
-- Parked runs with a deadline that has come, once for each: DISTINCT would have SQLite read all deadlines, by run.
SELECT w.run FROM smithers_wakeups w JOIN smithers_runs r ON r.id = w.run
WHERE w.due_ms <= ? AND r.state = 2 AND r.owner IS NULL;

-- name: next_due
-- Of parked runs, after a time.
SELECT w.due_ms FROM smithers_wakeups w JOIN smithers_runs r ON r.id = w.run
WHERE w.due_ms > ? AND r.state = 2
ORDER BY w.due_ms LIMIT 1;

-- name: written_to
-- Runs that nobody drives, and the first message, and the first cancel (kind 1), that nobody has taken: their own,
-- or that of a run within them, which only they can go on with.
WITH RECURSIVE found(run, at_ms, cancel_ms) AS (
    SELECT i.run, min(i.at_ms), min(CASE WHEN i.kind = 1 THEN i.at_ms END)
    FROM smithers_inbox i JOIN smithers_runs r ON r.id = i.run
    WHERE i.taken_frame IS NULL AND r.state <= 3
    GROUP BY i.run
    UNION
    SELECT c.run, f.at_ms, NULL
    FROM found f
    LEFT JOIN smithers_lineages l ON l.run = f.run
    JOIN smithers_children c ON c.child = coalesce(l.first, f.run)
)
SELECT r.id, min(f.at_ms), min(f.cancel_ms)
FROM found f JOIN smithers_runs r ON r.id = f.run
WHERE r.state <= 3
GROUP BY r.id;

-- name: standings
-- How these runs (a JSON array of ids) stand at a time, but those that belong to another run.
SELECT r.id, r.name, r.workflow, i.source, r.state, r.fence,
       r.created_ms + coalesce((SELECT f.at_ms FROM smithers_frames f WHERE f.run = r.id AND f.frame = r.frame), 0),
       (SELECT min(w.due_ms) FROM smithers_wakeups w WHERE w.run = r.id),
       (SELECT max(w.due_ms) FROM smithers_wakeups w WHERE w.run = r.id AND w.due_ms <= :now_ms),
       v.fence, v.deaths, v.at_ms, v.settled, v.why,
       o.id, o.host, o.boot, o.namespace, o.pid, o.ticks, o.started_ms, o.expires_wall_ms, o.expires_monotonic_ms
FROM json_each(:runs) x
JOIN smithers_runs r ON r.id = x.value
JOIN smithers_inputs i ON i.run = r.id
LEFT JOIN smithers_owners o ON o.id = r.owner
LEFT JOIN smithers_revivals v ON v.run = r.id
WHERE NOT EXISTS (
    SELECT 1 FROM smithers_children c
    WHERE c.child = coalesce((SELECT l.first FROM smithers_lineages l WHERE l.run = r.id), r.id)
)
ORDER BY r.id;

-- name: settled
-- Tasks that have settled in a run, and in those that belong to it.
WITH RECURSIVE family(run) AS (
    SELECT ?
    UNION
    SELECT coalesce((SELECT max(l.run) FROM smithers_lineages l WHERE l.first = c.child), c.child)
    FROM family f JOIN smithers_children c ON c.run = f.run
)
SELECT count(*) FROM family f JOIN smithers_nodes n ON n.run = f.run;

-- name: note
-- No row: somebody else has noted something meanwhile.
INSERT INTO smithers_revivals (run, fence, deaths, at_ms, settled, why)
VALUES (:run, :fence, :deaths, :at_ms, :settled, :why)
ON CONFLICT DO UPDATE
SET fence = excluded.fence, deaths = excluded.deaths, at_ms = excluded.at_ms,
    settled = excluded.settled, why = excluded.why
WHERE fence IS :instead_of;
