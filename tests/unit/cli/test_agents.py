"""The list of agents as a table."""

from __future__ import annotations

from pathlib import Path

from smithers.agents.installed import Installed, Machine
from smithers.agents.probe import Parked, Seen, Version
from smithers.agents.quota import Quota
from smithers.agents.registry import CLAUDE_CODE, CODEX, GEMINI, OPENCODE, PI
from smithers.agents.sign_in import SignIn
from smithers.cli.agents import table_of

NOW_MS = 1_795_000_000_000
HERE = Machine({}, Path("/home/ann"), Path("/work"), NOW_MS)


def lines(*seen: Seen, width: int = 80) -> list[str]:
    return table_of(list(seen), NOW_MS, is_wide=width > 100).lines(width)


def test_parked_accounts_stand_where_their_agent_stands() -> None:
    own = Parked("codex", NOW_MS + 2 * 3_600_000)
    other = Parked("codex:/work/second", NOW_MS + 90_000)
    unknown = Parked("claude-code", None)
    assert lines(Seen(CLAUDE_CODE, parked=(unknown,)), Seen(CODEX, parked=(other, own)), Seen(PI)) == [
        "AGENT        VERSION        SIGNED IN  LEFT  PARKED",
        "claude-code  not installed  —          —     yes",
        "codex        not installed  —          —     in 2h",
        "    parked: /work/second in 1m 30s",
        "pi           not installed  —          —     —",
    ]


def test_what_is_known_of_a_program_stands_in_its_row() -> None:
    program = Installed(CODEX, Path("/usr/bin/codex"), HERE)
    version, account = Version("0.169.0"), SignIn("yes", "ChatGPT account")
    told = Seen(CODEX, program, version, account, Quota("72% 5h, 96% 7d", NOW_MS - 7_200_000))
    assert [cell.strip() for cell in lines(told, width=120)[1].split("  ") if cell] == [
        "codex",
        "0.169.0",
        "ChatGPT account",
        "72% 5h, 96% 7d, 2h ago",
        "—",
        "/usr/bin/codex",
    ]
    assert "/usr/bin" not in "".join(lines(told))


def test_what_is_not_known_is_not_made_up() -> None:
    rows = [
        Seen(one, Installed(one, Path("/x"), HERE), version, sign_in)
        for one, version, sign_in in (
            (CLAUDE_CODE, Version("", "late"), SignIn("unknown", "it did not answer")),
            (CODEX, Version("", "failed"), SignIn("no", "it says so")),
            (GEMINI, Version("", "odd", "hello"), SignIn("yes", "")),
            (OPENCODE, Version("", "not asked"), SignIn("unknown", "not asked")),
        )
    ]
    assert [line.split()[1:] for line in lines(*rows)[1:]] == [
        ["no", "answer", "unknown", "unknown", "—"],
        ["fails", "no", "unknown", "—"],
        ["unknown", "yes", "unknown", "—"],
        ["—", "unknown", "unknown", "—"],
    ]
