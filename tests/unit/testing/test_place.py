"""What a trial has changed is put back, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

from smithers.testing.crash.place import Place, files_in


def test_what_was_changed_removed_or_made_is_put_back(tmp_path: Path) -> None:
    kept, scratch = tmp_path / "kept", tmp_path / "scratch"
    for name in ("same", "changed", "removed", "below/deep", "becomes/a-file"):
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).write_text(name)
    (kept / "empty").mkdir()
    (kept / "link").symlink_to("same")
    before, untouched = files_in(kept), (kept / "same").stat()
    place = Place([kept], scratch)
    for _ in range(2):
        (kept / "changed").write_text("CHANGED")
        (kept / "removed").unlink()
        (kept / "new").mkdir()
        (kept / "new/file").write_text("new")
        (kept / "empty").rmdir()
        (kept / "below/deep").unlink()
        (kept / "below").rmdir()
        (kept / "becomes/a-file").unlink()
        (kept / "becomes").rmdir()
        (kept / "becomes").write_text("a file")
        (kept / "link").unlink()
        place.put_back()
        assert files_in(kept) == before
        assert (kept / "empty").is_dir()
        assert not (kept / "new").exists()
        assert (kept / "link").readlink() == Path("same")
    assert (kept / "same").stat() == untouched


def test_what_was_not_there_goes_again_and_neighbours_stay(tmp_path: Path) -> None:
    store, neighbour = tmp_path / "store.db", tmp_path / "neighbour"
    place = Place([store, tmp_path / "blobs"], tmp_path / "scratch")
    store.write_text("stored")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/one").write_text("one")
    neighbour.write_text("mine")
    place.put_back()
    assert not store.exists()
    assert not (tmp_path / "blobs").exists()
    assert neighbour.read_text() == "mine"


def test_files_are_told_by_their_paths_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"\x00")
    assert files_in(tmp_path) == {"a/b": b"\x00"}
    assert files_in(tmp_path / "nothing") == {}
    assert files_in(None) == {}
