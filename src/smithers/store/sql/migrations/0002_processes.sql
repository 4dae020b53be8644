-- Programs that were started for attempts. A row stands before the first line of its program runs, and is closed
-- when nothing of its tree is left: an open row is what a later start, or a new owner of the run, looks for.
--
-- `boot`, `namespace`, `pid` and `ticks` tell one process from every other there ever was; `mark` is the value of
-- SMITHERS_ATTEMPT in the environment of the whole tree. Its first part names the file that this row was written to,
-- so that a copy of the database claims nobody's processes. Times are milliseconds since 1970.
CREATE TABLE smithers_processes (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    boot TEXT NOT NULL,
    namespace TEXT NOT NULL,
    pid INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    mark TEXT NOT NULL,
    program TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    -- Exit status, or the negative number of the signal; NULL where nobody of ours was there to see it.
    status INTEGER
);
CREATE INDEX smithers_processes_by_run ON smithers_processes (run);
CREATE INDEX smithers_processes_open ON smithers_processes (id) WHERE ended_ms IS NULL;
