"""What the engine needs to know of a workflow; `smithers.authoring` makes it from the author's function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smithers.errors import Place
from smithers.nodes import AgentLike
from smithers.store import Durability


@dataclass(frozen=True, slots=True)
class Definition:
    """One workflow."""

    name: str
    function: Callable[[Any], object]
    place: Place | None
    input_model: type[Any] | None
    """Pydantic model of the input; None: any JSON object."""
    output_model: str | None
    """Name of the model whose newest row is the run's own output; None: the newest row of all."""
    outputs: Mapping[str, type[Any]] = field(default_factory=dict)
    """Models of named outputs."""
    durability: Durability = "full"
    max_concurrency: int | None = None
    """Running attempts of one run; None: the default."""
    is_script: bool = False
    """The function is a coroutine's: what it awaits is its tree."""
    returns: type[Any] | None = None
    """Of a script: the model of its value; None: any JSON, or nothing."""
    agents: Mapping[str, AgentLike] = field(default_factory=dict)
    """Whom `smithers.dynamic.agent` asks, by model."""
    policy: Callable[[Any], object] | None = None
    """Asked before each attempt whether it may begin: a `Policy`."""
    base: Path | None = None
    """Folder of the workflow's file, for its prompts."""

    def source(self, project: Path | None) -> str:
        """How to load this workflow again: `file.py:name`, relative to the project where it lies in it."""
        if self.place is None:
            return self.name
        file = Path(self.place.file).resolve()
        shown = file.relative_to(project) if project is not None and file.is_relative_to(project) else file
        return f"{shown.as_posix()}:{self.function.__name__}"
