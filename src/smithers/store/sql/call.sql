-- What agents were asked, and whose limits are used up.

-- name: note
-- Under the fence: a row only for the present owner's run. What is not known any more does not take away what was.
INSERT INTO smithers_calls
    (run, node, scope, iteration, generation, attempt, rank, agent, account, model, session, is_continued, input_tokens,
     output_tokens, cache_read_tokens, cache_write_tokens, cost_micros, cost_source, counted, at_ms)
SELECT r.id, n.id, s.id, :iteration, :generation, :attempt, :rank, :agent, :account, :model, :session, :is_continued,
       :input_tokens, :output_tokens, :cache_read_tokens, :cache_write_tokens, :cost_micros, :cost_source, :counted,
       :at_ms
FROM smithers_runs r
JOIN smithers_names n ON n.text = :node
JOIN smithers_names s ON s.text = :scope
WHERE r.id = :run AND r.fence = :fence
ON CONFLICT DO UPDATE SET
    model = excluded.model, session = COALESCE(excluded.session, session), input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens, cache_read_tokens = excluded.cache_read_tokens,
    cache_write_tokens = excluded.cache_write_tokens, cost_micros = excluded.cost_micros,
    cost_source = excluded.cost_source, counted = COALESCE(excluded.counted, counted), at_ms = excluded.at_ms;

-- name: of_node
-- Calls of a node, of one generation or (NULL) of all, the newest first, and how the attempts ended that made them.
SELECT n.text, s.text, c.iteration, c.generation, c.attempt, c.rank, c.agent, c.account, c.model, c.session,
       c.is_continued, c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens, c.cost_micros,
       c.cost_source, c.counted, c.at_ms, a.state, a.failure
FROM smithers_calls c
JOIN smithers_names n ON n.id = c.node
JOIN smithers_names s ON s.id = c.scope
LEFT JOIN smithers_attempts a ON a.run = c.run AND a.node = c.node AND a.scope = c.scope
     AND a.iteration = c.iteration AND a.generation = c.generation AND a.attempt = c.attempt
WHERE c.run = :run AND c.iteration = :iteration AND (:generation IS NULL OR c.generation = :generation)
  AND c.node = (SELECT id FROM smithers_names WHERE text = :node)
  AND c.scope = (SELECT id FROM smithers_names WHERE text = :scope)
ORDER BY c.generation DESC, c.attempt DESC, c.rank DESC
LIMIT 8;

-- name: of_run
SELECT n.text, s.text, c.iteration, c.generation, c.attempt, c.rank, c.agent, c.account, c.model, c.session,
       c.is_continued, c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens, c.cost_micros,
       c.cost_source, c.counted, c.at_ms, NULL, NULL
FROM smithers_calls c
JOIN smithers_names n ON n.id = c.node
JOIN smithers_names s ON s.id = c.scope
WHERE c.run = :run
ORDER BY c.node, c.scope, c.iteration, c.generation, c.attempt, c.rank;

-- name: park
-- The newest word counts: a reset may move both ways.
INSERT INTO smithers_accounts (account, until_ms, since_ms, strikes, reason)
VALUES (:account, :until_ms, :now_ms, :strikes, :reason)
ON CONFLICT DO UPDATE SET
    since_ms = CASE WHEN until_ms > :now_ms THEN since_ms ELSE excluded.since_ms END,
    until_ms = excluded.until_ms, strikes = excluded.strikes, reason = excluded.reason;

-- name: account
SELECT account, until_ms, since_ms, strikes, reason FROM smithers_accounts WHERE account = ?;

-- name: accounts
SELECT account, until_ms, since_ms, strikes, reason FROM smithers_accounts ORDER BY account;

-- name: release
DELETE FROM smithers_accounts WHERE account = ?;

-- name: spend
-- Within a frame, which has passed the fence.
INSERT INTO smithers_budgets
    (run, node, scope, iteration, tokens, cost_micros, calls, active_ms, largest_tokens, largest_micros, unpriced)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    tokens = excluded.tokens, cost_micros = excluded.cost_micros, calls = excluded.calls,
    active_ms = excluded.active_ms, largest_tokens = excluded.largest_tokens,
    largest_micros = excluded.largest_micros, unpriced = excluded.unpriced;

-- name: budgets
SELECT n.text, s.text, b.iteration, b.tokens, b.cost_micros, b.calls, b.active_ms, b.largest_tokens, b.largest_micros,
       b.unpriced
FROM smithers_budgets b
JOIN smithers_names n ON n.id = b.node
JOIN smithers_names s ON s.id = b.scope
WHERE b.run = ?
ORDER BY b.node, b.scope, b.iteration;

-- name: spent_by_children
-- Of each run that is a child of :run, or went on where one ended: by what is stored under their whole runs, and those
-- of their own children. A child belongs to every generation of its node that went on with it.
WITH RECURSIVE direct(top, node, scope, iteration) AS (
    SELECT child, node, scope, iteration FROM smithers_children WHERE run = :run
    UNION
    SELECT l.run, d.node, d.scope, d.iteration FROM direct d JOIN smithers_lineages l ON l.first = d.top
), family(top, run) AS (
    SELECT top, top FROM direct
    UNION
    SELECT f.top, c.child FROM family f JOIN smithers_children c ON c.run = f.run
    UNION
    SELECT f.top, l.run
    FROM family f JOIN smithers_children c ON c.run = f.run JOIN smithers_lineages l ON l.first = c.child
)
SELECT r.name, n.text, s.text, d.iteration, sum(b.tokens), sum(b.cost_micros), sum(b.calls), sum(b.active_ms)
FROM direct d
JOIN family f ON f.top = d.top
JOIN smithers_budgets b ON b.run = f.run AND b.node = (SELECT id FROM smithers_names WHERE text = '')
JOIN smithers_runs r ON r.id = d.top
JOIN smithers_names n ON n.id = d.node
JOIN smithers_names s ON s.id = d.scope
GROUP BY d.top, d.node, d.scope, d.iteration;
