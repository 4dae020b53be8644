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
