"""What is left of an account's limits, where a program tells."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from smithers.agents.quota import Quota, Window, quota
from smithers.agents.registry import AMP, CLAUDE_CODE, CODEX, KNOWN
from tests.unit.agents.desk import NOW_MS, Desk

SOON_S = NOW_MS // 1000 + 5_000
SESSIONS = ".codex/sessions/2026/11"


def limit(used: float, minutes: int | None = 300, resets_at: float | None = SOON_S) -> dict[str, Any]:
    return {"used_percent": used, "window_minutes": minutes, "resets_at": resets_at}


def told(primary: Any = None, secondary: Any = None) -> str:
    """As the real one writes it after an answer."""
    limits = {"limit_id": "codex", "primary": primary, "secondary": secondary, "credits": None}
    payload = {"type": "token_count", "info": {"model_context_window": 258400}, "rate_limits": limits}
    return (
        json.dumps({"timestamp": "2026-11-20T14:01:46.895Z", "type": "event_msg", "payload": payload}) + "\n"
    )


def left(desk: Desk) -> Quota | None:
    return quota(desk.installed(CODEX))


def test_codex_has_written_down_what_its_provider_said_with_the_last_answer(desk: Desk) -> None:
    path = desk.file(
        f"{SESSIONS}/20/rollout-2026-11-20T14-01-46-1.jsonl", told(limit(27.5), limit(4, 10_080))
    )
    os.utime(path, (NOW_MS / 1000 - 60, NOW_MS / 1000 - 60))
    assert left(desk) == Quota(
        "72% 5h, 96% 7d",
        NOW_MS - 60_000,
        (Window(300, 72.5, SOON_S * 1000), Window(10_080, 96.0, SOON_S * 1000)),
    )


def test_the_newest_figure_counts(desk: Desk) -> None:
    desk.file(f"{SESSIONS}/19/rollout-2026-11-19T23-00-00-1.jsonl", told(limit(90)))
    desk.file(f"{SESSIONS}/20/rollout-2026-11-20T10-00-00-2.jsonl", told(limit(50)) + told(limit(60)))
    found = left(desk)
    assert found is not None
    assert found.text == "40% 5h"
    # One that was cut off at once has none.
    desk.file(f"{SESSIONS}/20/rollout-2026-11-20T11-00-00-3.jsonl", '{"type":"session_meta"}\n')
    desk.file(f"{SESSIONS}/20/rollout-2026-11-20T12-00-00-4.jsonl", told())
    assert left(desk) == found


def test_a_limit_that_was_refilled_since_is_whole_again(desk: Desk) -> None:
    desk.file(
        f"{SESSIONS}/20/rollout-1.jsonl", told(limit(100, resets_at=NOW_MS / 1000 - 1), limit(40, 10_080))
    )
    found = left(desk)
    assert found is not None
    assert found.windows == (Window(300, 100.0, None), Window(10_080, 60.0, SOON_S * 1000))


def test_a_long_session_is_read_from_its_end(desk: Desk) -> None:
    noise = json.dumps({"type": "noise", "payload": "x" * 1000}) + "\n"
    desk.file(
        f"{SESSIONS}/20/rollout-1.jsonl", told(limit(10)) + noise * 2_000 + told(limit(20)) + noise * 10
    )
    found = left(desk)
    assert found is not None
    assert found.text == "80% 5h"


def test_a_last_line_that_is_only_half_there_is_passed_over(desk: Desk) -> None:
    desk.file(f"{SESSIONS}/20/rollout-1.jsonl", told(limit(10)) + told(limit(20))[:-40])
    found = left(desk)
    assert found is not None
    assert found.text == "90% 5h"


@pytest.mark.parametrize(
    "primary",
    [
        7,
        "x",
        [],
        {"used_percent": None},
        {"used_percent": "many"},
        {"resets_at": "tomorrow", "used_percent": 1},
    ],
)
def test_figures_of_nonsense_are_no_figures(desk: Desk, primary: Any) -> None:
    desk.file(f"{SESSIONS}/20/rollout-1.jsonl", told(primary))
    desk.file(f"{SESSIONS}/x", "no folder")
    assert left(desk) is None


def test_a_limit_without_a_length_or_a_reset_is_shown_as_far_as_it_goes(desk: Desk) -> None:
    desk.file(f"{SESSIONS}/20/rollout-1.jsonl", told(limit(120, minutes=None, resets_at=None)))
    found = left(desk)
    assert found is not None
    assert (found.text, found.windows) == ("0%", (Window(None, 0.0, None),))


def test_amp_asks_its_own_service(desk: Desk) -> None:
    desk.program(
        "amp",
        """[ "$*" = usage ] && cat <<'END'
Signed in as ann@example.com (ann)
Amp Free: $7.50/$10 remaining (replenishes +$0.42/hour) - https://ampcode.com/settings#amp-free
Individual credits: $1,203.20 remaining - https://ampcode.com/settings
END""",
    )
    found = quota(desk.installed(AMP, starts=True))
    assert found == Quota("$7.50/$10 free, $1,203.20 individual credits")
    assert quota(desk.installed(AMP)) is None


@pytest.mark.parametrize(
    "script", ["echo offline >&2; exit 1", "echo hello", "echo 'x: $5 remaining'; exit 1"]
)
def test_amp_without_its_service_is_unknown(desk: Desk, script: str) -> None:
    desk.program("amp", script)
    assert quota(desk.installed(AMP, starts=True)) is None


def test_nobody_else_tells(desk: Desk) -> None:
    for known in KNOWN.values():
        if known not in (CODEX, AMP):
            assert quota(desk.installed(known, starts=True)) is None
    assert quota(desk.installed(CLAUDE_CODE)) is None
