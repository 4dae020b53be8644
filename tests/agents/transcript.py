"""What a program printed in one case, kept in `tests/fixtures/agents/PROGRAM/CASE.jsonl` and `CASE.json`.

The first holds stdout, line by line as it came; the second `{"argv", "exit", "stderr", "version"}`. What
differs from machine to machine and from run to run is replaced, and giant texts are cut within their lines,
so that a recording made again differs only where the program does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.installed import ROOT

FIXTURES = ROOT / "tests/fixtures/agents"
_LONG_LINE = 1_500
_LONG_TEXT = 300
_LONG_LIST = 8

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OPENCODE_ID = re.compile(r"\b(ses|prt|msg)_[0-9a-f]{12}[0-9A-Za-z]{14}\b")
_VARYING = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d[.-]\d+Z"), "2026-01-01T00:00:00.000Z"),
    (re.compile(r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "Thu, 01 Jan 2026 00:00:00 GMT"),
    (re.compile(r"(?<!\d)1[789]\d{11}(?!\d)"), "1767225600000"),  # milliseconds since the epoch
    (re.compile(r"(?<!\d)1[789]\d{8}(?!\d)"), "1767232800"),  # seconds: when a limit resets, two hours later
    (re.compile(r'("(?:\w*duration\w*|\w*_ms|latencyMs|durationMs)":) ?\d+'), r"\g<1>100"),
    (re.compile(r"\b\d{1,2}:\d\d [AP]M\b"), "2:00 AM"),
    (re.compile(r"\b\d{1,2}(:\d\d)?(am|pm) \("), "2am ("),
    (re.compile(r"/cc-socks/\d+"), "/cc-socks/1"),  # a process id
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:8000"),
)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recording."""

    argv: list[str]
    exit: int
    stdout: str
    stderr: str
    version: str = ""
    """The program's, as pinned."""

    @property
    def kinds(self) -> list[str]:
        """What kind each line is of, in order, repetitions left out: how fast a text comes is chance."""
        found: list[str] = []
        for line in self.stdout.splitlines():
            kind = kind_of(line)
            if found[-1:] != [kind]:
                found.append(kind)
        return found


def kind_of(line: str) -> str:
    """The names in an event that say what it is; `text` for a line that is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return "text"
    if not isinstance(event, dict):
        return "text"
    inner = [event.get(key) for key in ("message", "item", "part", "assistantMessageEvent")]
    places = [event, *(each for each in inner if isinstance(each, dict))]
    words = [place.get(key) for place in places for key in ("type", "subtype", "role", "status", "reason")]
    return "/".join(word for word in words if isinstance(word, str))


def load(program: str, case: str) -> Transcript:
    """The recording.

    Raises:
        FileNotFoundError: there is none.
    """
    kept = json.loads(_file(program, case, "json").read_text("utf-8"))
    stdout = _file(program, case, "jsonl").read_bytes().decode()
    return Transcript(kept["argv"], kept["exit"], stdout, kept["stderr"], kept["version"])


def save(program: str, case: str, transcript: Transcript) -> None:
    """Keep it, in place of an older one."""
    _file(program, case, "jsonl").parent.mkdir(parents=True, exist_ok=True)
    _file(program, case, "jsonl").write_bytes(transcript.stdout.encode())
    kept = {
        "version": transcript.version,
        "argv": transcript.argv,
        "exit": transcript.exit,
        "stderr": transcript.stderr,
    }
    _file(program, case, "json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def recorded() -> list[tuple[str, str]]:
    """Programs and cases that there are recordings of."""
    return sorted((file.parent.name, file.stem) for file in FIXTURES.glob("*/*.jsonl"))


def cleaned(transcript: Transcript, places: dict[Path, str]) -> Transcript:
    """Without what is this machine's or this run's own.

    Args:
        places: folders, and what to call them instead.
    """
    names: dict[str, str] = {}
    argv = [_clean(word, places, names) for word in transcript.argv]
    lines = _clean(transcript.stdout, places, names).splitlines(keepends=True)
    stderr = _clean(transcript.stderr, places, names)
    stderr = stderr if len(stderr) <= 2_000 else stderr[:1_500] + " … " + stderr[-400:]
    return Transcript(argv, transcript.exit, "".join(map(_short, lines)), stderr, transcript.version)


def _clean(text: str, places: dict[Path, str], names: dict[str, str]) -> str:
    for place in sorted(places, key=lambda path: -len(str(path))):
        text = text.replace(str(place), places[place])
        # Claude Code names folders after the place of work.
        text = text.replace(re.sub(r"[^0-9A-Za-z]", "-", str(place)), places[place].replace("/", "-"))
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    text = _UUID.sub(lambda found: _name(found[0], "00000000-0000-4000-8000-{:012}", names), text)
    return _OPENCODE_ID.sub(lambda found: _name(found[0], found[1] + "_{:026}", names), text)


def _name(found: str, shape: str, names: dict[str, str]) -> str:
    """The same for the same, counted in order of appearance."""
    if found.endswith("0d15ea5e-0000-4000-8000-000000000000"):
        return found  # the session that never was
    return names.setdefault(found, shape.format(len(names) + 1))


def _short(line: str) -> str:
    if len(line) <= _LONG_LINE:
        return line
    try:
        event = json.loads(line)
    except ValueError:
        return line
    return json.dumps(_cut(event), ensure_ascii=False, separators=(",", ":")) + "\n"


def _cut(value: Any) -> Any:
    """The same with long texts, and long lists of texts, cut short."""
    if isinstance(value, str):
        return value if len(value) <= _LONG_TEXT else value[: _LONG_TEXT // 2] + " …"
    if isinstance(value, list):
        return [_cut(each) for each in (value[:_LONG_LIST] if _are_texts(value) else value)]
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    return value


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _file(program: str, case: str, ending: str) -> Path:
    return FIXTURES / program / f"{case}.{ending}"
