-- Runs and their messages.

-- name: add_run
-- With the extent of its first frame, or 0 if that is yet to be entered. No row: its owner is no longer on record.
INSERT INTO smithers_runs (name, workflow, state, fence, seq, frame, owner, created_ms, started_ms)
SELECT ?, ?, 1, 1, ?, ?, id, ?, ? FROM smithers_owners WHERE id = ?;

-- name: add_input
INSERT INTO smithers_inputs (run, source, config, input) VALUES (?, ?, ?, ?);

-- name: has_run_named
SELECT 1 FROM smithers_runs WHERE name = ?;

-- name: held_run
SELECT id FROM smithers_runs WHERE name = ? AND owner = ?;

-- name: has_run
SELECT 1 FROM smithers_runs WHERE id = ?;

-- name: runs
-- Newest first, ids from `low` to `high`. A NULL `workflow` or `states` (a JSON array) is no condition; limit -1: all.
SELECT r.id, r.name, r.workflow, i.source, r.state, r.fence, r.seq, r.frame, r.created_ms, r.started_ms, r.ended_ms,
       i.input, i.config, r.error, r.output_node, r.output_scope, r.output_iteration, r.output_generation,
       o.id, o.host, o.boot, o.namespace, o.pid, o.ticks, o.started_ms, o.expires_wall_ms, o.expires_monotonic_ms
FROM smithers_runs r
JOIN smithers_inputs i ON i.run = r.id
LEFT JOIN smithers_owners o ON o.id = r.owner
WHERE r.id BETWEEN :low AND :high
  AND (:workflow IS NULL OR r.workflow = :workflow)
  AND (:states IS NULL OR r.state IN (SELECT value FROM json_each(:states)))
ORDER BY r.id DESC
LIMIT :limit;

-- name: created
-- What the times in a run's rows count from.
SELECT created_ms FROM smithers_runs WHERE id = ?;

-- name: run_named
SELECT id FROM smithers_runs WHERE name = ?;

-- name: runs_named_like
-- By prefix: names from it up to the end of its range.
SELECT id, name FROM smithers_runs WHERE name >= ? AND name < ? ORDER BY name LIMIT 6;

-- name: post
INSERT INTO smithers_inbox (run, kind, data, at_ms, by) VALUES (?, ?, ?, ?, ?);

-- name: open_messages
SELECT run, id, kind, data, at_ms, by FROM smithers_inbox
WHERE taken_frame IS NULL AND run IN (SELECT value FROM json_each(?))
ORDER BY id;

-- name: has_table
SELECT 1 FROM sqlite_master WHERE name = ?;
