"""The key that signs links: a file beside the store, made by the first who needs it."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from smithers.errors import LinkKeyRefused
from smithers.store.refusal import os_error

FILE: Final = "links.key"
BYTES: Final = 32


def read_link_key(store: Path) -> bytes:
    """The key of a store's links: 32 bytes.

    Args:
        store: the database file; the key stands beside it.
    Raises:
        LinkKeyRefused: others can read it, it belongs to somebody else, or it is no key.
        StoreError: it can neither be read nor be made.
    """
    path = store.absolute().with_name(FILE)
    try:
        found = _read(path)
        if found is None:
            _make(path)
            found = _read(path)
    except OSError as error:
        raise os_error(error, path) from error
    if found is None:
        raise LinkKeyRefused(f"{path} was removed as soon as it was made", file=str(path))
    return found


def _read(path: Path) -> bytes | None:
    """The key; None: there is none yet."""
    try:
        # A link could lead to a file that everybody can read.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise LinkKeyRefused(f"{path} is a symbolic link", file=str(path)) from error
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise LinkKeyRefused(f"{path} is no file", file=str(path))
        if status.st_uid != os.geteuid():
            raise LinkKeyRefused(f"{path} belongs to another user", file=str(path))
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise LinkKeyRefused(
                f"others can read {path} (mode {mode:04o}), and decide with it", file=str(path)
            )
        key = os.read(handle, BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != BYTES:
        raise LinkKeyRefused(
            f"{path} holds {len(key) if len(key) < BYTES else 'more'} bytes, and a key has {BYTES}",
            hint=f"remove it: links that were sent are void then, and a new key is made (`rm {path}`)",
            file=str(path),
        )
    return key


def _make(path: Path) -> None:
    """Make a key, unless somebody was quicker: it is there as a whole, or not at all."""
    made = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(handle, secrets.token_bytes(BYTES))
            os.fsync(handle)
        finally:
            os.close(handle)
        with suppress(FileExistsError):
            os.link(made, path)  # unlike a rename, it replaces nothing
    finally:
        made.unlink()
