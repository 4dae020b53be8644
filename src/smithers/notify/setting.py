"""What a person has configured: the `[notify]` table of `config.toml`."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from smithers.errors import NotifyInvalid
from smithers.records import WANTED, NoticeKind
from smithers.store.location import project_root, user_folder

FILE: Final = "config.toml"
_KEYS: Final = ("command", "webhook", "secret", "secret_env", "url", "desktop", "on")


@dataclass(frozen=True, slots=True)
class Settings:
    """The ways by which notices leave, and which do."""

    file: Path
    """Where this was said."""
    folder: Path
    """Where the command runs: the project's."""
    command: str | tuple[str, ...] | None = None
    """A line for `/bin/sh`, or the words of a program."""
    webhook: str | None = field(default=None, repr=False)
    """Not for any message: its path may well be a password."""
    secret: str | None = field(default=None, repr=False)
    url: str | None = None
    """What links begin with, without a slash at its end."""
    desktop: bool = False
    on: frozenset[NoticeKind] = WANTED

    @property
    def has_way(self) -> bool:
        """Whether any notice can leave."""
        return self.command is not None or self.webhook is not None or self.desktop


def load_settings(store: Path, environment: Mapping[str, str] | None = None) -> Settings | None:
    """What is configured for a store: beside it, else for the user; None: nobody is to be told of anything.

    Args:
        store: the database file.
        environment: default: this process'.
    Raises:
        NotifyInvalid: it is not what it should be; names the file and the key, and nothing secret.
    """
    environment = os.environ if environment is None else environment
    folder = project_root(store)
    for file in (store.absolute().with_name(FILE), user_folder(environment) / FILE):
        table = _table(file)
        if table is not None:
            found = _settings(table, file, folder, environment)
            return found if found.has_way else None
    return None


def _table(file: Path) -> Mapping[str, Any] | None:
    """The `[notify]` table of a file; None: it has none, or is not this user's."""
    try:
        with file.open("rb") as opened:
            if not _is_trusted(os.fstat(opened.fileno()), file):
                return None
            import tomllib  # late: most projects have no such file

            found = tomllib.load(opened).get("notify")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotifyInvalid(f"{file} cannot be read: {error.strerror or error}", file=str(file)) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise NotifyInvalid(f"{file} is not TOML: {error}", file=str(file)) from None
    if found is not None and not isinstance(found, dict):
        raise _wrong(file, "notify", "a table, `[notify]`", found)
    return found


def _is_trusted(status: os.stat_result, file: Path) -> bool:
    """Whether a file is this user's own: it says what is executed.

    Raises:
        NotifyInvalid: it is, and everybody may write into it.
    """
    if status.st_uid not in (os.geteuid(), 0):
        return False  # somebody left it in a shared folder
    if status.st_mode & stat.S_IWOTH:
        raise NotifyInvalid(
            f"{file} can be written by everybody, and says what is executed",
            hint=f"chmod o-w {file}",
            file=str(file),
        )
    return True


def _settings(table: Mapping[str, Any], file: Path, folder: Path, environment: Mapping[str, str]) -> Settings:
    for key in table:
        if key not in _KEYS:
            raise NotifyInvalid(
                f"{file}: [notify] has no key {key!r}{_near(key, _KEYS)}", file=str(file), key=key
            )
    webhook = _address(table, file, "webhook")
    secret = _secret(table, file, environment)
    if secret is not None and webhook is None:
        raise NotifyInvalid(
            f"{file}: notify.secret signs webhooks, and there is none", file=str(file), key="secret"
        )
    url = _address(table, file, "url")
    desktop = table.get("desktop", False)
    if not isinstance(desktop, bool):
        raise _wrong(file, "desktop", "true or false", desktop)
    return Settings(
        file,
        folder,
        _command(table, file),
        webhook,
        secret,
        None if url is None else url.rstrip("/"),
        desktop,
        _kinds(table, file),
    )


def _command(table: Mapping[str, Any], file: Path) -> str | tuple[str, ...] | None:
    found = table.get("command")
    match found:
        case None:
            return None
        case str() if found.strip() and "\0" not in found:
            return found
        case [str(program), *_] if program and all(isinstance(one, str) and "\0" not in one for one in found):
            return tuple(found)
        case _:
            raise _wrong(file, "command", "a line for the shell, or a list of words", found)


def _address(table: Mapping[str, Any], file: Path, key: str) -> str | None:
    """An http or https address; its text is in no message, as it may be a password."""
    from urllib.parse import urlsplit

    found = table.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        raise _wrong(file, key, "an address that begins with https:// or http://", found)
    try:
        parts = urlsplit(found)
        is_fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, is_fit = urlsplit(""), False
    if not is_fit or not found.isascii() or not found.isprintable() or " " in found:
        what = "is not an address that begins with https:// or http://"
    elif parts.username is not None:
        what = "cannot hold a name or a password"
    elif key == "url" and (parts.query or parts.fragment):
        what = "cannot hold anything behind `?` or `#`"
    else:
        return found
    raise NotifyInvalid(f"{file}: notify.{key} {what}", file=str(file), key=key)


def _secret(table: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> str | None:
    found, variable = table.get("secret"), table.get("secret_env")
    if found is not None and variable is not None:
        raise NotifyInvalid(
            f"{file}: notify has both secret and secret_env", file=str(file), key="secret_env"
        )
    if variable is not None:
        if not isinstance(variable, str) or not variable:
            raise _wrong(file, "secret_env", "the name of a variable", variable)
        found = environment.get(variable)
        if not found:
            raise NotifyInvalid(
                f"{file}: notify.secret_env names {variable}, which is not set",
                hint=f"export {variable}, or take secret_env out: nothing is signed then",
                file=str(file),
                key="secret_env",
            )
    if found is not None and (not isinstance(found, str) or not found):
        raise _wrong(file, "secret", "a text", found)
    return found


def _kinds(table: Mapping[str, Any], file: Path) -> frozenset[NoticeKind]:
    found = table.get("on")
    if found is None:
        return WANTED
    words = [kind.value for kind in NoticeKind if kind is not NoticeKind.TEST]
    if not isinstance(found, list):
        raise _wrong(file, "on", f"a list of {', '.join(words)}", found)
    for word in found:
        if word not in words:
            raise NotifyInvalid(
                f"{file}: notify.on has {word!r}{_near(word, words)}",
                hint=f"it takes {', '.join(words)}",
                file=str(file),
                key="on",
            )
    return frozenset(map(NoticeKind, found))


def _near(word: object, words: tuple[str, ...] | list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(word), words, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _wrong(file: Path, key: str, wanted: str, found: object) -> NotifyInvalid:
    name = key if key == "notify" else f"notify.{key}"
    return NotifyInvalid(f"{file}: {name} is {wanted}, not {_kind_of(found)}", file=str(file), key=key)


def _kind_of(value: object) -> str:
    """What TOML calls a value; the value itself may be a secret."""
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "this text" if value else "an empty text"
        case list():
            return "such a list"
        case dict():
            return "a table"
        case _:
            return "a date"
