"""Agents that are programs: how one call of such a program goes, whatever program it is.

`agent` is what adapters subclass, `fold` what they implement; `conversation` hears a program out under three
clocks, `errand` asks a program something beside a call; the rest helps adapters to read what nobody promised
them.
"""

from __future__ import annotations

from .agent import CliAgent as CliAgent
from .errand import Answer as Answer
from .errand import Once as Once
from .errand import errand as errand
from .failing import of_message as of_message
from .failing import of_status as of_status
from .failing import speaks_of_quota as speaks_of_quota
from .failing import without_result as without_result
from .fold import Ending as Ending
from .fold import Fold as Fold
from .fold import Invocation as Invocation
from .json_value import at as at
from .json_value import content_text as content_text
from .json_value import count_at as count_at
from .json_value import list_at as list_at
from .json_value import number_at as number_at
from .json_value import text_at as text_at
from .limit import LONGEST_WAIT_S as LONGEST_WAIT_S
from .limit import instant_ms as instant_ms
from .limit import reset_ms as reset_ms
from .strict_schema import strict_schema as strict_schema
from .strict_schema import without_nulls as without_nulls
from .toml import toml as toml

__all__ = [
    "LONGEST_WAIT_S",
    "Answer",
    "CliAgent",
    "Ending",
    "Fold",
    "Invocation",
    "Once",
    "at",
    "content_text",
    "count_at",
    "errand",
    "instant_ms",
    "list_at",
    "number_at",
    "of_message",
    "of_status",
    "reset_ms",
    "speaks_of_quota",
    "strict_schema",
    "text_at",
    "toml",
    "without_nulls",
    "without_result",
]
