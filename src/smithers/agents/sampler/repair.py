"""Changes a value until its model accepts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from smithers.errors import AgentError

from .maker import Maker
from .part import DROP, Path, get, locate, put
from .proposal import Fault, proposals
from .text import uuid_text

_CHECKS: Final = 800
"""Validations that one sample may cost before its model counts as impossible to please."""


class Repair:
    """Changes a value, one fault at a time, until its model accepts it."""

    def __init__(self, schema: type[BaseModel], maker: Maker) -> None:
        self.schema = schema
        self.maker = maker
        self.checks = 0

    def run(self) -> Any:
        value = self.maker.value(self.maker.root)
        faults = self.check(value)
        seen = {_key(value)}
        while faults:
            if (better := self.improve(value, faults, seen)) is None:
                raise self.impossible(faults)
            value, faults = better
        return value

    def improve(self, value: Any, faults: list[Fault], seen: set[str]) -> tuple[Any, list[Fault]] | None:
        """The first change that ends a fault without being a step back; None if there is none."""
        for fault in faults:
            for changed in self.changes(value, fault):
                if self.checks >= _CHECKS:
                    return None
                if (key := _key(changed)) in seen:
                    continue
                seen.add(key)
                left = self.check(changed)
                # Another fault in the place of this one is progress too: the model checks in layers.
                if len(left) < len(faults) or all(
                    now.loc != fault.loc or now.kind != fault.kind for now in left
                ):
                    return changed, left
        return None

    def check(self, value: Any) -> list[Fault]:
        self.checks += 1
        text = json.dumps(value)
        try:
            # A copy: validators that run before the fields often take things out of what they are given.
            self.schema.model_validate(json.loads(text))
            return []
        except ValidationError:
            pass
        except Exception as error:  # noqa: BLE001
            # A validator of the author's that expects another shape: try others, and quote it if none do.
            return [Fault((), type(error).__name__, str(error), {}, value)]
        try:
            # A strict model takes its dates and sets only from JSON, which is what an agent would send.
            self.schema.model_validate_json(text)
            return []
        except ValidationError as error:
            return [
                Fault(found["loc"], found["type"], found["msg"], found.get("ctx", {}), found["input"])
                for found in error.errors(include_url=False)
            ]

    def impossible(self, faults: list[Fault]) -> AgentError:
        first = faults[0]
        path = ".".join(map(str, first.loc)) or "$"
        return AgentError(
            f"no rehearsed value fits {self.schema.__name__} at {path}: {first.message}",
            hint="a validator of the model refuses every value tried there; "
            "give the rehearsal one yourself: RehearsalAgent(answers={task id: value})",
            errors=[
                {"path": ".".join(map(str, fault.loc)) or "$", "message": fault.message}
                for fault in faults[:20]
            ],
        )

    def changes(self, value: Any, fault: Fault) -> Iterator[Any]:
        """Other values, the most likely repair first."""
        path = locate(value, fault.loc)
        if fault.loc[-1:] == ("[key]",) and path:
            yield from self.other_keys(value, path)
        for part in proposals(fault):
            yield put(value, path, part)
        if fault.kind == "missing":
            yield put(value, fault.loc, "rehearsed")
        if fault.kind in ("too_short", "string_too_short") and path in self.maker.slots:
            self.maker.at_least[path] = fault.context["min_length"]
            yield put(value, path, self.maker.remake(path, 0))
        for depth in range(len(path), -1, -1):
            yield from self.remade(value, path[:depth])

    def remade(self, value: Any, path: Path) -> Iterator[Any]:
        slot = self.maker.slots.get(path)
        if slot is None:
            return
        for turn in range(1, 41):
            yield put(value, path, self.maker.remake(path, turn))
            if turn == 8 and slot.is_optional:
                yield put(value, path, DROP)

    def other_keys(self, value: Any, path: Path) -> Iterator[Any]:
        parent = get(value, path[:-1])
        if not isinstance(parent, dict):
            return
        rest = {key: part for key, part in parent.items() if key != path[-1]}
        number = len(rest) + 1
        while rest.keys() & (ideas := _key_ideas(number)):
            number += 1
        for key in (*ideas, "true", "false"):
            if key not in rest:
                yield put(value, path[:-1], {**rest, key: parent[path[-1]]})


def _key_ideas(number: int) -> list[str]:
    day = date(2024, 1, 1) + timedelta(days=number)
    return [str(number), day.isoformat(), f"{day}T09:00:00Z", f"{number}.5", uuid_text(number, "4")]


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
