"""Where the store is found and placed."""

from __future__ import annotations

from pathlib import Path

import pytest

from smithers.store import find_store, place_store, project_root
from smithers.store.location import planned_store, user_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def a_store(folder: Path) -> Path:
    path = folder / ".smithers" / "smithers.db"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_the_nearest_store_upwards_is_found(home: Path) -> None:
    upper, nearer = a_store(home / "project"), a_store(home / "project" / "flows")
    deep = home / "project" / "flows" / "deep"
    deep.mkdir()
    assert find_store(deep) == nearer
    assert find_store(home / "project") == upper


def test_the_search_does_not_leave_the_git_root(home: Path) -> None:
    a_store(home / "work")
    repository = home / "work" / "repository"
    (repository / "src").mkdir(parents=True)
    (repository / ".git").mkdir()
    assert find_store(repository / "src") is None
    inside = a_store(repository)
    assert find_store(repository / "src") == inside


def test_the_search_does_not_leave_the_home_folder(home: Path) -> None:
    a_store(home.parent)
    (home / "project").mkdir()
    assert find_store(home / "project") is None
    at_home = a_store(home)
    assert find_store(home / "project") == at_home


def test_a_linked_worktree_is_a_git_root_too(home: Path) -> None:
    a_store(home / "work")
    worktree = home / "work" / "tree"
    worktree.mkdir()
    (worktree / ".git").write_text("gitdir: elsewhere\n")
    assert find_store(worktree) is None


def test_what_stands_in_the_place_of_the_file_is_found_so_that_opening_it_says_what_is_wrong(
    home: Path,
) -> None:
    place = home / "project" / ".smithers" / "smithers.db"
    place.mkdir(parents=True)
    assert find_store(home / "project") == place
    place.rmdir()
    assert find_store(home / "project") is None
    place.with_name("smithers.db-wal").write_bytes(b"log")
    assert find_store(home / "project") == place


def test_an_explicit_store_is_taken_as_it_is(home: Path) -> None:
    a_store(home)
    assert find_store(home, str(home / "other.db")) == home / "other.db"
    assert find_store(home, "~/other.db") == home / "other.db"


def test_a_new_store_goes_to_the_git_root(home: Path) -> None:
    repository = home / "repository"
    (repository / "flows").mkdir(parents=True)
    (repository / ".git").mkdir()
    placed = place_store(repository / "flows" / "flow.py", home)
    assert placed == repository / ".smithers" / "smithers.db"
    assert placed.parent.stat().st_mode & 0o777 == 0o700
    assert not placed.exists()


def test_without_git_a_new_store_goes_beside_the_workflow_or_to_the_current_folder(home: Path) -> None:
    flows = home / "flows"
    flows.mkdir()
    assert place_store(flows / "flow.py", home) == flows / ".smithers" / "smithers.db"
    assert place_store(None, home) == home / ".smithers" / "smithers.db"


def test_a_folder_that_is_there_keeps_its_mode(home: Path) -> None:
    (home / ".smithers").mkdir(mode=0o755)
    before = (home / ".smithers").stat().st_mode
    assert place_store(None, home).parent.stat().st_mode == before


def test_the_project_is_the_folder_around_dot_smithers(home: Path) -> None:
    assert project_root(home / ".smithers" / "smithers.db") == home
    assert project_root(home / "elsewhere.db") == home


def test_files_of_a_user_stand_where_the_platform_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_folder({"XDG_CONFIG_HOME": "/etc/me"}) == Path("/etc/me/smithers")
    monkeypatch.setattr("sys.platform", "linux")
    assert user_folder({}) == tmp_path / ".config/smithers"
    assert user_folder({"XDG_CONFIG_HOME": "relative"}) == tmp_path / ".config/smithers"
    monkeypatch.setattr("sys.platform", "darwin")
    assert user_folder({}) == tmp_path / "Library/Application Support/smithers"


def test_where_a_store_would_go_is_known_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep").mkdir()
    planned = planned_store(None, tmp_path / "deep")
    assert planned == tmp_path / ".smithers/smithers.db"
    assert not planned.parent.exists()
    assert place_store(None, tmp_path / "deep") == planned
    assert planned.parent.exists()
