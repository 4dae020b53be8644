-- Everything one frame writes. `enter` comes first in each transaction on a run. Times are since its start.

-- name: enter
-- The fence, the allocator of `seq`, and a row lock where the database has them. No row: a newer owner.
UPDATE smithers_runs SET seq = seq + ?, frame = ?
WHERE id = ? AND fence = ?
RETURNING seq, created_ms;

-- name: enter_and_change
-- The same for a frame that changes the run's own row. An output it had is its output no more.
UPDATE smithers_runs
SET seq = seq + ?,
    frame = ?,
    state = ?,
    error = ?,
    ended_ms = ?,
    owner = CASE WHEN ? THEN NULL ELSE owner END,
    output_node = NULL,
    output_scope = NULL,
    output_iteration = NULL,
    output_generation = NULL
WHERE id = ? AND fence = ?
RETURNING seq, created_ms;

-- name: name_output
UPDATE smithers_runs SET output_node = ?, output_scope = ?, output_iteration = ?, output_generation = ?
WHERE id = ?;

-- name: add_frame
INSERT INTO smithers_frames (run, frame, parent, seq, at_ms, rendered) VALUES (?, ?, ?, ?, ?, ?);

-- name: open_attempt
INSERT INTO smithers_attempts
    (run, node, scope, iteration, generation, attempt, state, from_frame, start_seq, started_ms, agent, counted,
     fingerprint)
VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 1, ?);

-- name: close_attempt
-- Once: a closed attempt is not touched again.
UPDATE smithers_attempts
SET state = ?, to_frame = ?, ended_ms = ?, failure = ?, counted = ?, error = ?, prompt = ?,
    agent = coalesce(?, agent)
WHERE run = ? AND node = ? AND scope = ? AND iteration = ? AND generation = ? AND attempt = ?
  AND to_frame IS NULL;

-- name: attempt_state
-- Tells a repeated settlement from an unknown attempt.
SELECT state FROM smithers_attempts
WHERE run = ? AND node = ? AND scope = ? AND iteration = ? AND generation = ? AND attempt = ?;

-- name: settle_node
-- Settling is idempotent on (key, generation, attempt); anything else that is there already changes no row.
INSERT INTO smithers_nodes (run, node, scope, iteration, generation, state, frame, attempt, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET attempt = attempt WHERE attempt = excluded.attempt AND state = excluded.state;

-- name: add_output
-- The first body stands; the same one again is no news, another one changes no row.
INSERT INTO smithers_outputs (run, node, scope, iteration, generation, seq, frame, model, body, blob)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET seq = seq WHERE body = excluded.body AND blob IS excluded.blob;

-- name: end_pass
INSERT INTO smithers_passes (run, node, scope, iteration, pass, verdict, frame) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: move_block
INSERT INTO smithers_blocks (run, node, scope, iteration, frame, at, outcome, cause, done, broken, again)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: unmount
UPDATE smithers_mounts SET to_frame = ? WHERE run = ? AND node = ? AND to_frame IS NULL;

-- name: mount
INSERT INTO smithers_mounts (run, node, from_frame, parent, position, spec, edges) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_wakeup
-- A node has one deadline of a kind; the newer one stands.
INSERT INTO smithers_wakeups (run, node, scope, iteration, kind, due_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET due_ms = excluded.due_ms;

-- name: remove_wakeup
DELETE FROM smithers_wakeups WHERE run = ? AND node = ? AND scope = ? AND iteration = ? AND kind = ?;

-- name: add_event
INSERT INTO smithers_events (run, seq, type, node, scope, iteration, attempt, at_ms, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: take_message
UPDATE smithers_inbox SET taken_frame = ? WHERE run = ? AND id = ? AND taken_frame IS NULL;

-- name: open_messages
SELECT id FROM smithers_inbox WHERE run = ? AND taken_frame IS NULL;

-- name: beat
-- Heartbeat data of an attempt that still runs, for the holder of the fence only.
UPDATE smithers_attempts SET heartbeat = ?
WHERE run = ? AND node = ? AND scope = ? AND iteration = ? AND generation = ? AND attempt = ?
  AND to_frame IS NULL
  AND EXISTS (SELECT 1 FROM smithers_runs WHERE id = smithers_attempts.run AND fence = ?);

-- name: run_name
SELECT name FROM smithers_runs WHERE id = ?;
