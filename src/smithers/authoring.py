"""`@workflow`: the author's function as something that can be run, resumed and looked at."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Generic, Literal, TypeAlias, overload

from typing_extensions import TypeVar

from smithers.agents import RehearsalAgent, as_agent
from smithers.clock import SystemClock
from smithers.context import Context, ambient, from_stored, running_as
from smithers.engine.definition import Definition
from smithers.engine.drive import Drive
from smithers.engine.encode import encode_input
from smithers.engine.handle import Handle, RunEnd
from smithers.engine.host import Claim, Host, check_same_input, config_of, find_resumable
from smithers.engine.hosts import host_for, known_host
from smithers.engine.input import input_model
from smithers.engine.memory import Memory
from smithers.engine.message import New, Resume
from smithers.engine.permission import Policy, check_policy
from smithers.engine.rechecking import is_rerun, marks_of
from smithers.engine.resume_plan import plan_resume
from smithers.engine.returned import VALUE, returned_model
from smithers.engine.script_player import ScriptPlayer
from smithers.engine.terms import Terms, Wires
from smithers.engine.verdict import ResumePlan, Wish
from smithers.errors import InvalidNode, OutsideTask, Place, SmithersError
from smithers.ids import NodeKey, check_run_id
from smithers.nodes import AgentLike, Task, check_amount, check_limit
from smithers.plan import PlanNode
from smithers.ports import Agent, Reader
from smithers.records import UNSPENT, FrameWrite, RunRow, RunState, Spending, UserTable, WaitRow
from smithers.store import find_store, place_store

In = TypeVar("In", default=Any)
Out = TypeVar("Out", default=Any)
M = TypeVar("M")

Cast: TypeAlias = Mapping[str, Agent]
"""Who plays the agents of a task, by its id; under the empty one: of every other task."""

AgentTools: TypeAlias = Literal["explicit-only"] | None
"""What a list of tools means that nobody wrote: none at all; None: what the agent is set up with."""

DEFAULT_LIMIT = 16
"""Running attempts of one run, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class RunResult(Generic[Out]):
    """How a run came back."""

    run_id: str
    status: str
    """`finished`, `partial`, `failed`, `cancelled`, `paused` or `waiting`."""
    output: Out | None
    """The run's own output: the newest row of `@workflow(output=Model)`, else the newest output of all."""
    error: Mapping[str, Any] | None = None
    """`code`, `message`, `hint`, … of what ended a failed run."""
    cost: Spending = UNSPENT
    """What agents have told that the run has cost in all: every attempt since it began, resumes included, its
    sub-workflows, and the runs before it in its lineage. False: none has told a thing."""
    waits: tuple[WaitRow, ...] = ()
    """Of a run that is `waiting`: the people, messages and times that it, or a run within it, waits for."""


class Workflow(Generic[In, Out]):
    """A function from state to a tree, with what is needed to run it. Made by `@workflow`."""

    def __init__(
        self,
        function: Callable[[Context[In]], object],
        *,
        name: str | None = None,
        output: type[Out] | None = None,
        outputs: Mapping[str, type[Any]] | None = None,
        durability: Literal["full", "normal"] = "full",
        max_concurrency: int | None = None,
        agents: AgentLike | Mapping[str, AgentLike] | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.function = function
        self.name = name or function.__name__.replace("_", "-")
        self.output: type[Out] | None = output
        code = function.__code__
        self.place = Place(code.co_filename, code.co_firstlineno)
        is_script = inspect.iscoroutinefunction(function)
        returns = None
        if is_script:
            returns = output if output is not None else returned_model(function)
            self.output = output = returns
        check_limit(max_concurrency, "max_concurrency", self.place)
        check_policy(policy, self.place)
        if durability not in ("full", "normal"):
            raise InvalidNode(f'durability={durability!r} is not "full" or "normal"', place=self.place)
        self.definition = Definition(
            name=self.name,
            function=function,
            place=self.place,
            input_model=input_model(function, self.place),
            output_model=None if output is None else ("str" if output is str else output.__name__),
            outputs=_named_outputs(outputs, self.place),
            durability=durability,
            max_concurrency=max_concurrency,
            is_script=is_script,
            returns=returns,
            agents=_named_agents(agents, self.place),
            policy=policy,
            base=Path(self.place.file).parent,
        )
        self._sources: dict[Path, str] = {}
        self._cast: Cast | None = None
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__

    def __repr__(self) -> str:
        return f"<workflow {self.name} at {self.place}>"

    # --- Running --------------------------------------------------------------------------------

    async def run(
        self,
        input: In | Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        resume: bool = False,
        store: str | Path | None = None,
        max_concurrency: int | None = None,
        rehearse: bool = False,
        agent_tools: AgentTools = None,
        max_usd: float | None = None,
        rerun: Iterable[str] = (),
        retry: Iterable[str] = (),
    ) -> RunResult[Out]:
        """Run to the end, or resume.

        Args:
            input: the input model, or JSON that fits it; on a resume left out, or the same.
            run_id: default: a short readable one; on a resume: the newest unfinished run of this workflow.
            resume: go on with a stored run instead of starting one.
            store: database file; default: the nearest `.smithers/smithers.db` upwards from the workflow's
            file.
            max_concurrency: attempts that may run at once; default 16.
            rehearse: every agent is played by a rehearsal agent, which costs nothing.
            agent_tools: `"explicit-only"`: an agent whose tools neither its task nor itself lists gets none.
            max_usd: what its agents may spend, in US dollars; when that is used up the run pauses, and goes
                on when it is resumed with more.
            rerun: on a resume: ids of finished tasks to execute again, with what depends on them; `"changed"`
                is all that the file asks something else of now.
            retry: on a resume: ids of tasks that failed, were skipped or cancelled, to try again.
        Raises:
            RefusedError, AuthoringError: nothing was changed.
            StoreError: the database cannot be used; the run continues when the cause is gone.
        """
        self._check_place()
        if resume:
            found = await self._resume_on_thread(
                input, run_id, store, max_concurrency, rehearse, agent_tools, max_usd, Wish.of(rerun, retry)
            )
            if isinstance(found, RunResult):
                return found
            handle, host = found, self._known_host(store)
        else:
            host = await self._host(store)
            handle = self._begin(
                host, input, run_id, max_concurrency, rehearse, agent_tools=agent_tools, max_usd=max_usd
            )
        try:
            end = await asyncio.wrap_future(handle.ended)
        except asyncio.CancelledError:
            handle.pause()
            raise
        if not resume and not host.desk.has_looked and end.state is not RunState.WAITING:
            return self.result(end)  # as below
        return self.result(end, *await asyncio.to_thread(_looked_up, host, end))

    def run_sync(
        self,
        input: In | Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        resume: bool = False,
        store: str | Path | None = None,
        max_concurrency: int | None = None,
        rehearse: bool = False,
        agent_tools: AgentTools = None,
        max_usd: float | None = None,
        rerun: Iterable[str] = (),
        retry: Iterable[str] = (),
    ) -> RunResult[Out]:
        """The same for code that does not await; also inside a running event loop."""
        self._check_place()
        if resume:
            found = self._resume_stored(
                input, run_id, store, max_concurrency, rehearse, agent_tools, max_usd, Wish.of(rerun, retry)
            )
            if isinstance(found, RunResult):
                return found
            handle, host = found, self._known_host(store)
        else:
            host = self._known_host(store)
            handle = self.start(
                host,
                input,
                run_id=run_id,
                max_concurrency=max_concurrency,
                rehearse=rehearse,
                agent_tools=agent_tools,
                max_usd=max_usd,
            )
        try:
            end = _wait(handle.ended)
        except KeyboardInterrupt:
            handle.pause()
            _wait(handle.ended)
            raise
        # Without an agent that was asked, a look into the store would cost more than all of a short run.
        is_free = not resume and not host.desk.has_looked and end.state is not RunState.WAITING
        return self.result(end) if is_free else self.result(end, *_looked_up(host, end))

    def _check_place(self) -> None:
        if ambient.get() is not None and running_as.get() is None:
            raise OutsideTask(
                f"{self.name} cannot be run while a workflow is rendered, or in skip_if or until",
                hint="run it in a task: Task(id, Model, run=…)",
            )

    async def _host(self, store: str | Path | None) -> Host:
        """The host of a store; it is opened on a thread, which every run after the first does without."""
        path = self._store_path(store)
        found = known_host(path, self.definition.durability)
        if found is not None:
            return found
        return await asyncio.to_thread(_open_host, path, self.definition.durability)

    def _known_host(self, store: str | Path | None) -> Host:
        """The same, on a thread that may wait, or where it has been opened."""
        return host_for(self._store_path(store), self.definition.durability)

    async def _resume_on_thread(self, *how: Any) -> Handle | RunResult[Out]:
        """`_resume_stored` for a coroutine, which may be cancelled meanwhile: then the run is paused."""
        launched: list[Handle | RunResult[Out]] = []
        has_left = threading.Event()

        def launch() -> None:
            launched.append(self._resume_stored(*how))
            if has_left.is_set():
                _pause(launched)

        try:
            await asyncio.to_thread(launch)
        except asyncio.CancelledError:
            # Set before looked: a thread that is just done launching looks after that, and pauses by itself.
            has_left.set()
            _pause(launched)
            raise
        return launched[0]

    def _resume_stored(
        self,
        input: In | Mapping[str, Any] | None,
        run_id: str | None,
        store: str | Path | None,
        max_concurrency: int | None,
        rehearse: bool,
        agent_tools: AgentTools,
        max_usd: float | None,
        wish: Wish,
    ) -> Handle | RunResult[Out]:
        host = self._known_host(store)
        row = find_resumable(host.store, run_id, self.source(host.project) if run_id is None else None)
        if input is not None:
            check_same_input(row, _plain(input))
        if row.state is RunState.FINISHED and not (wish and self.plan(host, row, wish).again):
            return self.stored_result(host, row.name)
        claim = host.claim(row)
        return self.resume(
            host,
            claim,
            max_concurrency=max_concurrency,
            rehearse=rehearse,
            agent_tools=agent_tools,
            max_usd=max_usd,
            wish=wish,
        )

    def start(
        self,
        host: Host,
        input: Any = None,
        *,
        run_id: str | None = None,
        max_concurrency: int | None = None,
        rehearse: bool = False,
        linger_ms: int | None = None,
        watch: Callable[[FrameWrite], None] | None = None,
        strict: bool = False,
        agent_tools: AgentTools = None,
        max_usd: float | None = None,
        stays: bool = False,
    ) -> Handle:
        """Start a run on an open host and wait until its first frame is stored. For the rim."""
        handle = self._begin(
            host,
            input,
            run_id,
            max_concurrency,
            rehearse,
            linger_ms,
            watch,
            strict,
            agent_tools,
            max_usd,
            stays,
        )
        try:
            _wait(handle.started)
        except KeyboardInterrupt:
            handle.pause()  # nobody would hold the run that is about to begin
            raise
        return handle

    def _begin(
        self,
        host: Host,
        input: Any,
        run_id: str | None,
        max_concurrency: int | None,
        rehearse: bool,
        linger_ms: int | None = None,
        watch: Callable[[FrameWrite], None] | None = None,
        strict: bool = False,
        agent_tools: AgentTools = None,
        max_usd: float | None = None,
        stays: bool = False,
    ) -> Handle:
        """Ask the engine for a run, and wait for nothing."""
        if run_id is not None:
            check_run_id(run_id)
        text = encode_input(self.definition.input_model, input, self.name)
        limit = max_concurrency or self.definition.max_concurrency or DEFAULT_LIMIT
        config = config_of(
            _plain(input), {"max_concurrency": limit, "durability": self.definition.durability}
        )
        if rehearse:
            config["rehearse"] = True
        if agent_tools is not None:
            config["agent_tools"] = agent_tools
        if max_usd is not None:
            config["max_usd"] = check_amount(max_usd, "max_usd")
        engine = host.engine
        handle = engine.handle(watch)
        terms = replace(
            self._terms(host, limit, rehearse, linger_ms, strict=strict), config=config, stays=stays
        )
        engine.post(New(self.definition, run_id, text, config, terms, handle))
        return handle

    def resume(
        self,
        host: Host,
        claim: Claim,
        *,
        max_concurrency: int | None = None,
        rehearse: bool = False,
        linger_ms: int | None = None,
        watch: Callable[[FrameWrite], None] | None = None,
        wish: Wish | None = None,
        agent_tools: AgentTools = None,
        max_usd: float | None = None,
        stays: bool = False,
    ) -> Handle:
        """Drive a claimed run; it is given back if the file does not let it go on. For the rim.

        Args:
            wish: what is to be executed again; what its plan says is what runs.
        """
        limit = max_concurrency or int(claim.row.config.get("max_concurrency") or DEFAULT_LIMIT)
        host.desk.look()  # what waited for a limit is waited for again, or begins
        rehearse = rehearse or bool(claim.row.config.get("rehearse"))
        try:
            engine = host.engine
            terms = self._terms(host, limit, rehearse, linger_ms, strict=bool(wish and wish.strict))
            said = {"rehearse": True} if rehearse else {}
            tools = {"agent_tools": agent_tools} if agent_tools is not None else {}
            money = {"max_usd": check_amount(max_usd, "max_usd")} if max_usd is not None else {}
            terms = replace(terms, config={**claim.row.config, **said, **tools, **money}, stays=stays)
            again, marks, afresh = self._rerun(host, claim.row, terms, wish)
        except BaseException:
            host.release(claim)
            raise
        handle = engine.handle(watch)
        engine.post(Resume(self.definition, claim.row, claim.fence, terms, handle, again, marks, afresh))
        try:
            _wait(handle.started)
        except KeyboardInterrupt:
            handle.pause()
            raise
        return handle

    def _rerun(
        self, host: Host, row: RunRow, terms: Terms, wish: Wish | None
    ) -> tuple[tuple[NodeKey, ...], Mapping[NodeKey, bytes], frozenset[NodeKey]]:
        """What a resume executes again; of a script what its finished tasks were, if that matters; and which
        sub-workflows begin afresh."""
        if wish:
            plan = _plan(host, row, self.definition, terms, wish)
            if plan.again or not self.definition.is_script:
                return plan.again, plan.marks, plan.afresh
        if not self.definition.is_script:
            return (), {}, frozenset()
        with closing(host.store.reader()) as reader:
            is_pending = any(map(is_rerun, reader.blocks(row.id)))
            return (), marks_of(reader.history(row.id)) if is_pending else {}, frozenset()

    def plan(
        self, host: Host, row: RunRow, wish: Wish | None = None, *, rehearse: bool = False
    ) -> ResumePlan:
        """What a resume of a stored run will do. Nothing is claimed, executed or stored. For the rim.

        Raises:
            SmithersError: what the resume would be refused for.
        """
        rehearse = rehearse or bool(row.config.get("rehearse"))
        terms = self._terms(host, None, rehearse, None, strict=bool(wish and wish.strict))
        return _plan(host, row, self.definition, terms, wish)

    def agents_of(self, host: Host, row: RunRow, key: NodeKey) -> tuple[Agent, ...]:
        """The agents that this workflow has for a task of a stored run; none, if the task is not in its
        tree. For the rim.

        Raises:
            SmithersError: what a resume would be refused for.
        """
        from smithers.engine.prospect import Prospect

        with closing(host.store.reader()) as reader:
            stored = reader.history(row.id).stored
        terms = self._terms(host, None, False, None)
        leaf = Prospect(stored, self.definition, terms).leaves.get(key)
        return () if leaf is None else terms.agents(leaf.plan.payload)

    def played_by(self, agents: Agent | Mapping[str, Agent]) -> Workflow[In, Out]:
        """The same workflow with other agents, for tests; this one is not changed.

        Args:
            agents: who plays every agent, or by the id of a task who plays its agents; others stay.
        """
        played = copy(self)
        played._cast = agents if isinstance(agents, Mapping) else {"": agents}
        return played

    def players(self, task: Task[Any]) -> tuple[Agent, ...]:
        """Who plays a task's agents instead of them; empty: nobody."""
        cast = self._cast or {}
        player = cast.get(task.id, cast.get(""))
        return () if player is None else (player,)

    def _terms(
        self, host: Host, limit: int | None, rehearse: bool, linger_ms: int | None, *, strict: bool = False
    ) -> Terms:
        rehearsal = RehearsalAgent() if rehearse else None

        known: dict[tuple[Any, ...], tuple[Agent, ...]] = {}

        def agents(task: Task[Any]) -> tuple[Agent, ...]:
            if rehearsal is not None:
                return (rehearsal,)
            if self._cast is not None and (players := self.players(task)):
                return players
            try:
                found = known.get(task.agents)
            except TypeError:  # an agent that cannot be hashed
                return tuple(map(as_agent, task.agents))
            if found is None:
                if len(known) > 1024:
                    known.clear()
                found = known[task.agents] = tuple(map(as_agent, task.agents))
            return found

        def find_table(name: str) -> UserTable:
            with closing(host.store.reader()) as reader:
                return reader.table(name)

        return Terms(
            self.source(host.project),
            limit,
            host.project,
            agents,
            linger_ms,
            find_table,
            strict=strict,
            parked_until_ms=host.desk.until_ms,
            places=host.places,
            cache=None if rehearse else host.cache,
            is_leaving=host.ends_process,
            notices=host.notices,
        )

    def result(
        self, end: RunEnd, cost: Spending = UNSPENT, waits: tuple[WaitRow, ...] = ()
    ) -> RunResult[Out]:
        """A run's end as its caller sees it."""
        output = None if end.output is None else self._decode(end.output, end.output_model)
        return RunResult(end.run_id, end.state.word, output, end.error, cost, waits)

    def stored_result(self, host: Host, run_id: str) -> RunResult[Out]:
        """The result of a run that has ended, from its rows."""
        reader = host.store.reader()
        try:
            row = reader.run(run_id)
            found = None
            if row.output is not None:
                wanted = row.output
                found = next((one for one in reader.outputs(row.id) if one.key == wanted.key), None)
            cost = _spent(reader, row.id)
        finally:
            reader.close()
        output = None if found is None else self._decode(found.body, found.model)
        return RunResult(row.name, row.state.word, output, row.error, cost)

    def _decode(self, text: str, model: str | None) -> Any:
        if self.output is not None and self.output is not str:
            return from_stored(self.output, text)
        value = json.loads(text)
        match model:
            case "str":
                return value["text"]
            case "value" if self.definition.is_script:
                return value.get(VALUE, value)
            case _:
                return value

    # --- Looking --------------------------------------------------------------------------------

    def graph(self, input: In | Mapping[str, Any] | None = None) -> PlanNode:
        """The tree of the first frame, without running anything.

        Raises:
            AuthoringError: what a run would be refused for.
        """
        text = encode_input(self.definition.input_model, input, self.name)
        memory = Memory("graph", text, self.definition.input_model)
        terms = Terms("", None, None, lambda task: ())
        player = ScriptPlayer()
        clock = SystemClock()
        wires = Wires(_no_job, _no_job, player.moved, clock, clock, _no_job)
        return Drive(self.definition, memory, terms, Random(0), wires).preview(player)

    # --- Where ----------------------------------------------------------------------------------

    def source(self, project: Path) -> str:
        """How to load this workflow again: relative to the project where it lies in it."""
        found = self._sources.get(project)
        if found is None:
            found = self._sources[project] = self.definition.source(project)
        return found

    def _store_path(self, store: str | Path | None) -> Path:
        if store is not None:
            return Path(store)
        file = Path(self.place.file)
        start = file.parent if file.exists() else Path.cwd()
        found = find_store(start)
        return found if found is not None else place_store(file if file.exists() else None, Path.cwd())


@overload
def workflow(function: Callable[[Context[In]], Coroutine[Any, Any, Out]], /) -> Workflow[In, Out]: ...
@overload
def workflow(function: Callable[[Context[In]], object], /) -> Workflow[In, Any]: ...
@overload
def workflow(
    *,
    output: type[M],
    name: str | None = None,
    outputs: Mapping[str, type[Any]] | None = None,
    durability: Literal["full", "normal"] = "full",
    max_concurrency: int | None = None,
    agents: AgentLike | Mapping[str, AgentLike] | None = None,
    policy: Policy | None = None,
) -> Callable[[Callable[[Context[In]], object]], Workflow[In, M]]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    outputs: Mapping[str, type[Any]] | None = None,
    durability: Literal["full", "normal"] = "full",
    max_concurrency: int | None = None,
    agents: AgentLike | Mapping[str, AgentLike] | None = None,
    policy: Policy | None = None,
) -> Callable[[Callable[[Context[In]], object]], Workflow[In, Any]]: ...
def workflow(function: Any = None, /, **options: Any) -> Any:
    """Make a workflow of a function that takes `ctx`: it returns a tree, or awaits its nodes.

    Args:
        name: shown to people and stored with runs; default: the function's name, with dashes.
        output: model whose newest row is the run's own output.
        outputs: models of named outputs, which a task names instead of a model; a name that is not among them
            holds any JSON object.
        durability: `"full"`: an acknowledged result survives a power loss; `"normal"`: it survives our own
            death, at a fraction of the disk's time.
        max_concurrency: running attempts of one run; default 16.
        agents: whom `smithers.dynamic.agent` asks: one, or by the name of a model, `""` for the default.
        policy: called with a `PolicyRequest` before each attempt, those of sub-workflows too; it returns
            None to let it begin, or a text that says why not. An attempt that is denied fails, and is not
            tried again.
    """
    if function is None:
        return lambda found: Workflow(found, **options)
    if not callable(function):
        raise InvalidNode(f"@workflow is for functions, not for {function!r}")
    return Workflow(function)


def _named_outputs(outputs: Mapping[str, type[Any]] | None, place: Place) -> dict[str, type[Any]]:
    """The models among them; `dict` is any JSON object, as is a name that nobody registers."""
    found: dict[str, type[Any]] = {}
    for name, model in (outputs or {}).items():
        if not isinstance(name, str) or not name:
            raise InvalidNode(f"outputs= names an output {name!r}, which is no text", place=place)
        if model is dict:
            continue
        if model is not str and not (isinstance(model, type) and hasattr(model, "model_validate")):
            raise InvalidNode(
                f"outputs={{{name!r}: …}}: {model!r} is not a pydantic model, str or dict",
                hint="leave the name out, and it holds any JSON object",
                place=place,
            )
        found[name] = model
    return found


def _named_agents(
    agents: AgentLike | Mapping[str, AgentLike] | None, place: Place
) -> Mapping[str, AgentLike]:
    if agents is None:
        return {}
    found = agents if isinstance(agents, Mapping) else {"": agents}
    for name, one in found.items():
        if not isinstance(name, str) or not (callable(one) or hasattr(one, "call")):
            raise InvalidNode(f"agents={{{name!r}: …}}: {one!r} is not an agent", place=place)
    return found


def _plain(input: Any) -> Any:
    """An input as JSON, to compare it with another."""
    if input is None:
        return {}
    from pydantic_core import to_jsonable_python

    # What a model takes, such as a date or a set, need not be JSON yet.
    return to_jsonable_python(input, fallback=repr)


def _plan(host: Host, row: RunRow, definition: Definition, terms: Terms, wish: Wish | None) -> ResumePlan:
    with closing(host.store.reader()) as reader:
        history = reader.history(row.id)
    return plan_resume(history, definition, terms, wish)


def _looked_up(host: Host, end: RunEnd) -> tuple[Spending, tuple[WaitRow, ...]]:
    """What a run has cost, and what it waits for; of what cannot be read, nothing: no result is lost."""
    with suppress(SmithersError), closing(host.store.reader()) as reader:
        run = reader.run(end.run_id).id
        if end.state is not RunState.WAITING:
            return _spent(reader, run), ()
        rows = (row for number in (run, *reader.below(run)) for row in reader.waits(number))
        return _spent(reader, run), tuple(row for row in rows if row.is_open)
    return UNSPENT, ()


def _spent(reader: Reader, run: int) -> Spending:
    return sum(reader.spent([run]).get(run, {}).values(), UNSPENT)


def _open_host(path: Path, durability: Literal["full", "normal"]) -> Host:
    host = host_for(path, durability)
    host.engine  # noqa: B018 - started here, on a thread that may wait for the disk
    return host


def _pause(launched: Iterable[Handle | RunResult[Any]]) -> None:
    """Nobody holds the run any more."""
    for handle in launched:
        if not isinstance(handle, RunResult):
            handle.pause()


def _no_job(*_: object) -> None:
    """A preview starts nothing, so nothing reports."""


def _wait(future: Future[Any]) -> Any:
    """Wait for a future so that Ctrl+C still reaches the main thread."""
    while True:
        try:
            return future.result(
                timeout=0.5 if threading.current_thread() is threading.main_thread() else None
            )
        except TimeoutError:
            if future.done():
                raise
