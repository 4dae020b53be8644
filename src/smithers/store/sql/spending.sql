-- What agents have cost.

-- name: spent
-- Of each run given (a JSON array of ids) and all that belongs to it: the runs before it in its lineage, and its
-- children with theirs; by agent. Each run counts once, however many generations of a node went on with it. NULL: nobody says.
WITH RECURSIVE family(top, run) AS (
    SELECT value, value FROM json_each(?)
    UNION
    SELECT f.top, l.previous FROM family f JOIN smithers_lineages l ON l.run = f.run
    UNION
    SELECT f.top, c.child FROM family f JOIN smithers_children c ON c.run = f.run
    UNION
    SELECT f.top, l.run
    FROM family f JOIN smithers_children c ON c.run = f.run JOIN smithers_lineages l ON l.first = c.child
)
SELECT f.top, c.agent, count(*), sum(c.input_tokens + c.output_tokens > 0), count(c.cost_micros), sum(c.input_tokens),
       sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_tokens), sum(c.cost_micros),
       CASE max(iif(c.cost_micros IS NULL, 0, c.cost_source)) WHEN 1 THEN 'cli' WHEN 2 THEN 'prices' ELSE '' END,
       iif(min(c.model) = max(c.model), min(c.model), '')
FROM family f JOIN smithers_calls c ON c.run = f.run
GROUP BY f.top, c.agent
ORDER BY f.top, c.agent;
