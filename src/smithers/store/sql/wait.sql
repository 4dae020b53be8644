-- Waits, and what is said to them.

-- name: open_wait
-- One that was withdrawn, or whose answer does not fit, is open again.
INSERT INTO smithers_waits
    (run, node, scope, iteration, generation, number, kind, state, from_frame, opened_ms, due_ms, spec)
VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    state = 1, to_frame = NULL, opened_ms = excluded.opened_ms, due_ms = excluded.due_ms, spec = excluded.spec,
    result = NULL
WHERE state IN (2, 4);

-- name: end_wait
UPDATE smithers_waits SET state = :state, to_frame = :frame, result = coalesce(:result, result)
WHERE run = :run AND node = :node AND scope = :scope AND iteration = :iteration AND generation = :generation
  AND number = :number AND state = :was;

-- name: waits
-- Of one run, all generations.
SELECT run, node, scope, iteration, generation, number, kind, state, from_frame, to_frame, opened_ms, due_ms, spec,
       result
FROM smithers_waits WHERE run = ?
ORDER BY opened_ms, node, scope, iteration, generation, number;

-- name: open_waits
-- Of all runs that have not ended, the oldest first.
SELECT w.run, w.node, w.scope, w.iteration, w.generation, w.number, w.kind, w.state, w.from_frame, w.to_frame,
       w.opened_ms, w.due_ms, w.spec, w.result
FROM smithers_waits w JOIN smithers_runs r ON r.id = w.run
WHERE w.state = 1 AND r.state < 4
ORDER BY w.opened_ms, w.run, w.node, w.scope, w.iteration;

-- name: wait_now
SELECT w.state, w.spec, r.state, r.name FROM smithers_waits w JOIN smithers_runs r ON r.id = w.run
WHERE w.run = ? AND w.node = ? AND w.scope = ? AND w.iteration = ? AND w.generation = ? AND w.number = ?;

-- name: add_vote
INSERT INTO smithers_votes
    (run, node, scope, iteration, generation, number, word, data, by, note, link, at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: votes
SELECT id, node, scope, iteration, generation, number, word, data, by, note, at_ms FROM smithers_votes
WHERE run = ? ORDER BY id;

-- name: votes_of_wait
SELECT word, by, at_ms FROM smithers_votes
WHERE run = ? AND node = ? AND scope = ? AND iteration = ? AND generation = ? AND number = ?
ORDER BY id;

-- name: has_link
SELECT at_ms FROM smithers_votes WHERE link = ?;

-- name: decide_wait
UPDATE smithers_waits SET state = 2, result = ?
WHERE run = ? AND node = ? AND scope = ? AND iteration = ? AND generation = ? AND number = ? AND state = 1;

-- name: signals
SELECT id, data, by, at_ms FROM smithers_inbox WHERE run = ? AND kind = 3 ORDER BY id;

-- name: ancestors
-- The runs that a run belongs to, however far up.
WITH RECURSIVE up (run) AS (
    SELECT c.run FROM smithers_children c WHERE c.child = :run
    UNION
    SELECT c.run FROM smithers_children c JOIN up ON c.child = up.run
)
SELECT run FROM up;

-- name: descendants
-- The runs that belong to a run, however far down.
WITH RECURSIVE down (run) AS (
    SELECT c.child FROM smithers_children c WHERE c.run = :run
    UNION
    SELECT c.child FROM smithers_children c JOIN down ON c.run = down.run
)
SELECT run FROM down;

-- name: run_state
SELECT state, name FROM smithers_runs WHERE id = ?;
