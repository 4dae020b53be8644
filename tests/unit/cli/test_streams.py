"""Streams whose other side has gone."""

from __future__ import annotations

import os

from smithers.cli.streams import patient_stream


def test_remarks_that_nobody_reads_are_dropped() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = patient_stream(write, encoding="utf-8", closes=True)
    print("anybody?", file=stream, flush=True)
    stream.close()


def test_remarks_are_written_line_by_line_with_what_the_encoding_has() -> None:
    read, write = os.pipe()
    stream = patient_stream(write, encoding="ascii", closes=True)
    print("✓ done", file=stream)
    assert os.read(read, 100) == b"? done\n"
    stream.close()
    os.close(read)
