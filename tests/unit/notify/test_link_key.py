"""The key that signs links."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from smithers.errors import LinkKeyRefused, StoreReadOnly
from smithers.notify.link_key import read_link_key


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "smithers.db"


def test_the_first_who_needs_it_makes_it_for_its_owner_alone(store: Path) -> None:
    key = read_link_key(store)
    file = store.with_name("links.key")
    assert len(key) == 32
    assert file.read_bytes() == key == read_link_key(store)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in store.parent.iterdir()] == ["links.key"]


def test_many_at_once_get_the_same(store: Path) -> None:
    keys: list[bytes] = []
    together = threading.Barrier(12)

    def read() -> None:
        together.wait()
        keys.append(read_link_key(store))

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 12
    assert len(set(keys)) == 1
    assert [path.name for path in store.parent.iterdir()] == ["links.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_one_that_others_can_read_is_refused(store: Path, mode: int) -> None:
    read_link_key(store)
    store.with_name("links.key").chmod(mode)
    with pytest.raises(LinkKeyRefused, match="others can read") as caught:
        read_link_key(store)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("size", [0, 31, 33, 100])
def test_what_is_no_key_is_refused(store: Path, size: int) -> None:
    read_link_key(store)
    store.with_name("links.key").write_bytes(b"x" * size)
    with pytest.raises(LinkKeyRefused, match="a key has 32"):
        read_link_key(store)


def test_a_symbolic_link_or_a_folder_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    read_link_key(tmp_path / "other" / "x.db")
    file = store.with_name("links.key")
    file.symlink_to(tmp_path / "other" / "links.key")
    with pytest.raises(LinkKeyRefused, match="symbolic link"):
        read_link_key(store)
    file.unlink()
    file.mkdir()
    with pytest.raises(LinkKeyRefused, match="is no file"):
        read_link_key(store)


def test_one_of_another_user_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_link_key(store)
    owner = store.with_name("links.key").stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(LinkKeyRefused, match="another user"):
        read_link_key(store)


def test_a_folder_that_takes_none_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(StoreReadOnly):
        read_link_key(store)
    assert list(store.parent.iterdir()) == []
