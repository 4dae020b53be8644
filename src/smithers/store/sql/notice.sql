-- The outbox of notices.

-- name: add
-- Due at once, by whatever clock.
INSERT INTO smithers_notices (uid, run, kind, node, scope, iteration, generation, number, data, at_ms, next_ms)
VALUES (lower(hex(randomblob(16))), ?, ?, ?, ?, ?, ?, ?, ?, ?, 0);

-- name: due
-- A time further ahead than anybody ever sets one was set before the clock was set back.
SELECT n.id, n.uid, n.run, r.name, r.workflow, n.kind, node.text, scope.text, n.iteration, n.generation, n.number,
       n.data, n.at_ms, n.tries, n.taken, n.next_ms, n.sent_ms, n.error
FROM smithers_notices n
JOIN smithers_runs r ON r.id = n.run
LEFT JOIN smithers_names node ON node.id = n.node
LEFT JOIN smithers_names scope ON scope.id = n.scope
WHERE n.next_ms IS NOT NULL AND (n.next_ms <= :now_ms OR n.next_ms > :now_ms + :longest_ms)
ORDER BY n.id
LIMIT 1;

-- name: listed
-- The newest first; of one run, or of all where `run` is NULL.
SELECT n.id, n.uid, n.run, r.name, r.workflow, n.kind, node.text, scope.text, n.iteration, n.generation, n.number,
       n.data, n.at_ms, n.tries, n.taken, n.next_ms, n.sent_ms, n.error
FROM smithers_notices n
JOIN smithers_runs r ON r.id = n.run
LEFT JOIN smithers_names node ON node.id = n.node
LEFT JOIN smithers_names scope ON scope.id = n.scope
WHERE :run IS NULL OR n.run = :run
ORDER BY n.id DESC
LIMIT :limit;

-- name: open
-- How many are left, how many somebody delivers right now, when the first of all is due, and what was wrong with the
-- newest that failed.
SELECT count(*) FILTER (WHERE claimed = 0 OR next_ms <= :now_ms),
       count(*) FILTER (WHERE claimed = 1 AND next_ms > :now_ms),
       min(next_ms),
       (SELECT error FROM smithers_notices
        WHERE next_ms IS NOT NULL AND error IS NOT NULL ORDER BY id DESC LIMIT 1)
FROM smithers_notices
WHERE next_ms IS NOT NULL;

-- name: claim
-- Compare and set: of two who have seen the same row, one moves it ahead.
UPDATE smithers_notices SET next_ms = :until_ms, claimed = 1
WHERE id = :id AND next_ms = :seen_ms AND tries = :tries AND taken = :taken;

-- name: taken
UPDATE smithers_notices SET taken = :taken WHERE id = :id;

-- name: sent
UPDATE smithers_notices SET next_ms = NULL, sent_ms = :now_ms, error = NULL WHERE id = :id;

-- name: put_off
-- Not if somebody else has it by now: whoever took longer than his claim has lost it. NULL: given up.
UPDATE smithers_notices SET tries = tries + 1, next_ms = :next_ms, claimed = 0, error = :error
WHERE id = :id AND next_ms = :claimed_ms;

-- name: hurry
UPDATE smithers_notices SET next_ms = 0 WHERE next_ms IS NOT NULL AND claimed = 0;

-- name: void
UPDATE smithers_notices SET next_ms = NULL, error = NULL WHERE id = :id AND next_ms IS NOT NULL;

-- name: stands
-- Whether the wait that a notice is about is open.
SELECT 1 FROM smithers_waits w
WHERE w.run = :run AND w.node = (SELECT id FROM smithers_names WHERE text = :node)
  AND w.scope = (SELECT id FROM smithers_names WHERE text = :scope)
  AND w.iteration = :iteration AND w.generation = :generation AND w.number = :number AND w.state = 1;
