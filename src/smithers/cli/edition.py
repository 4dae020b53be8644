"""The code of a workflow imported again, while the code that is in use stays in use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from smithers.cli.load import Target, load
from smithers.cli.sources import own_modules
from smithers.nodes.importable import set_aside

if TYPE_CHECKING:
    from smithers.engine.definition import Definition


@dataclass(frozen=True, slots=True)
class Edition:
    """One import of a workflow and of the project's modules that it uses."""

    definition: Definition
    modules: Mapping[str, ModuleType]
    roots: tuple[Path, ...]

    def install(self) -> Callable[[], None]:
        """Have its modules stand under their names; returns what puts those that stood there back."""
        before = own_modules(sys.modules, self.roots)
        set_aside.update(before)
        _replace(before, self.modules)
        return lambda: _replace(own_modules(sys.modules, self.roots), before)


def load_anew(target: Target, roots: tuple[Path, ...], edited: Iterable[Path]) -> Edition:
    """Import a workflow, and every module of the project that it needs, from what the files hold now.

    All of them and not only the edited ones: a module that was left out would go on with functions and
    classes of those that it had imported before. Afterwards the modules in use stand under their names again.

    Args:
        roots: folders whose modules are the project's.
        edited: files that have changed since they were imported.
    Raises:
        SmithersError: what `load` raises.
    """
    before = own_modules(sys.modules, roots)
    # Meanwhile the run goes on, and may ask under which name a function of its own is found.
    set_aside.update(before)
    for path in edited:
        drop_bytecode(path)
    importlib.invalidate_caches()
    for name in before:
        sys.modules.pop(name, None)
    try:
        workflow = load(target)
        return Edition(workflow.definition, own_modules(sys.modules, roots), roots)
    finally:
        _replace(own_modules(sys.modules, roots), before)


def _replace(standing: Iterable[str], modules: Mapping[str, ModuleType]) -> None:
    for name in standing:
        if name not in modules:
            sys.modules.pop(name, None)
    sys.modules.update(modules)
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent in sys.modules:
            with suppress(AttributeError):
                setattr(sys.modules[parent], child, module)


def drop_bytecode(path: Path) -> None:
    """Forget what Python has cached of a file.

    It takes a cache for good if the file has the size, and the second of its last change, that it had then:
    https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
    """
    with suppress(OSError, NotImplementedError):
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
