"""What is raised when a promise was not kept."""

from __future__ import annotations


class PromiseBroken(AssertionError):
    """A run that was disturbed did not end as one that nobody disturbs, or did something twice."""
