"""The situations that each program is put into, live and recorded."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, Literal

from tests.agents import model_server as model
from tests.agents.home import Wire
from tests.agents.model_server import Call, Cut, Garbage, Output, Refuse, Say, Script, says

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer"}},
    "required": ["ok", "n"],
    "additionalProperties": False,
}
"""Small, yet of the strict kind that OpenAI asks for."""

Session = Literal["new", "resumed", "forked", "unknown"]

UNKNOWN_SESSION = "0d15ea5e-0000-4000-8000-000000000000"

_HINTS = ("claude", "codex")
"""The programs that take a schema."""


@dataclass(frozen=True, slots=True)
class Case:
    """One situation."""

    name: str
    """The name of its transcript."""
    script: Script
    retries: int = 0
    has_schema: bool = False
    session: Session = "new"
    """`resumed`, `forked`: a second run after a first one that was a `text`."""
    model: str | None = None
    """Codex only."""
    wire: Wire = "chat"
    """Pi only."""
    is_subscription: bool = False
    """Claude Code only: signed in by token."""
    ended_by: signal.Signals | None = None
    """Sent to the whole group once the model was asked; such a program is still waiting or still trying."""
    programs: tuple[str, ...] = ("claude", "codex", "pi", "opencode", "kimi", "gemini", "kimi-py")

    @property
    def prompt(self) -> str:
        return "And once more." if self.session in ("resumed", "forked") else "Write hello.txt, please."


CASES = (
    Case("write", model.writes()),
    Case("text", model.text("All done.")),
    # The newest model has one tool only, which takes JavaScript and has a shell in it.
    Case("write-by-shell", model.writes(), model="gpt-6.1-sol", programs=("codex",)),
    Case(
        "denied",
        says(Call("Bash", {"command": "python3 -c \"open('denied.txt', 'w')\""}), Say("I may not.")),
        programs=("claude",),
    ),
    Case("structured", model.writes(), has_schema=True, programs=_HINTS),
    # Claude Code itself asks again; Codex hands over what does not fit.
    Case(
        "structured-wrong-once", says(Output({"ok": "perhaps"}), Output()), has_schema=True, programs=_HINTS
    ),
    Case("structured-not", model.text("I would rather talk."), has_schema=True, programs=_HINTS),
    Case("resume", model.text("And once more done."), session="resumed"),
    Case(
        "fork",
        model.text("And once more done."),
        session="forked",
        programs=("claude", "codex", "pi", "opencode"),
    ),
    Case("unknown-session", model.text(), session="unknown"),
    Case("401", model.UNAUTHORIZED),
    Case("403", model.FORBIDDEN),
    Case("429", model.RATE_LIMITED),
    Case("429-retry-after", model.retry_after(120)),
    Case("429-usage-limit", model.usage_limit(7200), is_subscription=True),
    Case("429-quota", model.OUT_OF_QUOTA),
    Case("500", model.SERVER_ERROR),
    Case("529", model.OVERLOADED),
    Case("flaky-529", model.flaky(1, then=model.writes()), retries=2),
    Case("hang", model.HANG, ended_by=signal.SIGTERM),
    Case("hang-after-first-event", model.HANG_AFTER_FIRST, ended_by=signal.SIGKILL),
    Case("cut", model.CUT),
    Case("garbage", model.GARBAGE),
    Case("empty", model.EMPTY),
    Case("length", says(Say("This is only the beginn", "length"))),
)

_ENDLESS = (Refuse, Cut, Garbage)
"""Replies that OpenCode answers by asking again and again, for minutes or for ever; nothing lowers that."""


def tries_for_ever(name: str, case: Case) -> bool:
    """Whether this program goes on for longer than a test can wait: it is ended between two tries."""
    last = case.script.replies[-1]
    return name == "opencode" and isinstance(last, _ENDLESS) and case.name not in ("401", "403")


def case(name: str) -> Case:
    """The case of that name.

    Raises:
        KeyError: there is none.
    """
    return {each.name: each for each in CASES}[name]


def cases_of(name: str) -> list[Case]:
    """Those that a program can be put into."""
    return [each for each in CASES if name in each.programs]
