"""One piece of work: an agent's, a function's, or a plain value."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Sequence as SequenceOf
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, overload

from typing_extensions import TypeVar, Unpack

from smithers.errors import InvalidNode, MissingOutputModel, Place
from smithers.ids import check_node_id
from smithers.plan import Edge, PlanNode, TaskPlan

from .cache import Cache, check_cache
from .importable import check_importable
from .node import Lowering, Node, here
from .option import MISSING, AgentLike, AnyCallable, Missing, PromptLike, TaskOptions
from .retry import check_retries
from .returned import returned_model
from .span import span_ms
from .table import SqlTable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .inline import Within
    from .wait import Question

T_co = TypeVar("T_co", covariant=True, default=Any)
M = TypeVar("M")
OutputOf: TypeAlias = type[M] | SqlTable[M]
"""What says what an output looks like: its model, or a table of the user's with one."""
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class Task(Node, Generic[T_co]):
    """One piece of work with one output, stored the moment it is finished.

    Exactly one of `agent`, `run` and `value` says how the output comes to be.

    Args:
        id: stable and unique, derived from data, such as `f"review:{file}"`.
        output: pydantic model of the output; `str` for plain text; the name of an output; or a `SqlTable`.
            May be left out where `run` says what it returns.
        agent: who answers `prompt`; a list is a chain: attempt n is made by agent n, the last from then on.
        prompt: text, a `Prompt`, or a function of the `deps` that returns one, called when the task starts.
        run: a function of the `deps`, sync or async; sync functions run on a thread, or with
            `run_in="process"` in a process of its own.
        value: a plain value; with `deps`, a quick pure function of them.
        deps: a task, or a tuple or list of tasks, whose outputs are handed over by position; or a mapping of
            names to models, handed over as one object with these names.
        continue_on_fail: go on if this task fails for good; its output may then be missing.
        options: see `TaskOptions`.
    """

    __slots__ = (
        "agents",
        "allow_tools",
        "cache",
        "continue_",
        "continue_on_fail",
        "dep_names",
        "deps",
        "edges",
        "fork",
        "heartbeat_timeout_ms",
        "id",
        "is_async",
        "label",
        "meta",
        "mode",
        "model",
        "model_name",
        "needs",
        "needs_approval",
        "on_suspect",
        "output_name",
        "prompt",
        "retries",
        "retry_policy",
        "run",
        "run_in",
        "schema",
        "skip_if",
        "table",
        "timeout_ms",
        "value",
        "within",
    )

    # --- With an output model: what `prompt`, `run` and `value` return is checked against it ---------

    @overload
    def __init__(
        self: Task[M],
        id: str,
        output: OutputOf[M],
        *,
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[], PromptLike] | None = None,
        run: Callable[[], object] | None = None,
        value: object = MISSING,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M],
        id: str,
        output: OutputOf[M],
        *,
        deps: Task[A | None] | tuple[Task[A | None]],
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[A], PromptLike] | None = None,
        run: Callable[[A], object] | None = None,
        value: Callable[[A], object] | Missing = MISSING,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M],
        id: str,
        output: OutputOf[M],
        *,
        deps: tuple[Task[A | None], Task[B | None]],
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[A, B], PromptLike] | None = None,
        run: Callable[[A, B], object] | None = None,
        value: Callable[[A, B], object] | Missing = MISSING,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M],
        id: str,
        output: OutputOf[M],
        *,
        deps: tuple[Task[A | None], Task[B | None], Task[C | None]],
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[A, B, C], PromptLike] | None = None,
        run: Callable[[A, B, C], object] | None = None,
        value: Callable[[A, B, C], object] | Missing = MISSING,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M],
        id: str,
        output: OutputOf[M],
        *,
        deps: Many,
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[..., PromptLike] | None = None,
        run: AnyCallable | None = None,
        value: object = MISSING,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...

    # --- Tolerated failure: the output may be missing ------------------------------------------------

    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        output: OutputOf[M],
        *,
        continue_on_fail: bool,
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[], PromptLike] | None = None,
        run: Callable[[], object] | None = None,
        value: object = MISSING,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        output: OutputOf[M],
        *,
        continue_on_fail: bool,
        deps: Task[A | None] | tuple[Task[A | None]],
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[A], PromptLike] | None = None,
        run: Callable[[A], object] | None = None,
        value: Callable[[A], object] | Missing = MISSING,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        output: OutputOf[M],
        *,
        continue_on_fail: bool,
        deps: tuple[Task[A | None], Task[B | None]],
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[A, B], PromptLike] | None = None,
        run: Callable[[A, B], object] | None = None,
        value: Callable[[A, B], object] | Missing = MISSING,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        output: OutputOf[M],
        *,
        continue_on_fail: bool,
        deps: tuple[Task[A | None], Task[B | None], Task[C | None]],
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[[A, B, C], PromptLike] | None = None,
        run: Callable[[A, B, C], object] | None = None,
        value: Callable[[A, B, C], object] | Missing = MISSING,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        output: OutputOf[M],
        *,
        continue_on_fail: bool,
        deps: Many,
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[..., PromptLike] | None = None,
        run: AnyCallable | None = None,
        value: object = MISSING,
        **options: Unpack[TaskOptions],
    ) -> None: ...

    # --- Without a model: `run` says what it returns --------------------------------------------------

    @overload
    def __init__(
        self: Task[M],
        id: str,
        *,
        run: Callable[..., Awaitable[M]],
        deps: Deps | None = None,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M],
        id: str,
        *,
        run: Callable[..., M],
        deps: Deps | None = None,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        *,
        run: Callable[..., Awaitable[M]],
        continue_on_fail: bool,
        deps: Deps | None = None,
        **options: Unpack[TaskOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Task[M | None],
        id: str,
        *,
        run: Callable[..., M],
        continue_on_fail: bool,
        deps: Deps | None = None,
        **options: Unpack[TaskOptions],
    ) -> None: ...

    # --- A named output: what `@workflow(outputs=…)` registers under it, else any JSON object --------------

    @overload
    def __init__(
        self: Task[Any],
        id: str,
        output: str,
        *,
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | Callable[..., PromptLike] | None = None,
        run: AnyCallable | None = None,
        value: object = MISSING,
        deps: Deps | None = None,
        continue_on_fail: bool = False,
        **options: Unpack[TaskOptions],
    ) -> None: ...

    def __init__(
        self,
        id: str,
        output: type[Any] | SqlTable[Any] | str | None = None,
        *,
        agent: AgentLike | SequenceOf[AgentLike] | None = None,
        prompt: PromptLike | AnyCallable | None = None,
        run: AnyCallable | None = None,
        value: object = MISSING,
        deps: Any = None,
        continue_on_fail: bool = False,
        **options: Unpack[TaskOptions],
    ) -> None:
        place = self.place = here()
        self.id = check_node_id(id, place)
        self.mode: Literal["agent", "run", "value", "child", "continue", "wait"] = _mode(
            id, agent, prompt, run, value, place
        )
        self.agents: tuple[AgentLike, ...] = _chain(agent, options, place)
        self.prompt = prompt
        self.run = run
        self.value = value
        self.continue_on_fail = continue_on_fail
        self.skip_if: bool | Callable[[], bool] = options.get("skip_if", False)
        self.label = options.get("label")
        self.meta = options.get("meta")
        self.needs: Mapping[str, str] = options.get("needs") or {}
        self.retry_policy = options.get("retry_policy")
        self.retries: int | Missing | None = options.get("retries", MISSING)
        self.timeout_ms: int | None = None
        self.within: Within | None = None
        """Set where it is a task of an inline workflow."""
        self.heartbeat_timeout_ms: int | None = None
        self.run_in: Literal["process"] | None = options.get("run_in")
        self.cache: Cache | None = options.get("cache")
        self.allow_tools: tuple[str, ...] | None = None
        self.on_suspect = options.get("on_suspect", "flag")
        self.needs_approval: bool | str = options.get("needs_approval", False)
        self.is_async: bool = options.get("async_", False)
        self.continue_: Task[Any] | str | None = options.get("continue_")
        self.fork: Task[Any] | str | None = options.get("fork")
        if options:
            self._take_options(options)
        if output is None and run is not None:
            output = returned_model(run, id, place)
        self._take_output(output, options.get("output_schema"))
        self.deps, self.dep_names = _read_deps(deps, self.needs, id, place)
        self.edges = self._find_edges(options.get("depends_on"))
        if self.run_in is not None:
            self._check_run_in()

    def _take_options(self, options: TaskOptions) -> None:
        unknown = options.keys() - TaskOptions.__annotations__.keys()
        if unknown:
            raise InvalidNode(f"Task {self.id} does not take {', '.join(sorted(unknown))}", place=self.place)
        if self.retries is not MISSING:
            check_retries(self.retries, self.place)
        check_cache(self.cache, self.mode, self.value, self.id, self.place)
        if options.get("no_retry"):
            self.retries = 0
        self._check_agent_options(options)
        if not isinstance(self.needs_approval, (bool, str)) or self.needs_approval == "":
            raise InvalidNode(
                f"needs_approval={self.needs_approval!r} is neither a bool nor a text", place=self.place
            )
        if self.is_async and not self.needs_approval:
            raise InvalidNode(
                f"Task {self.id}: async_= goes with needs_approval=",
                hint="what runs beside the rest stands in a Parallel",
                place=self.place,
            )
        if "timeout" in options:
            self.timeout_ms = span_ms(options["timeout"], "timeout", self.place)
        if "heartbeat_timeout" in options:
            self.heartbeat_timeout_ms = span_ms(options["heartbeat_timeout"], "heartbeat_timeout", self.place)
        if not isinstance(self.skip_if, bool) and not callable(self.skip_if):
            raise InvalidNode(f"skip_if={self.skip_if!r} is neither a bool nor a function", place=self.place)

    def _check_agent_options(self, options: TaskOptions) -> None:
        """What only a task with an agent takes."""
        for name in ("allow_tools", "continue_", "fork", "on_suspect"):
            if options.get(name) is not None and self.mode != "agent":
                raise InvalidNode(f"Task {self.id}: {name}= is for tasks with an agent", place=self.place)
        tools = options.get("allow_tools")
        if tools is not None:
            if isinstance(tools, str) or not all(isinstance(tool, str) and tool for tool in tools):
                raise InvalidNode(
                    f"Task {self.id}: allow_tools={tools!r} is not a list of names of tools", place=self.place
                )
            self.allow_tools = tuple(tools)
        if self.on_suspect not in ("fail", "flag", "accept"):
            raise InvalidNode(
                f'on_suspect={self.on_suspect!r} is not "fail", "flag" or "accept"', place=self.place
            )
        if self.continue_ is not None and self.fork is not None:
            raise InvalidNode(f"Task {self.id} has both continue_= and fork=", place=self.place)
        for source in (self.continue_, self.fork):
            if source is not None and not isinstance(source, (str, Task)):
                raise InvalidNode(
                    f"Task {self.id}: {source!r} is neither a task nor the id of one", place=self.place
                )

    @property
    def is_continuing(self) -> bool:
        """Whether it goes on with the conversation of another task, or with a copy of it."""
        return self.continue_ is not None or self.fork is not None

    def _check_run_in(self) -> None:
        if self.run_in != "process" or self.mode != "run":
            raise InvalidNode(
                f"Task {self.id}: run_in={self.run_in!r} with {self.mode}=",
                hint='`run_in="process"` is for the function of run=; leave it out everywhere else',
                place=self.place,
            )
        check_importable(self.run, self.deps, self.id, self.place)

    def _take_output(
        self, output: type[Any] | SqlTable[Any] | str | None, schema: type[BaseModel] | None
    ) -> None:
        """Fix `model` (validates), `model_name` (is stored), `schema` (is told to an agent) and `table`."""
        self.table: SqlTable[Any] | None = None
        self.output_name: str | None = None
        """Set where the output is a name, which the workflow may have registered a model for."""
        if output is None:
            output = schema
        if isinstance(output, SqlTable):
            self.table = output
            self.model: type[Any] | None = output.schema if output.schema is not None else schema
            self.model_name = output.name
        elif isinstance(output, str):
            self.model = schema
            self.model_name = self.output_name = output
        elif output is str:
            self.model, self.model_name = str, "str"
        elif isinstance(output, type) and hasattr(output, "model_validate"):
            self.model, self.model_name = output, output.__name__
        else:
            raise MissingOutputModel(
                f"Task {self.id} is missing output table."
                if output is None
                else f"Task {self.id} is missing output table: {output!r} is not a pydantic model",
                place=self.place,
            )
        self.schema = schema if schema is not None else (None if self.model is str else self.model)

    def _find_edges(self, depends_on: object) -> tuple[Edge, ...]:
        if not self.dep_names and not self.needs and depends_on is None and not self.is_continuing:
            return ()
        found: dict[str, Edge] = {name: Edge(name, True) for name in self.dep_names}
        for target in self.needs.values():
            found[check_node_id(target, self.place)] = Edge(target, True)
        for source in (self.continue_, self.fork):
            if source is not None:
                target = source if isinstance(source, str) else source.id
                found[check_node_id(target, self.place)] = Edge(target, True)
        named = (depends_on,) if isinstance(depends_on, (str, Node)) else depends_on or ()
        if not isinstance(named, SequenceOf):
            raise InvalidNode(f"depends_on={depends_on!r} is not an id or a list of ids", place=self.place)
        for item in named:
            targets = item.targets() if isinstance(item, Node) else (item,)
            if targets is None:
                raise InvalidNode(
                    f"depends_on={type(item).__name__}: what is in it is not known before it is reached",
                    hint="name its tasks, or a loop with an id",
                    place=self.place,
                )
            for target in targets:
                found.setdefault(check_node_id(target, self.place), Edge(target))
        return tuple(found.values())

    @property
    def enters(self) -> bool:
        """Whether it begins by waiting."""
        return bool(self.needs_approval)

    def question(self, args: tuple[Any, ...]) -> Question:
        """What it waits for before anything of it runs.

        Args:
            args: what its `deps` hand over.
        """
        from .wait import permission

        return permission(self)

    def lower(self, lowering: Lowering) -> PlanNode:
        return TaskPlan(
            self.id,
            self.edges,
            self.continue_on_fail,
            self,
            self.place,
            enters=self.enters,
            is_async=self.is_async,
        )

    def first_id(self) -> str | None:
        return self.id

    def __repr__(self) -> str:
        return f"Task({self.id!r}, {self.model_name})"


Many: TypeAlias = (
    list[Task[Any]]
    | tuple[Task[Any], Task[Any], Task[Any], Task[Any], *tuple[Task[Any], ...]]
    | Mapping[str, type["BaseModel"]]
)
"""Dependencies whose outputs are handed over without types: a list, four or more, or by name."""
Deps: TypeAlias = Task[Any] | SequenceOf[Task[Any]] | Mapping[str, type["BaseModel"]]


def _mode(
    id: str, agent: object, prompt: object, run: object, value: object, place: Place | None
) -> Literal["agent", "run", "value"]:
    given = [
        name
        for name, present in (
            ("agent", agent is not None),
            ("run", run is not None),
            ("value", value is not MISSING),
        )
        if present
    ]
    if len(given) != 1:
        what = " and ".join(f"{name}=" for name in given) if given else "none of agent=, run= and value="
        raise InvalidNode(
            f"Task {id} has {what}",
            hint="a task has one mode: agent= with prompt=, run= a function, or value= a plain value",
            place=place,
        )
    mode = given[0]
    if mode == "agent":
        if prompt is None:
            raise InvalidNode(f"Task {id} has an agent but no prompt=", place=place)
        if isinstance(prompt, str) and not prompt.strip():
            raise InvalidNode(f"Task {id} has an empty prompt", place=place)
        return "agent"
    if prompt is not None:
        raise InvalidNode(f"Task {id} has a prompt= but no agent=", place=place)
    if mode == "run":
        if not callable(run):
            raise InvalidNode(f"Task {id}: run={run!r} is not a function", place=place)
        return "run"
    if inspect.isawaitable(value):
        raise InvalidNode(
            f"Task {id}: value= is an awaitable; use run= for what must be awaited", place=place
        )
    return "value"


def _chain(
    agent: AgentLike | SequenceOf[AgentLike] | None, options: TaskOptions, place: Place | None
) -> tuple[AgentLike, ...]:
    if agent is None:
        return ()
    chain: tuple[Any, ...] = tuple(agent) if isinstance(agent, (list, tuple)) else (agent,)
    fallback = options.get("fallback_agent")
    if fallback is not None:
        chain = (*chain, fallback)
    for one in chain:
        if not callable(one) and not callable(getattr(one, "call", None)):
            raise InvalidNode(
                f"{one!r} is not an agent",
                hint="an agent is a callable, or has `name` and `call`",
                place=place,
            )
    if not chain:
        raise InvalidNode("agent=[] has no agent in it", place=place)
    return chain


def _read_deps(
    deps: Any, needs: Mapping[str, str], id: str, place: Place | None
) -> tuple[tuple[Task[Any], ...] | Mapping[str, type[BaseModel]] | None, tuple[str, ...]]:
    """The `deps` as given, and the ids of the tasks they name."""
    if deps is None:
        return None, ()
    if isinstance(deps, Task):
        return (deps,), (deps.id,)
    if isinstance(deps, Mapping):
        return deps, tuple(needs.get(name, name) for name in deps)
    tasks = tuple(deps)
    for task in tasks:
        if not isinstance(task, Task):
            raise InvalidNode(
                f"Task {id}: deps= holds {task!r}, which is not a task",
                hint="deps= takes a task, a tuple or list of tasks, or a mapping of names to models",
                place=place,
            )
    return tasks, tuple(task.id for task in tasks)
