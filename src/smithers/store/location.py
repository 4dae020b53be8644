"""Where a project's store is, and where a new one goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from smithers.store.log import log_of
from smithers.store.refusal import os_error

FOLDER = ".smithers"
FILE = "smithers.db"


def find_store(start: Path, explicit: str | None = None) -> Path | None:
    """The database file a command works on, or None if there is none.

    Args:
        start: the workflow's folder, else the current directory; the search goes upwards from here, and not
            above the git root or the user's home.
        explicit: what the user named instead; taken as it is, whether or not it exists.
    """
    if explicit is not None:
        return Path(explicit).expanduser().absolute()
    for folder in _upwards(start):
        store = folder / FOLDER / FILE
        if _is_ours(store):
            return store
    return None


def place_store(workflow_file: Path | None, cwd: Path) -> Path:
    """Where a new database file goes.

    Creates the `.smithers` folder around it, for its owner alone; the file itself is left to `open_store`.
    """
    path = planned_store(workflow_file, cwd)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise os_error(error, path.parent) from error
    return path


def planned_store(workflow_file: Path | None, cwd: Path) -> Path:
    """Where `place_store` would put it: at the git root, else beside the workflow, else in `cwd`."""
    base = workflow_file.absolute().parent if workflow_file is not None else cwd.absolute()
    root = next((folder for folder in _upwards(base) if _is_git_root(folder)), base)
    return root / FOLDER / FILE


def project_root(store: Path) -> Path:
    """The folder that workflow paths are stored relative to: the one around `.smithers`.

    A store that the user put elsewhere counts from its own folder.
    """
    folder = store.absolute().parent
    return folder.parent if folder.name == FOLDER else folder


def user_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where files of ours stand that belong to a user and to no project; it may not be there.

    Args:
        environment: default: this process'.
    """
    environment = os.environ if environment is None else environment
    # Relative paths are invalid there, and to be ignored: XDG Base Directory Specification 0.8.
    named = Path(environment.get("XDG_CONFIG_HOME", ""))
    if named.is_absolute():
        return named / "smithers"
    base = "Library/Application Support" if sys.platform == "darwin" else ".config"
    return Path.home() / base / "smithers"


def _upwards(start: Path) -> Iterator[Path]:
    """`start` and the folders above it, up to and including the git root or the home folder."""
    home = Path.home()
    here = start.absolute()
    for folder in (here, *here.parents):
        yield folder
        if folder == home or _is_git_root(folder):
            return


def _is_git_root(folder: Path) -> bool:
    # A file in linked worktrees and submodules, a folder elsewhere.
    return (folder / ".git").exists()


def _is_ours(store: Path) -> bool:
    """Whether something of this user's stands there: what others left in a shared folder is not followed.

    A log without its file counts, and so does a folder in the file's place: whoever opens it says what is
    wrong, and must not say that there are no runs.

    Raises:
        StoreError: a folder of this user's cannot be looked into.
    """
    for path in (store, log_of(store)):
        try:
            if path.stat().st_uid == os.geteuid():
                return True
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if _is_own(store.parent):
                raise os_error(error, store, "look at") from error
    return False


def _is_own(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False
