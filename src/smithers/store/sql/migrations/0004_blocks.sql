-- What try blocks and sagas remember.

-- One row a block and frame that moved it on: the newest stands. Rows are never updated and never deleted.
CREATE TABLE smithers_blocks (
    run INTEGER NOT NULL,
    node INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    -- Part under way: body, catch, finally, action:2, undo:1; empty: it has ended; NULL: it is open again, from
    -- its beginning.
    at TEXT,
    -- How it ends once that part has run: 1 well, 4 by a failure that is tolerated, 5 by a failure, 6 cancelled.
    outcome INTEGER NOT NULL,
    -- JSON: [node, scope, iteration] of the failure behind that; NULL: none.
    cause TEXT,
    -- JSON: names of the parts that settled.
    done TEXT NOT NULL,
    -- JSON: failures of compensations, each as in `cause`.
    broken TEXT NOT NULL,
    -- JSON: tasks in it that are open again since this frame, each as in `cause`; they may have no newer row yet.
    again TEXT NOT NULL,
    PRIMARY KEY (run, node, scope, iteration, frame)
) WITHOUT ROWID;
