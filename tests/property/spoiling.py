"""Ways to spoil a stream of JSON lines, as broken programs, terminals and cut pipes do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

NOISE: Final = (
    "Warning: something is deprecated",
    "\x1b[?25l\x1b[2K\x1b[1G\x1b[33mwarn\x1b[0m working …",
    "\ufeff",
    "null",
    "true",
    "17",
    '"result"',
    "[]",
    "{}",
    "{",
    '{"type":',
    '[{"type":"result","is_error":false}]',
    '{"type":null}',
    '{"type":"from_the_future","is_error":false,"result":"x","status":"success"}',
    "at Object.<anonymous> (/usr/lib/node_modules/x.js:1:1)",
    "%%% 100% [=========>] 3/3",
    "\x00\x01\x02",
    "�",
)
"""Lines that are no words of a program in the shape of events."""

HOSTILE: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 10**18, 10**400, -(10**400), float("nan"),
    float("inf"), "", " ", "0", "null", "\x00", "\ud800", "a\udfffb", "😀", "x" * 10_000, [], {}, [None],
    [[]], [{}], {"": ""}, {"type": "result"}, ["text", {"text": "x"}, {"text": 5}], [0] * 1000,
)  # fmt: skip
"""Values of every wrong type and size."""


def nested(depth: int, inside: str = "1") -> str:
    """An object that deep."""
    return '{"a":' * depth + inside + "}" * depth


def spoiled(stream: bytes, random: Random) -> bytes:
    """The stream with one to four kinds of damage."""
    lines = stream.splitlines(keepends=True)
    for _ in range(random.randint(1, 4)):
        lines = random.choice(_WAYS)(lines, random)
    return b"".join(lines)


def in_chunks(data: bytes, random: Random) -> list[bytes]:
    """The same bytes in pieces: by the byte, by the line, or in a few."""
    largest = random.choice((1, 7, 100, 4096, len(data) + 1))
    if largest == 1 and len(data) > 20_000:
        largest = 100
    found, at = [], 0
    while at < len(data):
        step = random.randint(1, largest)
        found.append(data[at : at + step])
        at += step
    return found


# --- Ways ---------------------------------------------------------------------------------------

Way = Callable[[list[bytes], Random], list[bytes]]


def _cut(lines: list[bytes], random: Random) -> list[bytes]:
    data = b"".join(lines)
    return data[: random.randint(0, len(data))].splitlines(keepends=True)


def _lose(lines: list[bytes], random: Random) -> list[bytes]:
    return [line for line in lines if random.random() > 0.3]


def _repeat(lines: list[bytes], random: Random) -> list[bytes]:
    return [line for line in lines for _ in range(random.choice((1, 1, 1, 2, 3)))]


def _shuffle(lines: list[bytes], random: Random) -> list[bytes]:
    return random.sample(lines, len(lines))


def _join(lines: list[bytes], random: Random) -> list[bytes]:
    """Some lose their ends, so that two become one."""
    return [line.rstrip(b"\n") if random.random() < 0.3 else line for line in lines]


def _windows(lines: list[bytes], _: Random) -> list[bytes]:
    return [line.replace(b"\n", b"\r\n") for line in lines]


def _begin(lines: list[bytes], random: Random) -> list[bytes]:
    """Something stands before the first character of a line."""
    marks = (
        b"\xef\xbb\xbf",
        b"\x1b[?25h",
        b"\x1b[2K\x1b[1G\x1b[0m",
        b"\r",
        b" \t",
        b"\x00",
        b"> ",
        b"\xff\xfe",
    )
    return [random.choice(marks) + line if random.random() < 0.4 else line for line in lines]


def _noise(lines: list[bytes], random: Random) -> list[bytes]:
    found = []
    for line in lines:
        some = random.sample(NOISE, random.choice((0, 1, 2)))
        found += [*(f"{one}\n".encode() for one in some), line]
    return found


def _monsters(lines: list[bytes], random: Random) -> list[bytes]:
    """Lines that are made to break readers of JSON."""
    monsters: Sequence[Callable[[], str]] = (
        lambda: nested(100_000),
        lambda: "[" * 100_000,
        lambda: nested(random.randint(1, 1500)),
        lambda: '{"type":"result","x":' + "9" * 100_000 + "}",
        lambda: '{"type":"result","x":1e' + "9" * 1000 + "}",
        lambda: '{"type":"result","total_cost_usd":NaN,"usage":{"input_tokens":Infinity}}',
        lambda: '{"type":"result","type":"system","is_error":true,"is_error":false}',
        lambda: '{"type":"result","result":"\\ud800","session_id":"\\udc00"}',
        lambda: '{"type":"assistant","message":{"content":"\x07\x08\x1b[0m"}}',
        lambda: '{"' + "k" * 50_000 + '":1}',
        lambda: "{" + ",".join(f'"k{n}":{n}' for n in range(5000)) + "}",
        lambda: "x" * 300_000,
        lambda: "\x00" * 10_000,
    )
    at = random.randint(0, len(lines))
    return [*lines[:at], random.choice(monsters)().encode("utf-8", "replace") + b"\n", *lines[at:]]


def _bytes(lines: list[bytes], random: Random) -> list[bytes]:
    """Some bytes are other bytes; NUL and what is no UTF-8 more often than by chance."""
    data = bytearray(b"".join(lines))
    for _ in range(random.randint(1, 12) if data else 0):
        at = random.randrange(len(data))
        data[at : at + random.choice((0, 1, 1, 4))] = random.choice(
            (b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\n", b"\\", b'"', b"{", b"}", random.randbytes(3))
        )
    return bytes(data).splitlines(keepends=True)


def _values(lines: list[bytes], random: Random) -> list[bytes]:
    """Some events have a value of a wrong type somewhere."""
    return [_change(line, random) if random.random() < 0.5 else line for line in lines]


def _change(line: bytes, random: Random) -> bytes:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return line
    places = list(_places(event))
    for _ in range(random.randint(1, 3)):
        if places:
            holder, key = random.choice(places)
            holder[key] = random.choice(HOSTILE)
    if isinstance(event, dict) and random.random() < 0.1:
        event = {key: random.choice(HOSTILE) for key in event}
    try:
        return json.dumps(event, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass") + b"\n"
    except RecursionError:
        return line


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Everything inside a JSON value, as a holder and a key."""
    found: list[tuple[Any, Any]] = []
    worklist = [value]
    while worklist and len(found) < 2000:
        holder = worklist.pop()
        pairs = (
            holder.items()
            if isinstance(holder, dict)
            else enumerate(holder)
            if isinstance(holder, list)
            else ()
        )
        for key, inside in pairs:
            found.append((holder, key))
            worklist.append(inside)
    return found


_WAYS: Final[tuple[Way, ...]] = (
    _cut, _lose, _repeat, _shuffle, _join, _windows, _begin, _noise, _monsters, _bytes, _values, _values,
    _values,
)  # fmt: skip
