"""Views of stored runs: pure functions from rows to facts that a person or a program looks at.

    snapshot    the rows of one run, read together
    tree        its mounted nodes in document order, and the pass each one is in
    node_view   one node in one pass: state, attempts, error
    run_view    everything about a run, also as JSON
    summary     one run in one line
    lookup      the run or the node that a person's word means
    why         what a run, or one node, waits for
    explanation the answer to that
    quota       whose limits are waited for, until when
    spending    what agents have cost
    log_line    one event in one line
    next_step   the commands that help
    moment      instants and spans as people write them

Nothing here prints, and nothing here writes: commands and pages show what these functions return.
"""
