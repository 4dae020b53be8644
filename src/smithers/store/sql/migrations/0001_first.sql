-- Everything a run is made of.
--
-- Compact on purpose: states, types and times are integers, node ids and other repeated words are interned, and
-- each table is ordered by its natural key, so that a task costs a few hundred bytes. Times are milliseconds: since
-- 1970 for runs, owners, deadlines and messages; since the run's `created_ms` in the rows that come by the thousand
-- (frames, attempts, events), where that saves half of each. The numbers behind `state`, `type`, `failure` and `verdict` stand in `smithers.records` and never change
-- their meaning. Rows are inserted once and closed at most once; only deadlines and owners are ever deleted.

-- Words used again and again: node ids, scopes, models, agents. Id 0 is the empty word.
CREATE TABLE smithers_names (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
INSERT INTO smithers_names (id, text) VALUES (0, '');

-- Engine processes that hold, or held, leases. AUTOINCREMENT: an id that came back would let a process whose row
-- was removed renew the lease of another.
CREATE TABLE smithers_owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    boot TEXT NOT NULL,
    namespace TEXT NOT NULL,
    pid INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    expires_wall_ms INTEGER NOT NULL,
    expires_monotonic_ms INTEGER NOT NULL
);

-- What moves while a run goes on. Each frame rewrites this row, so nothing large lives in it.
CREATE TABLE smithers_runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    workflow TEXT NOT NULL,
    state INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    owner INTEGER,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    error TEXT,
    output_node INTEGER,
    output_scope INTEGER,
    output_iteration INTEGER,
    output_generation INTEGER
);
CREATE INDEX smithers_runs_by_owner ON smithers_runs (owner) WHERE owner IS NOT NULL;

-- What a run was started with; never changes. The input may be a megabyte.
CREATE TABLE smithers_inputs (
    run INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    config TEXT NOT NULL,
    input TEXT NOT NULL
);

CREATE TABLE smithers_frames (
    run INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    rendered INTEGER NOT NULL,
    PRIMARY KEY (run, frame)
) WITHOUT ROWID;

-- What nodes are: JSON by its 16-byte hash, shared by all runs.
CREATE TABLE smithers_specs (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL
);

-- The tree: a node stands in it from `from_frame` to `to_frame`, both included.
CREATE TABLE smithers_mounts (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    from_frame INTEGER NOT NULL,
    to_frame INTEGER,
    parent INTEGER NOT NULL,
    position INTEGER NOT NULL,
    spec INTEGER NOT NULL,
    -- Ids that a task waits for; not in `spec`, which tasks that differ by them share.
    edges TEXT,
    PRIMARY KEY (run, node, from_frame)
) WITHOUT ROWID;

-- One row a node, pass and generation: how it settled.
CREATE TABLE smithers_nodes (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    state INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (run, node, scope, iteration, generation)
) WITHOUT ROWID;

-- One row a try; open while `to_frame` is NULL.
CREATE TABLE smithers_attempts (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state INTEGER NOT NULL,
    from_frame INTEGER NOT NULL,
    to_frame INTEGER,
    start_seq INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    agent INTEGER,
    failure INTEGER,
    counted INTEGER NOT NULL,
    error TEXT,
    heartbeat TEXT,
    prompt BLOB,
    fingerprint BLOB,
    PRIMARY KEY (run, node, scope, iteration, generation, attempt)
) WITHOUT ROWID;

-- What tasks answered, as exact JSON text. `blob` is the SHA-256 of a body that lives in a file instead.
CREATE TABLE smithers_outputs (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    model INTEGER NOT NULL,
    body TEXT NOT NULL,
    blob BLOB,
    PRIMARY KEY (run, node, scope, iteration, generation)
) WITHOUT ROWID;

-- Judged passes of loops.
CREATE TABLE smithers_passes (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    pass INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    PRIMARY KEY (run, node, scope, iteration, pass)
) WITHOUT ROWID;

-- Deadlines, in wall-clock time; a row goes when its deadline no longer stands.
CREATE TABLE smithers_wakeups (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    kind TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (run, node, scope, iteration, kind)
) WITHOUT ROWID;
CREATE INDEX smithers_wakeups_by_due ON smithers_wakeups (due_ms);

-- Messages to a run's owner; open while `taken_frame` is NULL.
CREATE TABLE smithers_inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    data TEXT,
    at_ms INTEGER NOT NULL,
    by TEXT NOT NULL,
    taken_frame INTEGER
);
CREATE INDEX smithers_inbox_open ON smithers_inbox (run) WHERE taken_frame IS NULL;

-- What happened, in order. `data` is JSON with what the columns do not say, mostly nothing.
CREATE TABLE smithers_events (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    data TEXT,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
