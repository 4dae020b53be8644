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
