"""Runs that nobody drives are found, and have a process started for them; nothing of an author's is imported.

`choice` says which runs, `supervisor` looks again and again, `turn` keeps several of them from doubling the
work, `slot` holds the two processes that drive what was found, and `service` keeps a supervisor running.
"""
