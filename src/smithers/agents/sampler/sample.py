"""The value that a rehearsal answers with."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

from smithers.errors import AgentError
from smithers.prompt import json_schema

from .maker import Maker
from .repair import Repair


def sample(schema: type[BaseModel], *, salt: str = "") -> Any:
    """A JSON value that the model accepts: readable, and the same for the same model and salt everywhere.

    Booleans that read as a verdict (`approved`, `is_done`, `tests_passed`) are true and those that read as a
    complaint (`needs_work`, `has_errors`) false; a choice takes its approving option. So review loops end.

    Raises:
        AgentError: no value was found, because a validator refuses all of them or the model has no finite
            value; names the paths.
    """
    maker = Maker(json_schema(schema), salt)
    if maker.height(maker.root) == math.inf:
        raise AgentError(
            f"{schema.__name__} has no finite value: it requires itself",
            hint="make one of the fields on the way round optional",
        )
    return Repair(schema, maker).run()
