-- Which run belongs to which.

-- Runs that are what a node of another run does. One a node, pass and generation; a later generation may go on
-- with the same child.
CREATE TABLE smithers_children (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    child INTEGER NOT NULL,
    PRIMARY KEY (run, node, scope, iteration, generation)
) WITHOUT ROWID;
CREATE INDEX smithers_children_by_child ON smithers_children (child);

-- Runs that began where another one ended. UNIQUE: a run goes on once.
CREATE TABLE smithers_lineages (
    run INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL UNIQUE,
    -- The run that the lineage began with, and this one's place in it, counted from 1.
    first INTEGER NOT NULL,
    number INTEGER NOT NULL,
    -- What it was given, as exact JSON text. `blob` is the SHA-256 of a text that lives in a file instead.
    state TEXT NOT NULL,
    blob BLOB
);
CREATE INDEX smithers_lineages_by_first ON smithers_lineages (first);
