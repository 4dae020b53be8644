-- What a supervisor has to know of runs that nobody drives.

-- One row a run that was found without its owner, or that could not be resumed: how often in a row that has
-- happened without a task having settled in between. A row whose `settled` is not the run's any more means nothing.
CREATE TABLE smithers_revivals (
    run INTEGER PRIMARY KEY,
    -- Of the owner that was lost last: each is counted once, whoever sees it first.
    fence INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    -- Tasks that had settled by then, in the run and in those that belong to it.
    settled INTEGER NOT NULL,
    -- Why it could not be resumed; NULL: its owner has died.
    why TEXT
);

-- Runs that their owner gave up in mid-run: few, among any number that have ended.
CREATE INDEX smithers_runs_left ON smithers_runs (id) WHERE state = 1 AND owner IS NULL;
