-- Leases: who drives what.

-- name: add_owner
INSERT INTO smithers_owners
    (host, boot, namespace, pid, ticks, started_ms, expires_wall_ms, expires_monotonic_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: renew_owner
UPDATE smithers_owners SET expires_wall_ms = ?, expires_monotonic_ms = ? WHERE id = ?;

-- name: disown_runs
UPDATE smithers_runs SET owner = NULL WHERE owner = ?;

-- name: disown_run
UPDATE smithers_runs SET owner = NULL WHERE id = ? AND owner = ?;

-- name: remove_owner
DELETE FROM smithers_owners WHERE id = ?;

-- name: remove_idle_owner
-- An owner that is gone stays on record while a run still names it.
DELETE FROM smithers_owners WHERE id = :owner AND NOT EXISTS (SELECT 1 FROM smithers_runs WHERE owner = :owner);

-- name: idle_owners
-- Those that drive nothing: starting, leaving, or killed in between.
SELECT id, host, boot, namespace, pid, ticks, started_ms, expires_wall_ms, expires_monotonic_ms
FROM smithers_owners
WHERE NOT EXISTS (SELECT 1 FROM smithers_runs WHERE owner = smithers_owners.id);

-- name: has_owner
SELECT 1 FROM smithers_owners WHERE id = ?;

-- name: holder
-- A run, when its present owner began, and that owner (NULLs without one).
SELECT r.name, r.started_ms,
       o.id, o.host, o.boot, o.namespace, o.pid, o.ticks, o.started_ms, o.expires_wall_ms, o.expires_monotonic_ms
FROM smithers_runs r LEFT JOIN smithers_owners o ON o.id = r.owner
WHERE r.id = ?;

-- name: claim
-- The state stays: the first frame of the new owner changes it.
UPDATE smithers_runs SET owner = ?, fence = fence + 1, started_ms = ?, ended_ms = NULL
WHERE id = ?
RETURNING fence;

-- name: release
-- `ended_ms`, which the claim cleared, is the time of the frame that ended the run (states from 4 on).
UPDATE smithers_runs
SET owner = NULL,
    ended_ms = CASE WHEN state >= 4
        THEN created_ms + (SELECT f.at_ms FROM smithers_frames f WHERE f.run = smithers_runs.id AND f.frame = smithers_runs.frame)
    END
WHERE id = ? AND fence = ?;

-- name: owners
SELECT id, host, boot, namespace, pid, ticks, started_ms, expires_wall_ms, expires_monotonic_ms
FROM smithers_owners ORDER BY id;
