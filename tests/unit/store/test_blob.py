"""Bodies in files."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from smithers.errors import StoreCorrupt, StoreError
from smithers.records import BLOB_LIMIT_BYTES
from smithers.store.blob import Blobs


def test_the_limit_counts_bytes_and_not_characters() -> None:
    assert not Blobs.is_large("x" * BLOB_LIMIT_BYTES)
    assert Blobs.is_large("x" * (BLOB_LIMIT_BYTES + 1))
    assert not Blobs.is_large("ü" * (BLOB_LIMIT_BYTES // 2))
    assert Blobs.is_large("ü" * (BLOB_LIMIT_BYTES // 2 + 1))


def test_a_body_is_a_file_named_by_its_hash_and_for_its_owner_alone(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    digest = blobs.put("what was said")
    assert blobs.put("what was said") == digest == sha256(b"what was said").digest()
    (file,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    assert file == tmp_path / "blobs" / digest.hex()[:2] / digest.hex()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert blobs.get(digest) == "what was said"


def test_a_missing_and_a_changed_file_are_named(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    digest = blobs.put("what was said")
    path = tmp_path / "blobs" / digest.hex()[:2] / digest.hex()
    path.write_text("what was not said")
    with pytest.raises(StoreCorrupt, match=digest.hex()):
        blobs.get(digest)
    path.unlink()
    with pytest.raises(StoreCorrupt, match=digest.hex()):
        blobs.get(digest)


def test_a_body_that_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    with pytest.raises(StoreError):
        Blobs(tmp_path / "blobs").put("x")
    assert (tmp_path / "blobs").read_text() == "a file where the folder should be"
