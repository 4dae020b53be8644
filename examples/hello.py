"""The smallest workflow.

python hello.py
smithers up hello.py --input '{"name":"world"}'
"""

from __future__ import annotations

from pydantic import BaseModel

from smithers import Context, Node, Task, workflow


class Who(BaseModel):
    name: str = "world"


class Hello(BaseModel):
    message: str


@workflow(output=Hello)
def hello(ctx: Context[Who]) -> Node:
    return Task("greet", Hello, value={"message": f"Hello, {ctx.input.name}"})


if __name__ == "__main__":
    result = hello.run_sync()
    assert result.output is not None
    print(result.output.message)
