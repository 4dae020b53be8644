"""A task carries its output's type: from its model, or from what its function returns, to every reader."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from smithers import Agent, AgentReply, AgentRequest, Cache, Context, Prompt, RetryPolicy, SqlTable, Task
from smithers.agents import CallableAgent, RehearsalAgent


class Draft(BaseModel):
    summary: str


class Review(BaseModel):
    approved: bool
    feedback: str = ""


class Score(BaseModel):
    points: int


class Own:
    """An agent by shape alone."""

    name = "own"

    async def call(self, request: AgentRequest) -> AgentReply:
        return AgentReply(text=request.prompt)


def answer(prompt: str) -> str:
    return prompt


async def answer_later(prompt: str) -> Draft:
    return Draft(summary=prompt)


agent = RehearsalAgent()

# --- The three modes, with a model ----------------------------------------------------------------

assert_type(Task("a", Draft, agent=agent, prompt="Write."), Task[Draft])
assert_type(Task("a", Draft, agent=agent, prompt=lambda: "Write."), Task[Draft])
assert_type(Task("a", Draft, agent=agent, prompt=Prompt("write.md", tone="dry")), Task[Draft])
assert_type(Task("a", Draft, agent=agent, prompt=lambda: Prompt.text("Write {{ x }}", x=1)), Task[Draft])
assert_type(Task("a", Draft, run=lambda: Draft(summary="")), Task[Draft])
assert_type(Task("a", Draft, run=lambda: {"summary": ""}), Task[Draft])
assert_type(Task("a", Draft, value=Draft(summary="")), Task[Draft])
assert_type(Task("a", Draft, value={"summary": ""}), Task[Draft])
assert_type(Task("a", str, agent=agent, prompt="Say it."), Task[str])
assert_type(Task("a", str, run=lambda: "said"), Task[str])
assert_type(Task("a", str, value="said"), Task[str])

# --- Who counts as an agent -----------------------------------------------------------------------

Task("a", Draft, agent=answer, prompt="Write.")
Task("a", Draft, agent=answer_later, prompt="Write.")
Task("a", Draft, agent=Own(), prompt="Write.")
Task("a", Draft, agent=[agent, answer, Own()], prompt="Write.")
Task("a", Draft, agent=(CallableAgent(answer, name="x"), agent), prompt="Write.", fallback_agent=Own())
own: Agent = Own()

# --- Dependencies by position ---------------------------------------------------------------------

draft = Task("draft", Draft, agent=agent, prompt="Write.")
review = Task("review", Review, agent=agent, prompt="Review.")
score = Task("score", Score, value={"points": 3})


def one(d: Draft) -> Score:
    return Score(points=len(d.summary))


async def one_later(d: Draft) -> Score:
    return Score(points=len(d.summary))


def two(d: Draft, r: Review) -> Score:
    return Score(points=int(r.approved))


def three(d: Draft, r: Review, s: Score) -> Score:
    return Score(points=s.points)


assert_type(Task("b", Review, deps=draft, agent=agent, prompt=lambda d: f"Review {d.summary}"), Task[Review])
assert_type(Task("b", Score, deps=draft, run=lambda d: Score(points=len(d.summary))), Task[Score])
assert_type(Task("b", Score, deps=draft, value=lambda d: {"points": len(d.summary)}), Task[Score])
assert_type(Task("b", Score, deps=draft, run=one), Task[Score])
assert_type(Task("b", Score, deps=draft, run=one_later), Task[Score])
assert_type(Task("b", Score, deps=(draft,), run=one), Task[Score])
assert_type(Task("b", Score, deps=(draft,), value=lambda d: {"points": len(d.summary)}), Task[Score])
assert_type(Task("b", Score, deps=(draft, review), run=two), Task[Score])
assert_type(
    Task("b", str, deps=(draft, review), agent=agent, prompt=lambda d, r: d.summary + r.feedback), Task[str]
)
assert_type(Task("b", str, deps=(draft, review), value=lambda d, r: d.summary + r.feedback), Task[str])
assert_type(Task("b", Score, deps=(draft, review, score), run=three), Task[Score])
assert_type(
    Task("b", str, deps=(draft, review, score), run=lambda d, r, s: f"{d.summary} {r.feedback} {s.points}"),
    Task[str],
)

# The parameter of a lambda is the output itself: its fields have their own types.
Task("b", str, deps=draft, run=lambda d: d.summary)
Task("b", str, deps=draft, value=lambda d: d.summary)
Task("b", str, deps=draft, agent=agent, prompt=lambda d: d.summary)
Task("b", str, deps=(draft, review), run=lambda d, r: f"{d} {r}")

# --- Many of a kind, and by name ------------------------------------------------------------------

drafts = [Task(f"draft:{n}", Draft, value={"summary": str(n)}) for n in range(3)]


def join(*found: Draft) -> str:
    return "".join(d.summary for d in found)


assert_type(Task("c", str, deps=drafts, run=join), Task[str])
assert_type(Task("c", str, deps=(draft, review, score, draft), run=join), Task[str])
assert_type(Task("c", str, deps=[draft, review], run=lambda d, r: d.summary + r.feedback), Task[str])
assert_type(Task("c", str, deps={"draft": Draft}, agent=agent, prompt=lambda d: d.draft.summary), Task[str])
assert_type(
    Task("c", str, deps={"text": Draft}, needs={"text": "draft"}, run=lambda d: str(d.text.summary)),
    Task[str],
)

# --- A failure that is tolerated ------------------------------------------------------------------

tolerant = Task("t", Draft, agent=agent, prompt="Try.", continue_on_fail=True)
assert_type(tolerant, Task[Draft | None])
tolerant_of_one = Task("t", Score, deps=draft, run=one, continue_on_fail=True)
assert_type(tolerant_of_one, Task[Score | None])
# A dependant runs only when there is an output: it is handed the model, not `None`.
Task("d", str, deps=tolerant, run=lambda d: d.summary)
Task("d", str, deps=(tolerant, review), run=lambda d, r: d.summary + r.feedback)
flag = bool(draft)
assert_type(Task("t", Draft, agent=agent, prompt="Try.", continue_on_fail=flag), Task[Draft | None])

# --- Without a model: the function says what it returns -------------------------------------------


def draft_now() -> Draft:
    return Draft(summary="")


async def draft_later() -> Draft:
    return Draft(summary="")


def text() -> str:
    return ""


assert_type(Task("e", run=draft_now), Task[Draft])
assert_type(Task("e", run=draft_later), Task[Draft])
assert_type(Task("e", run=text), Task[str])
assert_type(Task("e", deps=draft, run=one), Task[Score])
assert_type(Task("e", deps=(draft, review), run=two), Task[Score])
assert_type(Task("e", run=draft_now, continue_on_fail=True), Task[Draft | None])
assert_type(Task("e", run=draft_later, continue_on_fail=True), Task[Draft | None])

# --- Named outputs, bare tasks --------------------------------------------------------------------

assert_type(Task("f", "results", run=lambda: {"done": True}), Task[Any])
assert_type(Task("f", SqlTable("drafts", Draft), agent=agent, prompt="Write."), Task[Draft])
assert_type(
    Task("f", SqlTable("drafts", Draft), deps=review, run=lambda r: {"summary": r.feedback}), Task[Draft]
)
assert_type(Task("f", SqlTable("drafts", Draft), value={}, continue_on_fail=True), Task[Draft | None])
assert_type(Task("f", SqlTable("drafts"), run=lambda: {"done": True}, output_schema=Draft), Task[Any])
assert_type(SqlTable("drafts", Draft), SqlTable[Draft])
bare: Task = Task("g", Draft, value={"summary": ""})
many: list[Task] = [draft, review, bare]
Task("g", Draft, deps=bare, run=lambda found: found.anything)

# --- Options --------------------------------------------------------------------------------------

assert_type(
    Task(
        "h",
        Draft,
        agent=agent,
        prompt="Write.",
        output_schema=Draft,
        depends_on=["a", review],
        needs={"r": "review"},
        skip_if=lambda: False,
        timeout="30s",
        heartbeat_timeout=timedelta(minutes=1),
        retries=2,
        retry_policy=RetryPolicy(backoff="linear", initial_delay=0.5, max_delay="1m"),
        label="Write it",
        meta={"team": "docs"},
        key="h",
    ),
    Task[Draft],
)
Task("h", Draft, value={"summary": ""}, depends_on="a", no_retry=True)
Task("h", str, run=str, run_in="process")
Task("h", str, run=str, cache=Cache())
Task("h", str, run=str, cache=Cache(lambda ctx: ctx.output(draft).summary, version=1, ttl="2h", scope="run"))
Task("h", str, run=str, cache=Cache(by=lambda ctx: [ctx.input, ctx.run_id], ttl=timedelta(days=1)))
Task("h", Draft, value={"summary": ""}, depends_on=review, timeout=1.5)


# A helper that takes tasks of any output, and one that keeps it.
def ids(*tasks: Task) -> list[str]:
    return [task.id for task in tasks]


ids(draft, review, tolerant)


def read(ctx: Context) -> None:
    assert_type(ctx.output(draft), Draft)
    assert_type(ctx.output(tolerant), Draft | None)
    assert_type(ctx.output_maybe(tolerant), Draft | None)
    assert_type(ctx.latest(tolerant), Draft | None)
