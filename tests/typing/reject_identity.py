"""A key is a value with parts, not a string; a state is not a number."""

from __future__ import annotations

from smithers.ids import NodeKey
from smithers.records import NodeState, OutputRef, RunState

OutputRef("draft", 0)  # expect-error
NodeKey("draft", iteration="2")  # expect-error
state: RunState = NodeState.FINISHED  # expect-error
NodeKey("draft").iteration = 3  # expect-error
