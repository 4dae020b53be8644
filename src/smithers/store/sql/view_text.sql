-- The text of views; words in braces are filled in, quoted. `/* smithers */` tells a view of ours from a user's.

-- name: view
CREATE VIEW {view} AS /* smithers */
SELECT run, node, iteration, seq{columns}
FROM smithers_current_outputs
WHERE workflow = {workflow} AND output = {output};

-- name: column
,
       {value} AS {column}

-- name: field
json_extract({source}, {path})

-- name: odd_field
-- A key that no JSON path can name: it is empty, or has quotes in it.
(SELECT value FROM json_each({source}, {path}) WHERE key = {key})

-- name: odd_object
-- The same where further keys follow; what is no object has none, and may not even be JSON.
(SELECT CASE type WHEN 'object' THEN value END FROM json_each({source}, {path}) WHERE key = {key})

-- name: short_view
CREATE VIEW {view} AS /* smithers */ SELECT * FROM {whole};

-- name: drop
DROP VIEW {view};
