-- Places of agents that are at work.

-- name: taken
-- All places, with the owner they belong to (NULLs once it was forgotten).
SELECT p.id, p.owner, p.pool, p.account, p.run, p.node, p.since_ms,
       o.id, o.host, o.boot, o.namespace, o.pid, o.ticks, o.started_ms, o.expires_wall_ms, o.expires_monotonic_ms
FROM smithers_places p LEFT JOIN smithers_owners o ON o.id = p.owner
ORDER BY p.id;

-- name: take
INSERT INTO smithers_places (owner, pool, account, run, node, since_ms) VALUES (?, ?, ?, ?, ?, ?);

-- name: free
DELETE FROM smithers_places WHERE id = ?;

-- name: sizes
SELECT name, size FROM smithers_pools ORDER BY name;

-- name: set_size
INSERT INTO smithers_pools (name, size) VALUES (?, ?) ON CONFLICT DO UPDATE SET size = excluded.size;

-- name: unset_size
DELETE FROM smithers_pools WHERE name = ?;
