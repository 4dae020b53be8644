"""Six agents in places of their own, two at a time; the program that plays them lies beside this file."""

from pathlib import Path

from pydantic import BaseModel

from smithers import Context, Node, Parallel, Task, workflow
from smithers.agents import ClaudeCode

HERE = Path(__file__).parent
PLACES = 6


class Word(BaseModel):
    text: str


@workflow(max_concurrency=3)
def flow(ctx: Context) -> Node:
    return Parallel(
        Task(
            f"code{n}",
            Word,
            agent=ClaudeCode(binary=str(HERE / "stand_in.py"), cwd=HERE / f"place{n}", pool=None),
            prompt="Write code.",
        )
        for n in range(PLACES)
    )
