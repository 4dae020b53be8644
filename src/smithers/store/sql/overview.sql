-- The views that every store has, each under its name: first what ours are made of, then what people look at
-- (docs/sql.md). They are brought up to date whenever a migration is applied: a change here wants a new one, if
-- only an empty one.

-- name: smithers_current_outputs
-- Outputs of newest generations. As for all reads, an open attempt makes its node's older rows history.
CREATE VIEW "smithers_current_outputs" AS /* smithers */
SELECT r.name AS run,
       r.workflow AS workflow,
       n.text AS node,
       o.iteration AS iteration,
       o.seq AS seq,
       s.text AS scope,
       m.text AS output,
       r.created_ms + f.at_ms AS finished_ms,
       nullif(o.body, '') AS body,
       o.blob AS blob
FROM smithers_outputs o
JOIN smithers_runs r ON r.id = o.run
JOIN smithers_names n ON n.id = o.node
JOIN smithers_names s ON s.id = o.scope
JOIN smithers_names m ON m.id = o.model
JOIN smithers_frames f ON f.run = o.run AND f.frame = o.frame
WHERE NOT EXISTS (
    SELECT 1 FROM smithers_outputs x
    WHERE x.run = o.run AND x.node = o.node AND x.scope = o.scope AND x.iteration = o.iteration
      AND x.generation > o.generation
)
AND NOT EXISTS (
    SELECT 1 FROM smithers_attempts x
    WHERE x.run = o.run AND x.node = o.node AND x.scope = o.scope AND x.iteration = o.iteration
      AND x.generation > o.generation
)
AND NOT EXISTS (
    SELECT 1 FROM smithers_nodes x
    WHERE x.run = o.run AND x.node = o.node AND x.scope = o.scope AND x.iteration = o.iteration
      AND x.generation > o.generation
);

-- name: run_overview
CREATE VIEW "run_overview" AS /* smithers */
SELECT r.name AS run,
       r.workflow AS workflow,
       CASE r.state
           WHEN 1 THEN 'running' WHEN 2 THEN 'waiting' WHEN 3 THEN 'paused' WHEN 4 THEN 'finished'
           WHEN 5 THEN 'partial' WHEN 6 THEN 'failed' WHEN 7 THEN 'cancelled' WHEN 8 THEN 'continued'
       END AS status,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.created_ms / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.started_ms / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.ended_ms / 1000.0, 'unixepoch') AS ended_at,
       r.ended_ms - r.created_ms AS took_ms,
       (SELECT count(*) FROM smithers_nodes e WHERE e.run = r.id AND e.state = 3 AND e.attempt > 0 AND NOT EXISTS (
            SELECT 1 FROM smithers_attempts x
            WHERE x.run = e.run AND x.node = e.node AND x.scope = e.scope AND x.iteration = e.iteration
              AND x.generation > e.generation
       ) AND NOT EXISTS (
            SELECT 1 FROM smithers_nodes x
            WHERE x.run = e.run AND x.node = e.node AND x.scope = e.scope AND x.iteration = e.iteration
              AND x.generation > e.generation
       )) AS finished,
       (SELECT count(*) FROM smithers_nodes e WHERE e.run = r.id AND e.state = 4 AND e.attempt > 0 AND NOT EXISTS (
            SELECT 1 FROM smithers_attempts x
            WHERE x.run = e.run AND x.node = e.node AND x.scope = e.scope AND x.iteration = e.iteration
              AND x.generation > e.generation
       ) AND NOT EXISTS (
            SELECT 1 FROM smithers_nodes x
            WHERE x.run = e.run AND x.node = e.node AND x.scope = e.scope AND x.iteration = e.iteration
              AND x.generation > e.generation
       )) AS failed,
       (SELECT count(*) FROM smithers_attempts x WHERE x.run = r.id AND x.state = 1) AS running,
       r.frame AS frames,
       json_extract(r.error, '$.code') AS error_code,
       json_extract(r.error, '$.message') AS error,
       coalesce(json_extract(i.config, '$.rehearse'), 0) AS rehearsed,
       i.source AS source,
       i.input AS input,
       (SELECT c.body FROM smithers_current_outputs c
        WHERE c.run = r.name
          AND c.node = (SELECT text FROM smithers_names WHERE id = r.output_node)
          AND c.scope = (SELECT text FROM smithers_names WHERE id = r.output_scope)
          AND c.iteration = r.output_iteration) AS output,
       o.host AS owner_host,
       o.pid AS owner_pid
FROM smithers_runs r
JOIN smithers_inputs i ON i.run = r.id
LEFT JOIN smithers_owners o ON o.id = r.owner;

-- name: smithers_current_tasks
-- Tasks that were tried; tasks that settled without a try; tasks in the tree that nobody has touched yet.
CREATE VIEW "smithers_current_tasks" AS /* smithers */
SELECT r.name AS run,
       r.workflow AS workflow,
       n.text AS node,
       a.iteration AS iteration,
       s.text AS scope,
       CASE coalesce(e.state, CASE a.state WHEN 1 THEN 1 ELSE 0 END)
           WHEN 0 THEN iif(EXISTS (
               SELECT 1 FROM smithers_wakeups w
               WHERE w.run = a.run AND w.node = a.node AND w.scope = a.scope AND w.iteration = a.iteration
           ), 'waiting', 'pending')
           WHEN 1 THEN 'running' WHEN 2 THEN 'waiting' WHEN 3 THEN 'finished' WHEN 4 THEN 'failed'
           WHEN 5 THEN 'skipped' WHEN 6 THEN 'cancelled'
       END AS status,
       e.reason AS reason,
       a.attempt AS attempts,
       g.text AS agent,
       strftime('%Y-%m-%dT%H:%M:%fZ', (r.created_ms + (
           SELECT b.started_ms FROM smithers_attempts b
           WHERE b.run = a.run AND b.node = a.node AND b.scope = a.scope AND b.iteration = a.iteration
             AND b.generation = a.generation
           ORDER BY b.attempt LIMIT 1
       )) / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', (r.created_ms + a.ended_ms) / 1000.0, 'unixepoch') AS ended_at,
       a.ended_ms - (
           SELECT b.started_ms FROM smithers_attempts b
           WHERE b.run = a.run AND b.node = a.node AND b.scope = a.scope AND b.iteration = a.iteration
             AND b.generation = a.generation
           ORDER BY b.attempt LIMIT 1
       ) AS took_ms,
       CASE a.failure
           WHEN 1 THEN 'quota' WHEN 2 THEN 'throttle' WHEN 3 THEN 'auth' WHEN 4 THEN 'missing_binary'
           WHEN 5 THEN 'bad_output' WHEN 6 THEN 'timeout' WHEN 7 THEN 'stalled' WHEN 8 THEN 'crash'
           WHEN 9 THEN 'refusal' WHEN 10 THEN 'logic' WHEN 11 THEN 'lost' WHEN 12 THEN 'fatal'
       END AS failure,
       json_extract(a.error, '$.code') AS error_code,
       json_extract(a.error, '$.message') AS error,
       m.text AS output,
       o.seq AS seq,
       EXISTS (
           SELECT 1 FROM smithers_lookups l
           WHERE l.run = a.run AND l.node = a.node AND l.scope = a.scope AND l.iteration = a.iteration
             AND l.generation = a.generation AND l.attempt = a.attempt AND l.verdict = 'hit'
       ) AS cached
FROM smithers_attempts a
JOIN smithers_runs r ON r.id = a.run
JOIN smithers_names n ON n.id = a.node
JOIN smithers_names s ON s.id = a.scope
LEFT JOIN smithers_names g ON g.id = a.agent
LEFT JOIN smithers_nodes e ON e.run = a.run AND e.node = a.node AND e.scope = a.scope
    AND e.iteration = a.iteration AND e.generation = a.generation
LEFT JOIN smithers_outputs o ON o.run = a.run AND o.node = a.node AND o.scope = a.scope
    AND o.iteration = a.iteration AND o.generation = a.generation
LEFT JOIN smithers_names m ON m.id = o.model
WHERE NOT EXISTS (
    SELECT 1 FROM smithers_attempts b
    WHERE b.run = a.run AND b.node = a.node AND b.scope = a.scope AND b.iteration = a.iteration
      AND (b.generation, b.attempt) > (a.generation, a.attempt)
)
AND NOT EXISTS (
    SELECT 1 FROM smithers_nodes b
    WHERE b.run = a.run AND b.node = a.node AND b.scope = a.scope AND b.iteration = a.iteration
      AND b.generation > a.generation
)
UNION ALL
SELECT r.name, r.workflow, n.text, e.iteration, s.text,
       CASE e.state WHEN 3 THEN 'finished' WHEN 4 THEN 'failed' WHEN 5 THEN 'skipped' WHEN 6 THEN 'cancelled' END,
       e.reason, 0, NULL, NULL,
       strftime('%Y-%m-%dT%H:%M:%fZ', (r.created_ms + f.at_ms) / 1000.0, 'unixepoch'),
       NULL, NULL, NULL, NULL, NULL, NULL, 0
FROM smithers_nodes e
JOIN smithers_runs r ON r.id = e.run
JOIN smithers_names n ON n.id = e.node
JOIN smithers_names s ON s.id = e.scope
JOIN smithers_frames f ON f.run = e.run AND f.frame = e.frame
WHERE e.state NOT IN (3, 4) -- a script: it makes no attempts, and is no task
AND NOT EXISTS (
    SELECT 1 FROM smithers_attempts b
    WHERE b.run = e.run AND b.node = e.node AND b.scope = e.scope AND b.iteration = e.iteration
      AND b.generation >= e.generation
)
AND NOT EXISTS (
    SELECT 1 FROM smithers_nodes b
    WHERE b.run = e.run AND b.node = e.node AND b.scope = e.scope AND b.iteration = e.iteration
      AND b.generation > e.generation
)
UNION ALL
SELECT r.name, r.workflow, n.text, 0, '', 'pending', NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0
FROM smithers_mounts t
JOIN smithers_runs r ON r.id = t.run
JOIN smithers_names n ON n.id = t.node
JOIN smithers_specs p ON p.id = t.spec
WHERE t.to_frame IS NULL
AND json_extract(p.body, '$.kind') = 'task'
AND NOT EXISTS (SELECT 1 FROM smithers_attempts b WHERE b.run = t.run AND b.node = t.node)
AND NOT EXISTS (SELECT 1 FROM smithers_nodes b WHERE b.run = t.run AND b.node = t.node);

-- name: output_overview
CREATE VIEW "output_overview" AS /* smithers */
SELECT run, workflow, node, iteration, seq, scope, output,
       strftime('%Y-%m-%dT%H:%M:%fZ', finished_ms / 1000.0, 'unixepoch') AS finished_at,
       body AS json,
       CASE WHEN blob IS NOT NULL THEN 'blobs/' || lower(substr(hex(blob), 1, 2)) || '/' || lower(hex(blob)) END AS file
FROM smithers_current_outputs;

-- name: task_overview
CREATE VIEW "task_overview" AS /* smithers */ SELECT * FROM smithers_current_tasks;

-- name: call_overview
-- One row for each agent that an attempt has asked. What it did not tell is NULL, and no 0 that could be summed.
CREATE VIEW "call_overview" AS /* smithers */
SELECT r.name AS run,
       r.workflow AS workflow,
       n.text AS node,
       c.iteration AS iteration,
       s.text AS scope,
       c.generation AS generation,
       c.attempt AS attempt,
       c.agent AS agent,
       c.account AS account,
       nullif(c.model, '') AS model,
       c.session AS session,
       c.is_continued AS continued,
       iif(c.input_tokens + c.output_tokens > 0, c.input_tokens, NULL) AS input_tokens,
       iif(c.input_tokens + c.output_tokens > 0, c.output_tokens, NULL) AS output_tokens,
       iif(c.input_tokens + c.output_tokens > 0, c.cache_read_tokens, NULL) AS cache_read_tokens,
       iif(c.input_tokens + c.output_tokens > 0, c.cache_write_tokens, NULL) AS cache_write_tokens,
       c.cost_micros / 1000000.0 AS usd,
       CASE iif(c.cost_micros IS NULL, 0, c.cost_source) WHEN 1 THEN 'cli' WHEN 2 THEN 'prices' END AS cost_source,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.at_ms / 1000.0, 'unixepoch') AS told_at
FROM smithers_calls c
JOIN smithers_runs r ON r.id = c.run
JOIN smithers_names n ON n.id = c.node
JOIN smithers_names s ON s.id = c.scope;

-- name: wait_overview
-- What runs wait, and have waited, for: people, messages and times.
CREATE VIEW "wait_overview" AS /* smithers */
SELECT r.name AS run,
       r.workflow AS workflow,
       n.text AS node,
       w.iteration AS iteration,
       s.text AS scope,
       w.generation AS generation,
       w.number AS number,
       CASE w.kind WHEN 1 THEN 'approval' WHEN 2 THEN 'human' WHEN 3 THEN 'event' WHEN 4 THEN 'timer' END AS kind,
       CASE w.state WHEN 1 THEN 'open' WHEN 2 THEN 'decided' WHEN 3 THEN 'settled' WHEN 4 THEN 'withdrawn' END AS status,
       json_extract(w.spec, '$.title') AS title,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.opened_ms / 1000.0, 'unixepoch') AS opened_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.due_ms / 1000.0, 'unixepoch') AS due_at,
       json_extract(w.result, '$.approved') AS approved,
       json_extract(w.result, '$.by') AS decided_by,
       json_extract(w.result, '$.note') AS note,
       w.spec AS asked,
       w.result AS result
FROM smithers_waits w
JOIN smithers_runs r ON r.id = w.run
JOIN smithers_names n ON n.id = w.node
JOIN smithers_names s ON s.id = w.scope;
