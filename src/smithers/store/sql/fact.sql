-- What is read back.

-- name: raised
-- Keys whose newest generation is not 0. An open attempt counts: it makes its node's older rows history. So does a
-- node that was reopened (type 28) and has not begun again yet; its event says the generation since there is `--rerun`.
SELECT node, scope, iteration, MAX(generation) FROM (
    SELECT node, scope, iteration, generation FROM smithers_attempts WHERE run = :run AND generation > 0
    UNION ALL
    SELECT node, scope, iteration, generation FROM smithers_nodes WHERE run = :run AND generation > 0
    UNION ALL
    SELECT node, scope, iteration, generation FROM smithers_outputs WHERE run = :run AND generation > 0
    UNION ALL
    SELECT node, scope, iteration, json_extract(data, '$.generation') FROM smithers_events
    WHERE run = :run AND type = 28 AND json_extract(data, '$.generation') > 0
)
GROUP BY node, scope, iteration;

-- name: asked
-- Nodes that were reopened (type 28) because somebody asked for it, and that have not finished since.
SELECT DISTINCT node, scope, iteration FROM smithers_events e
WHERE run = ? AND type = 28 AND json_extract(data, '$.asked') AND NOT EXISTS (
    SELECT 1 FROM smithers_outputs o
    WHERE o.run = e.run AND o.node = e.node AND o.scope = e.scope AND o.iteration = e.iteration
      AND o.generation >= json_extract(e.data, '$.generation')
);

-- name: nodes
SELECT node, scope, iteration, generation, state, frame, attempt, reason FROM smithers_nodes WHERE run = ?;

-- name: outputs
SELECT node, scope, iteration, generation, seq, model, body, blob FROM smithers_outputs WHERE run = ?;

-- name: attempts
SELECT node, scope, iteration, generation, attempt, state, from_frame, to_frame, start_seq, started_ms, ended_ms,
       agent, failure, counted, error, heartbeat, prompt, fingerprint
FROM smithers_attempts WHERE run = ?
ORDER BY node, scope, iteration, generation, attempt;

-- name: unsettled_attempts
-- A finished attempt (state 3) settles its node in the same frame, so most rows need no second look. The last
-- attempt of a node that failed (state 4) is among them: a catch is told its error.
SELECT node, scope, iteration, generation, attempt, state, from_frame, to_frame, start_seq, started_ms, ended_ms,
       agent, failure, counted, error, heartbeat, prompt, fingerprint
FROM smithers_attempts a
WHERE run = ? AND state <> 3 AND NOT EXISTS (
    SELECT 1 FROM smithers_nodes n
    WHERE n.run = a.run AND n.node = a.node AND n.scope = a.scope AND n.iteration = a.iteration
      AND n.generation = a.generation AND NOT (n.state = 4 AND n.attempt = a.attempt)
)
ORDER BY node, scope, iteration, generation, attempt;

-- name: reads
-- What finished tasks have read beside what they are given (type 21), where they have.
SELECT seq, node, scope, iteration, data FROM smithers_events
WHERE run = ? AND type = 21 AND data IS NOT NULL
ORDER BY seq;

-- name: passes
SELECT node, scope, iteration, pass, verdict, frame FROM smithers_passes WHERE run = ?
ORDER BY node, scope, iteration, pass;

-- name: blocks
SELECT node, scope, iteration, frame, at, outcome, cause, done, broken, again FROM smithers_blocks WHERE run = ?
ORDER BY frame;

-- name: frames
SELECT frame, parent, seq, at_ms, rendered FROM smithers_frames WHERE run = ? ORDER BY frame;

-- name: last_at
SELECT at_ms FROM smithers_frames WHERE run = ? ORDER BY frame DESC LIMIT 1;

-- name: open_mounts
SELECT node, parent, position, spec, from_frame, to_frame, edges FROM smithers_mounts WHERE run = ? AND to_frame IS NULL;

-- name: mounts_at
SELECT node, parent, position, spec, from_frame, to_frame, edges FROM smithers_mounts
WHERE run = :run AND from_frame <= :frame AND (to_frame IS NULL OR to_frame >= :frame);

-- name: wakeups
SELECT node, scope, iteration, kind, due_ms FROM smithers_wakeups WHERE run = ? ORDER BY due_ms;

-- name: events
SELECT seq, type, at_ms, node, scope, iteration, attempt, data FROM smithers_events
WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: extent
-- A run's own frame and seq beside those that its frames add up to: they differ only in a damaged file.
SELECT r.name, r.frame, r.seq, count(f.frame), coalesce(max(f.frame), 0),
       coalesce((SELECT seq FROM smithers_frames WHERE run = r.id ORDER BY frame DESC LIMIT 1), 0)
FROM smithers_runs r LEFT JOIN smithers_frames f ON f.run = r.id
WHERE r.id = ?
GROUP BY r.id;

-- name: has_frames
SELECT 1 FROM smithers_frames LIMIT 1;
