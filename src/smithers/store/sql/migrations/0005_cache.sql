-- Outputs that later attempts may take instead of executing, and what attempts found among them.

-- One row for a key and what the task's code had read by itself: what was stored last stands. The value is the output that the row names, which the same
-- transaction has stored. Rows may be deleted at any time: that costs a repetition, and nothing else.
CREATE TABLE smithers_cache (
    workflow INTEGER NOT NULL,
    node INTEGER NOT NULL,
    -- 0: for all runs of the workflow; else the only run that may use it.
    only_run INTEGER NOT NULL,
    key BLOB NOT NULL,
    -- JSON: a hash of each part of the key, by the part's name. It says what has changed when a key is not found.
    parts TEXT NOT NULL,
    -- JSON: a hash of each thing that the task's code had read by itself.
    seen TEXT NOT NULL,
    run INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    -- JSON: what the attempt had read; NULL: nothing beside what it was given.
    reads TEXT,
    PRIMARY KEY (workflow, node, only_run, key, seen)
) WITHOUT ROWID;
CREATE INDEX smithers_cache_by_age ON smithers_cache (workflow, node, only_run, stored_ms);

-- One row for each attempt of a task with a cache.
CREATE TABLE smithers_lookups (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- hit, or why not: differs, expired, unfit, unreadable, refused, empty, rerun, unknown.
    verdict TEXT NOT NULL,
    -- JSON: the key, the entry that was found or was nearest, and in what that one differs.
    data TEXT NOT NULL,
    PRIMARY KEY (run, node, scope, iteration, generation, attempt)
) WITHOUT ROWID;
