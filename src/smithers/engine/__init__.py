"""Drives runs: render → plan → decide → commit → execute, one thread a process."""

from __future__ import annotations
