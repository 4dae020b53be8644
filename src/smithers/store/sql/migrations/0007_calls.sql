-- What agents were asked, and whose limits are used up.

-- One row for each agent that an attempt has asked, if it has told of a conversation or of what it cost. Tokens and
-- money are those of this attempt alone. The words are texts, not names: few rows, and read by people.
CREATE TABLE smithers_calls (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- Which of the agents that the attempt has asked; counts from 0.
    rank INTEGER NOT NULL,
    agent TEXT NOT NULL,
    account TEXT NOT NULL,
    model TEXT NOT NULL,
    -- Name by which the conversation can be continued; NULL: it has told none.
    session TEXT,
    -- It went on with a conversation of an earlier attempt, or another task's.
    is_continued INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    -- Millionths of a US dollar; NULL: nobody says. 1: the agent's program says so, 2: a list of prices does.
    cost_micros INTEGER,
    cost_source INTEGER NOT NULL,
    -- JSON: where the counters of the conversation stand, of an agent that counts over all of it.
    counted TEXT,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (run, node, scope, iteration, generation, attempt, rank)
) WITHOUT ROWID;

-- Accounts of agents whose limit is used up: nothing of them is asked before `until_ms`, by any run. Times are
-- milliseconds since 1970. A row whose time has passed means nothing but its `strikes`.
CREATE TABLE smithers_accounts (
    account TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    -- Limits in a row for which the agent named no reset.
    strikes INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;

-- What has been spent under each budget, and under node 0 by the whole run. What is reserved for calls in flight is
-- part of it, so that a crash forgets none of them: a reservation becomes what was really spent when the call ends.
CREATE TABLE smithers_budgets (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    -- Millionths of a US dollar.
    cost_micros INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    -- How long at least one of its tasks was running.
    active_ms INTEGER NOT NULL,
    -- Of one call: what is reserved for the next.
    largest_tokens INTEGER NOT NULL,
    largest_micros INTEGER NOT NULL,
    -- Calls whose cost nobody knows.
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (run, node, scope, iteration)
) WITHOUT ROWID;

-- Places of agents that are at work, over all runs. A place of an owner that is gone is free.
CREATE TABLE smithers_places (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    pool TEXT NOT NULL,
    account TEXT NOT NULL,
    -- For whom: the run's and the node's names.
    run TEXT NOT NULL,
    node TEXT NOT NULL,
    since_ms INTEGER NOT NULL
);

-- How many places a pool, or an account, has, where somebody has said so.
CREATE TABLE smithers_pools (
    name TEXT PRIMARY KEY,
    size INTEGER NOT NULL
) WITHOUT ROWID;
