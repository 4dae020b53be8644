"""What the runtime costs, beside what the same machine would charge for the bare work.

`scripts/bench` runs `bench.run`; `docs/performance.md` says how to read what it prints.
"""
