-- What agents were asked and what they said: a file of its own beside the store, which may lose its last moments.
--
-- Times are milliseconds: of a conversation since 1970, of an entry since its conversation began. `run` is the
-- number of the run in the store. The numbers behind `kind` stand in `smithers.records.transcript`. Rows are inserted
-- once; the oldest runs' are deleted when the file has reached its limit.

-- One agent in one attempt. AUTOINCREMENT: who writes keeps the id, and an id that came back would be another's.
CREATE TABLE smithers_conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    node TEXT NOT NULL,
    scope TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    agent TEXT NOT NULL,
    began_ms INTEGER NOT NULL
);
CREATE INDEX smithers_conversations_by_run ON smithers_conversations (run);

CREATE TABLE smithers_entries (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    text TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX smithers_entries_by_conversation ON smithers_entries (conversation);
