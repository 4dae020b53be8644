"""What an approval comes to."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class ApprovalDecision(BaseModel):
    """Somebody's decision; stored once, and never changed."""

    model_config = ConfigDict(frozen=True)

    approved: bool
    selected: str | None = None
    """Key of the option that was chosen, where one was to be."""
    ranking: list[str] = []
    """Keys of all options, the best first, where they were to be ranked."""
    by: str
    """Who decided; `smithers:…`: the run itself, by a rule of its workflow."""
    at: datetime
    note: str | None = None
