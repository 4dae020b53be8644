-- Waiting for people, messages and times.

-- One row a wait, from the moment it is entered. Times are milliseconds since 1970: few rows, looked at across runs.
CREATE TABLE smithers_waits (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    -- 0: the node's own; from 1 on: what its agent has asked while it worked.
    number INTEGER NOT NULL,
    -- 1 approval, 2 human, 3 event, 4 timer.
    kind INTEGER NOT NULL,
    -- 1 open, 2 decided and not gone on by yet, 3 settled, 4 withdrawn. Whoever moves it on from 1 has won.
    state INTEGER NOT NULL,
    from_frame INTEGER NOT NULL,
    to_frame INTEGER,
    opened_ms INTEGER NOT NULL,
    due_ms INTEGER,
    -- JSON: what is asked, of whom, and what happens at the deadline.
    spec TEXT NOT NULL,
    -- JSON: what it came to.
    result TEXT,
    PRIMARY KEY (run, node, scope, iteration, generation, number)
) WITHOUT ROWID;
CREATE INDEX smithers_waits_open ON smithers_waits (run) WHERE state = 1;

-- What people, links and programs have said to waits. Rows are never changed and never deleted.
CREATE TABLE smithers_votes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    word TEXT NOT NULL,
    data TEXT NOT NULL,
    by TEXT NOT NULL,
    note TEXT,
    -- Nonce of the link that it came by: each counts once.
    link TEXT UNIQUE,
    at_ms INTEGER NOT NULL
);
CREATE INDEX smithers_votes_by_wait ON smithers_votes (run, node, scope, iteration, generation, number);

-- Signals, taken or not, by run: kind 3 of the inbox.
CREATE INDEX smithers_inbox_signals ON smithers_inbox (run) WHERE kind = 3;

-- The outbox: what somebody wants to be told of.

-- A row is written by the frame that causes it, only where somebody wants notices, and stays. Few rows, so kinds and
-- ways are words. Times are milliseconds since 1970.
CREATE TABLE smithers_notices (
    id INTEGER PRIMARY KEY,
    -- Its own in all the world: what receivers tell a repetition by.
    uid TEXT NOT NULL,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    -- The wait that it is about; all NULL: the whole run.
    node INTEGER,
    scope INTEGER,
    iteration INTEGER,
    generation INTEGER,
    number INTEGER,
    -- JSON.
    data TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    -- Ways by which it has been delivered, with blanks between them.
    taken TEXT NOT NULL DEFAULT '',
    -- When it is due; NULL: it is done with. Who delivers it moves it ahead first, so that nobody else does.
    next_ms INTEGER,
    -- Whether `next_ms` is the end of a claim, and not of a delay.
    claimed INTEGER NOT NULL DEFAULT 0,
    sent_ms INTEGER,
    -- Why the last try failed.
    error TEXT
);
CREATE INDEX smithers_notices_open ON smithers_notices (next_ms) WHERE next_ms IS NOT NULL;

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
