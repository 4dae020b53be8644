"""Mistakes in a task that the editor shows before anything runs."""

from __future__ import annotations

from pydantic import BaseModel

from smithers import Cache, Context, SqlTable, Task
from smithers.agents import RehearsalAgent


class Draft(BaseModel):
    summary: str


class Review(BaseModel):
    approved: bool


agent = RehearsalAgent()
draft = Task("draft", Draft, agent=agent, prompt="Write.")
review = Task("review", Review, agent=agent, prompt="Review.")
tolerant = Task("tolerant", Draft, agent=agent, prompt="Try.", continue_on_fail=True)


def of_review(found: Review) -> str:
    return str(found.approved)


# A field that the dependency's output does not have.
Task("a", str, deps=draft, agent=agent, prompt=lambda d: d.sumary)  # expect-error
Task("a", str, deps=draft, run=lambda d: d.approved)  # expect-error
Task("a", str, deps=draft, value=lambda d: d.approved)  # expect-error
Task("a", str, deps=tolerant, run=lambda d: d.sumary)  # expect-error
Task("a", str, deps=(draft,), run=lambda d: d.sumary)  # expect-error
Task("a", str, deps=(draft, review), agent=agent, prompt=lambda d, r: r.summary)  # expect-error
Task("a", str, deps=(draft, review), run=lambda d, r: d.approved)  # expect-error
Task("a", str, deps=(draft, review, draft), value=lambda d, r, e: e.approved)  # expect-error
Task("a", str, deps=draft, run=lambda d: d.sumary, continue_on_fail=True)  # expect-error
Task("a", str, deps=(draft, review), run=lambda d, r: r.summary, continue_on_fail=True)  # expect-error

# As many parameters as there are dependencies.
Task("a", str, run=lambda d: d.summary)  # expect-error
Task("a", str, agent=agent, prompt=lambda d: d.summary)  # expect-error
Task("a", str, deps=draft, run=lambda: "")  # expect-error
Task("a", str, deps=draft, agent=agent, prompt=lambda d, r: "")  # expect-error
Task("a", str, deps=(draft, review), run=lambda d: "")  # expect-error
Task("a", str, deps=(draft, review), value=lambda: "")  # expect-error

# A function of another output.
Task("a", str, deps=draft, run=of_review)  # expect-error
Task("a", str, deps=draft, value=of_review)  # expect-error
Task("a", str, deps=draft, agent=agent, prompt=of_review)  # expect-error

# Dependencies that are no tasks, and a value that is no function of them.
Task("a", str, deps=["draft"], run=lambda d: "")  # expect-error
Task("a", str, deps="draft", run=lambda d: "")  # expect-error
Task("a", str, deps=draft, value="fixed")  # expect-error

# Agents, prompts and options.
Task("a", str, agent="claude", prompt="Write.")  # expect-error
Task("a", str, agent=[agent, 3], prompt="Write.")  # expect-error
Task("a", str, agent=agent, prompt="Write.", fallback_agent="codex")  # expect-error
Task("a", str, agent=agent, prompt=3)  # expect-error
Task("a", str, agent=agent, prompt=lambda: 3)  # expect-error
Task("a", str, run=str, run_in="thread")  # expect-error
Task("a", str, run=str, cache=True)  # expect-error
Cache(by="input")  # expect-error
Cache(scope="global")  # expect-error
Cache(version=1.5)  # expect-error
Task("a", str, value="", retrys=3)  # expect-error
Task("a", str, value="", retries="3")  # expect-error
Task("a", str, value="", timeout=["30s"])  # expect-error
Task("a", str, value="", retry_policy=3)  # expect-error
Task("a", str, value="", skip_if="never")  # expect-error
Task("a", str, value="", dependsOn="draft")  # expect-error
Task(3, str, value="")  # expect-error
Task("a", 3, value="")  # expect-error
SqlTable("audit", str)  # expect-error
SqlTable(Draft)  # expect-error
as_review: Task[Review] = Task("a", SqlTable("audit", Draft), value={})  # expect-error

# What a task's output is, and what it is not.
wrong: Task[Review] = draft  # expect-error
of_draft: Task[Review] = Task("a", Draft, agent=agent, prompt="Write.")  # expect-error


def read(ctx: Context) -> None:
    found: Draft = ctx.output(tolerant)  # expect-error
    ctx.output(tolerant).summary  # expect-error
    ctx.output(draft).sumary  # expect-error
