"""Bodies too large for a row: files beside the database, named by their SHA-256."""

from __future__ import annotations

import os
from pathlib import Path
from threading import get_ident

from smithers.errors import StoreCorrupt
from smithers.records import BLOB_LIMIT_BYTES
from smithers.store.refusal import os_error


class Blobs:
    """Files `ab/abcdef…` in one folder; written once, never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def is_large(body: str) -> bool:
        """Whether a body belongs here and not in its row."""
        # A character is at most four bytes: short texts need no encoding to know.
        return len(body) > BLOB_LIMIT_BYTES // 4 and len(body.encode()) > BLOB_LIMIT_BYTES

    def put(self, body: str) -> bytes:
        """Store a body durably and return its 32-byte hash; call it before a row refers to it.

        A crash in between leaves a file that no row names: harmless, and used by the next attempt.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        from hashlib import sha256  # late: 3 ms, and most outputs are small

        data = body.encode()
        digest = sha256(data).digest()
        path = self._path(digest)
        try:
            if not path.exists():
                self._write(path, data)
            # Also for a file that is there: whoever wrote it may have died before this.
            _sync_folder(path.parent)
        except OSError as error:
            raise os_error(error, path) from error
        return digest

    def get(self, digest: bytes) -> str:
        """A body by its hash.

        Raises:
            StoreCorrupt: the file is missing or holds something else.
        """
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreCorrupt(f"an output's file cannot be read: {path}", path=str(path)) from error
        from hashlib import sha256

        if sha256(data).digest() != digest:
            raise StoreCorrupt(f"an output's file was changed: {path}", path=str(path))
        return data.decode()

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name

    def _write(self, path: Path, data: bytes) -> None:
        for folder in (self._folder, path.parent):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                _sync_folder(folder.parent)
        # The name is this thread's own: two that write the same body do not meet in one file.
        draft = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
        try:
            handle = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
