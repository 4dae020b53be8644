"""What is wrong with an agent's program, and what to type. It looks at files, and starts nothing.

A check is a function from what was seen to findings. To add one, write it and put it into `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

from smithers.agents.installed import Installed, json_file
from smithers.agents.probe import Seen, version_numbers
from smithers.agents.sign_in import gemini_folder


class Finding(NamedTuple):
    """What one check saw."""

    check: Literal["program", "version", "sign-in", "limits", "setup"]
    level: Literal["ok", "unknown", "warning", "wrong"]
    """`wrong`: it cannot be used like this."""
    text: str
    command: str | None = None
    """What to type."""


Check = Callable[[Seen, Installed], Iterator[Finding]]


def diagnose(seen: Seen) -> list[Finding]:
    """What all checks find."""
    program = seen.program
    if program is None:
        text = f"{seen.known.program} is not on PATH"
        return [Finding("program", "wrong", text, seen.known.install)]
    return [finding for check in CHECKS for finding in check(seen, program)]


def is_usable(findings: list[Finding]) -> bool:
    """Nothing is known that would keep it from working."""
    return all(finding.level != "wrong" for finding in findings)


# --- The program --------------------------------------------------------------------------------


def _program(seen: Seen, program: Installed) -> Iterator[Finding]:
    version, known = seen.version, seen.known
    if _is_tombstone(seen):
        text = "this Kimi CLI only says that it is no longer maintained; Kimi Code has taken its place"
        yield Finding("program", "wrong", text, known.install)
    elif version.problem in ("late", "failed"):
        command = _mend(seen) or f"{known.program} --version"
        yield Finding("program", "wrong", f"{program.path} does not start: {version.said}", command)
    else:
        yield Finding("program", "ok", str(program.path))


def _mend(seen: Seen) -> str | None:
    """What helps a program that does not start, where it is known."""
    if _old_node(seen):
        return f"install Node {_dotted(seen.known.node)} or newer"
    if "native binary" in seen.version.said or "postinstall" in seen.version.said:
        return seen.known.install
    return None


def _old_node(seen: Seen) -> bool:
    node = version_numbers(seen.node or "")
    return bool(node) and node < seen.known.node


def _is_tombstone(seen: Seen) -> bool:
    if seen.known.kind != "kimi":
        return False
    return "no longer maintained" in seen.version.said or (1, 50) <= seen.version.numbers < (2,)


# --- Its version --------------------------------------------------------------------------------


def _version(seen: Seen, _: Installed) -> Iterator[Finding]:
    version, known = seen.version, seen.known
    if version.problem == "odd":
        said = f": it says {version.said!r}" if version.said else ""
        yield Finding("version", "warning", f"its version is unknown{said}", f"{known.program} --version")
    if not version.text or _is_tombstone(seen):
        return
    driven = version_numbers(known.driven)
    if not driven:
        yield Finding("version", "warning", f"{version.text}; no version of it was tried with Smithers")
    elif version.numbers < driven and not _is_kimi_of_python(seen):
        text = f"{version.text} is older than {known.driven}, which was tried"
        yield Finding("version", "warning", text, known.install)
    else:
        newer = f", newer than {known.driven}, which was tried" if version.numbers > driven else ""
        yield Finding("version", "ok", f"{version.text}{newer}")


def _is_kimi_of_python(seen: Seen) -> bool:
    return seen.known.kind == "kimi" and seen.version.numbers[:1] == (1,)


# --- Its sign-in --------------------------------------------------------------------------------


def _sign_in(seen: Seen, program: Installed) -> Iterator[Finding]:
    known, (state, how) = seen.known, seen.sign_in
    match state:
        case "yes":
            yield Finding("sign-in", "ok", f"signed in: {how}" if how else "signed in")
        case "unknown":
            yield Finding("sign-in", "unknown", f"whether it is signed in cannot be told: {how}")
        case "no":
            command = known.sign_in
            if known.kind == "codex" and "OPENAI_API_KEY" in program.machine.env:
                how = "it takes no OPENAI_API_KEY"
                command = "printenv OPENAI_API_KEY | codex login --with-api-key"
            yield Finding("sign-in", "wrong", f"not signed in: {how}", command)


def _limits(seen: Seen, _: Installed) -> Iterator[Finding]:
    if seen.quota is not None and seen.quota.is_used_up:
        yield Finding("limits", "warning", f"a limit of its account is used up: {seen.quota.text}")
    elif seen.quota is not None:
        yield Finding("limits", "ok", f"left: {seen.quota.text}")


# --- How it is set up: known traps -----------------------------------------------------------------


def _node(seen: Seen, _: Installed) -> Iterator[Finding]:
    if _old_node(seen) and seen.version.problem != "failed":
        text = f"Node {seen.node} is older than {_dotted(seen.known.node)}, which it wants"
        yield Finding("setup", "warning", text, f"install Node {_dotted(seen.known.node)} or newer")


def _codex_home(seen: Seen, program: Installed) -> Iterator[Finding]:
    """Inside a temporary folder it makes no helper programs, and each command that it runs fails."""
    if seen.known.kind != "codex":
        return
    home = program.config.resolve()
    if any(home.is_relative_to(folder) for folder in program.machine.temporary):
        text = f"its folder {home} is a temporary one: every command that it runs would fail"
        yield Finding("setup", "wrong", text, 'export CODEX_HOME="$HOME/.codex"')


def _claude_root(seen: Seen, program: Installed) -> Iterator[Finding]:
    machine = program.machine
    if seen.known.kind == "claude-code" and machine.is_root and not machine.env.get("IS_SANDBOX"):
        text = 'as root it refuses permission_mode="bypassPermissions"'
        yield Finding("setup", "warning", text, "export IS_SANDBOX=1")


def _gemini_trust(seen: Seen, program: Installed) -> Iterator[Finding]:
    """By itself it refuses to work in such a folder; its adapter tells it to trust where it works."""
    if seen.known.kind == "gemini" and _is_distrusted(program):
        text = f"it was told not to trust {program.machine.cwd}; as an agent it works there all the same"
        yield Finding("setup", "warning", text)


def _is_distrusted(program: Installed) -> bool:
    rules = json_file(gemini_folder(program) / "trustedFolders.json")
    cwd = program.machine.cwd
    for folder in (cwd, *cwd.parents):
        if rule := _at(rules, str(folder)):
            return bool(rule == "DO_NOT_TRUST")
    return False


def _gemini_gateway(seen: Seen, program: Installed) -> Iterator[Finding]:
    """With a base URL it does not take the key for the way to sign in, unless its settings say so."""
    if seen.known.kind != "gemini" or not program.has("GOOGLE_GEMINI_BASE_URL"):
        return
    settings = json_file(gemini_folder(program) / "settings.json")
    if _at(settings, "security", "auth", "selectedType") is None:
        text = "with GOOGLE_GEMINI_BASE_URL its settings must name security.auth.selectedType"
        yield Finding("setup", "wrong", text, "gemini  # and choose how to sign in")


def _kimi_names(seen: Seen, _: Installed) -> Iterator[Finding]:
    """The variables of the Python program mean nothing to Kimi Code."""
    is_code = seen.known.kind == "kimi" and seen.version.numbers[:1] >= (2,)
    if is_code and seen.sign_in.how == "KIMI_API_KEY":
        text = "Kimi Code takes no KIMI_API_KEY; its names are KIMI_MODEL_API_KEY, _BASE_URL and _NAME"
        yield Finding("setup", "wrong", text, seen.known.sign_in)


CHECKS: Final[tuple[Check, ...]] = (
    _program,
    _version,
    _sign_in,
    _limits,
    _node,
    _codex_home,
    _claude_root,
    _gemini_trust,
    _gemini_gateway,
    _kimi_names,
)
"""In the order they are shown."""


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
