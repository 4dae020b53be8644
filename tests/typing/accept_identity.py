"""Keys and stored facts keep their types on the way through."""

from __future__ import annotations

from typing import assert_type

from smithers.ids import NodeKey, check_node_id
from smithers.records import NodeState, OutputRef, RunState

key = NodeKey("draft", iteration=2)
assert_type(key.iteration, int)
assert_type(OutputRef(key, 0).key, NodeKey)
assert_type(check_node_id(object()), str)
assert_type(RunState.FINISHED.has_ended, bool)
assert_type(NodeState(2), NodeState)
