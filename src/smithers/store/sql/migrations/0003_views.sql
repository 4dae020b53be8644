-- Outputs as tables, for people: which views there are, and what they are made of.

-- One row a workflow and output (name of a model, or of a named output). Rows are never deleted, columns never
-- leave and never change their name, so that a query that worked goes on working.
CREATE TABLE smithers_views (
    workflow TEXT NOT NULL,
    output TEXT NOT NULL,
    -- JSON: [[path, name], …]; a path is a list of keys, a name that is null is chosen when the view is made.
    columns TEXT NOT NULL,
    -- Of its view; NULL: none could be made (yet).
    name TEXT,
    -- What is not as one would expect: another name, columns left out, why there is no view.
    note TEXT,
    PRIMARY KEY (workflow, output)
) WITHOUT ROWID;

-- What can be had for outputs from before: a column for each key that their JSON has, else one for all of it.
INSERT INTO smithers_views (workflow, output, columns)
WITH bodies AS (
    SELECT r.workflow AS workflow, m.text AS output, o.seq AS seq,
           CASE WHEN json_valid(o.body) THEN o.body END AS body
    FROM smithers_outputs o
    JOIN smithers_runs r ON r.id = o.run
    JOIN smithers_names m ON m.id = o.model
),
keys AS (
    SELECT workflow, output, json_array(k.key) AS path, min(k.id) AS place
    FROM bodies, json_each(CASE WHEN json_type(body) = 'object' THEN body ELSE '{}' END) k
    GROUP BY workflow, output, k.key
    UNION ALL
    SELECT workflow, output, '[]', 0 FROM bodies WHERE json_type(body) <> 'object' GROUP BY workflow, output
    ORDER BY workflow, output, place
)
SELECT workflow, output,
       (SELECT json_group_array(json_array(json(k.path), NULL)) FROM keys k
        WHERE k.workflow = b.workflow AND k.output = b.output)
FROM (SELECT DISTINCT workflow, output FROM bodies) b;
