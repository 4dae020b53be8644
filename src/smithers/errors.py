"""Every error raised on purpose: one tree, a stable code each, and the next thing to do.

    SmithersError
    ├── AuthoringError     fix the workflow file
    │   ├── RenderError    found while the tree was being built or checked
    │   └── InputError     the run's input does not fit
    ├── RefusedError       nothing was changed; choose another command (exit 4)
    ├── TaskError          one attempt of one task failed; retried as its policy says
    ├── AgentError         the same, on an agent's side of the port
    ├── StoreError         the database cannot be used; the run continues when the cause is gone
    ├── LastPartsOwed      a cancelled run owes last parts that nobody can run; it stays open (exit 1)
    ├── NotDelivered       a notice did not reach anybody; it is tried again, and no run is touched
    ├── LeaseLost          a newer owner drives the run; stop quietly
    ├── MessagesWaiting    a message came while a run was about to leave; it decides again
    └── BugError           ours; please report

Programs match `code`; people read `message` and `hint`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple


class Place(NamedTuple):
    """Where in the author's files something was written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def fault_path(loc: Sequence[int | str]) -> str:
    """Where in a value pydantic found a fault: `steps[0].title`; empty for the whole of it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


class SmithersError(Exception):
    """Base of everything raised on purpose.

    Args:
        message: what happened, in one line where possible.
        hint: the next thing to do, ideally a command; the class has a default.
        place: file and line of the workflow, when the author can fix it there.
        details: JSON facts for programs.
    """

    code: ClassVar[str] = "SMITHERS"
    default_hint: ClassVar[str] = "run `smithers --help`"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.place = place
        self.details = details

    def __str__(self) -> str:
        at = f" ({self.place})" if self.place else ""
        return f"{self.message}{at}"

    def payload(self) -> dict[str, Any]:
        """The error as JSON: `code`, `message`, `hint`, and `place` and `details` if known."""
        found: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.place:
            found["place"] = str(self.place)
        if self.details:
            found["details"] = self.details
        return found


# --- AuthoringError: fix the workflow -----------------------------------------------------------


class AuthoringError(SmithersError):
    code = "AUTHORING"
    default_hint = "fix the workflow file and run the same command again"


class RenderError(AuthoringError):
    """Raised while a tree is being built or checked."""

    code = "RENDER"


class InvalidNode(RenderError):
    code = "INVALID_NODE"
    default_hint = "see docs/vocabulary.md for what this node takes"


class InvalidId(RenderError):
    code = "INVALID_ID"
    default_hint = (
        "ids match [A-Za-z0-9][A-Za-z0-9._:/-]* and are at most 200 characters long; derive them from data"
    )


class DuplicateId(RenderError):
    code = "DUPLICATE_ID"
    default_hint = "give each task an id of its own, derived from the data it works on"


class NotImportable(RenderError):
    """`run_in="process"` was asked for a function that another process cannot find by its name."""

    code = "NOT_IMPORTABLE"
    default_hint = (
        "write it with `def` at the top level of the workflow's file, or of a module that it imports"
    )


class MissingOutputModel(RenderError):
    code = "MISSING_OUTPUT_MODEL"
    default_hint = "give the task a pydantic model as its second argument, or annotate what `run` returns"


class ChildRefused(RenderError):
    code = "CHILD_REFUSED"
    default_hint = "a child is a node, None or False (absent), or an iterable of children"


class DependencyCycle(RenderError):
    code = "DEPENDENCY_CYCLE"
    default_hint = "remove one of the edges, or reorder the sequence"


class DependencyDeadlock(AuthoringError):
    code = "DEPENDENCY_DEADLOCK"
    default_hint = "mount the missing task, or remove the dependency on it"


class TooDeep(RenderError):
    code = "TOO_DEEP"
    default_hint = "nest at most 200 levels; flatten the tree or move a part into a sub-workflow"


class MissingOutput(AuthoringError):
    """A read of an output that is not there (yet)."""

    code = "MISSING_OUTPUT"
    default_hint = "read it in a callable (prompt=, run=, value=), or with output_maybe"


class StaleOutput(AuthoringError):
    """A stored output no longer fits its model, which was edited since."""

    code = "STALE_OUTPUT"
    default_hint = "give the new field a default, or the task a new id so that it runs again"


class TableUnfit(RenderError):
    """A table that a task writes to does not exist, or cannot take its rows."""

    code = "TABLE_UNFIT"
    default_hint = "create or migrate the table; it is yours, and Smithers never changes it"


class ReadRefused(AuthoringError):
    code = "READ_REFUSED"
    default_hint = "read with a task, (Model, 'id') or a model"


class RenderFailed(RenderError):
    """The workflow function itself raised."""

    code = "RENDER_FAILED"


class RenderImpure(RenderError):
    """Rendered twice over the same state, a workflow gave two trees."""

    code = "RENDER_IMPURE"
    default_hint = (
        "time, random numbers, files and globals belong in tasks: what a render reads goes through ctx"
    )


class LoopMaxReached(AuthoringError):
    code = "LOOP_MAX_REACHED"
    default_hint = "raise max_iterations, or use on_max_reached='return-last'"


class PromptError(AuthoringError):
    code = "PROMPT"
    default_hint = "check the template's file name and the names it uses"


class OutsideTask(AuthoringError):
    code = "OUTSIDE_TASK"
    default_hint = "call it inside a task's function, or read through ctx"


class OutsideScript(AuthoringError):
    code = "OUTSIDE_SCRIPT"
    default_hint = "call it in an `async def` workflow; in a tree, return the node instead"


class InputError(AuthoringError):
    """The run's input does not fit the workflow's input model."""

    code = "INPUT_INVALID"
    default_hint = "pass --input with JSON that fits; `smithers graph FILE` shows the workflow's input"


class StateInvalid(AuthoringError):
    """What a run hands over to the next one is not JSON."""

    code = "STATE_INVALID"
    default_hint = "hand over JSON: objects, lists, texts, finite numbers, true, false and null; or a model"


class StateTooLarge(AuthoringError):
    code = "STATE_TOO_LARGE"
    default_hint = "hand over what the next run needs, or the path of a file that it reads in a task"


# --- RefusedError: nothing was changed ----------------------------------------------------------


class RefusedError(SmithersError):
    code = "REFUSED"


class UsageRefused(RefusedError):
    code = "USAGE"


class WorkflowNotFound(RefusedError):
    code = "WORKFLOW_NOT_FOUND"
    default_hint = "name a file: `smithers up flow.py`, `flow.py:name` or `package.module:name`"


class WorkflowLoadFailed(RefusedError):
    """The file could not be imported; no run was created."""

    code = "WORKFLOW_LOAD_FAILED"
    default_hint = "fix the file and run the same command again; nothing was started"


class RunNotFound(RefusedError):
    code = "RUN_NOT_FOUND"
    default_hint = "list the runs with `smithers ps`"


class RunAmbiguous(RefusedError):
    code = "RUN_AMBIGUOUS"
    default_hint = "type more letters of the run id"


class NodeNotFound(RefusedError):
    code = "NODE_NOT_FOUND"
    default_hint = "list the run's nodes with `smithers inspect RUN`"


class FrameNotFound(RefusedError):
    code = "FRAME_NOT_FOUND"
    default_hint = "show the newest frame with `smithers tree RUN`"


class RunExists(RefusedError):
    code = "RUN_EXISTS"
    default_hint = "continue it with --resume, or choose another --run-id"


class RunOwned(RefusedError):
    code = "RUN_OWNED"
    default_hint = "watch it with `smithers logs RUN -f`, or end it with `smithers cancel RUN`"


class RunNotResumable(RefusedError):
    code = "RUN_NOT_RESUMABLE"
    default_hint = "start a new run with `smithers up`"


class ServiceUnavailable(RefusedError):
    """Nothing here runs services: neither systemd's user manager nor launchd answers."""

    code = "SERVICE_UNAVAILABLE"
    default_hint = (
        "print the unit with `smithers supervise --print-unit` and install it by hand, "
        "or keep `smithers supervise` running by other means"
    )


class HijackRefused(RefusedError):
    """There is no conversation that could be taken into a terminal."""

    code = "HIJACK_REFUSED"
    default_hint = "see the node: `smithers node RUN NODE`"


class NodeSettled(RefusedError):
    code = "NODE_SETTLED"
    default_hint = "a finished task is executed again by `smithers up --resume RUN --rerun NODE`"


class PassEnded(RefusedError):
    """What a loop has passed judgement on is never made undone."""

    code = "PASS_ENDED"
    default_hint = (
        "only tasks of the pass that goes on, or outside loops, are executed again; start a new run"
    )


class PlanChanged(RefusedError):
    """A strict resume found finished tasks that are not what the file asks for now."""

    code = "PLAN_CHANGED"
    default_hint = "look with --plan; then add `--rerun changed` or `--rerun NODE`, or leave --strict out"


class ReloadRefused(RefusedError):
    """A run that goes on cannot be driven by the code that was edited; it keeps the code that it has."""

    code = "RELOAD_REFUSED"
    default_hint = (
        "the run goes on with the code that it has; save a version that fits, or pause and resume it"
    )


class InputChanged(RefusedError):
    code = "INPUT_CHANGED"
    default_hint = "resume without --input, or start a new run with the new input"


class NotWaiting(RefusedError):
    """What was to be decided or answered waits for nobody."""

    code = "NOT_WAITING"
    default_hint = "see what waits: `smithers inbox`"


class AlreadyDecided(RefusedError):
    """Somebody was quicker, or it was said before; what stands is not changed."""

    code = "ALREADY_DECIDED"
    default_hint = "see who has decided it: `smithers why RUN NODE`"


class NotAllowed(RefusedError):
    """A decision of somebody who may not make it."""

    code = "NOT_ALLOWED"
    default_hint = "let one of those decide who may: `smithers why RUN NODE` names them"


class AnswerUnfit(RefusedError):
    """A decision, an answer or a signal that does not fit what is waited for; nothing was changed."""

    code = "ANSWER_UNFIT"
    default_hint = "see what fits: `smithers why RUN NODE`"


class ProcessStuck(RefusedError):
    """Processes that a former owner of a run left behind could not be ended."""

    code = "PROCESS_STUCK"
    default_hint = "end them yourself (`ps -fp PID`), then run the same command again"


class NotifyInvalid(RefusedError):
    """What a configuration says of notices cannot be meant."""

    code = "NOTIFY_INVALID"
    default_hint = "see docs/notify.md for the keys of [notify]; then try them with `smithers notify test`"


class LinkInvalid(RefusedError):
    """A link that decides was not made here, or was changed on its way."""

    code = "LINK_INVALID"
    default_hint = "open the link as it was sent, or decide with `smithers`"


class LinkExpired(RefusedError):
    code = "LINK_EXPIRED"
    default_hint = "decide with `smithers`: what waits is shown by `smithers ps`"


class LinkKeyRefused(RefusedError):
    """The key that signs links is not safe to use."""

    code = "LINK_KEY"
    default_hint = (
        "`chmod 600` it if nobody else has read it; else remove it: links that were sent are void then"
    )


# --- TaskError: one attempt failed --------------------------------------------------------------


class TaskError(SmithersError):
    code = "TASK_FAILED"
    default_hint = "see what happened with `smithers logs RUN`; resume retries what failed"


class TaskTimeout(TaskError):
    code = "TASK_TIMEOUT"
    default_hint = "raise timeout=, or make the work smaller"


class HeartbeatTimeout(TaskError):
    code = "HEARTBEAT_TIMEOUT"
    default_hint = "call current().heartbeat() more often, or raise heartbeat_timeout="


class HeartbeatRefused(TaskError):
    code = "HEARTBEAT_REFUSED"
    default_hint = "heartbeat data is JSON of at most 1 MB with finite numbers"


class InvalidOutput(TaskError):
    """A value that does not fit its model, or that JSON cannot hold."""

    code = "INVALID_OUTPUT"
    default_hint = "return the model, or anything it validates"


class CacheByFailed(TaskError):
    """`by` of a task's cache raised, or returned what JSON cannot hold."""

    code = "CACHE_BY"
    default_hint = "return JSON from by=: text, numbers, lists, mappings, or what a read of ctx gives"


class RowsRefused(InvalidOutput):
    """A table of the user's does not take an output; nothing of the frame was stored.

    Args:
        message: what the tables said.
        refused: the same, by the task's key: node, scope, iteration.
    """

    code = "ROW_REFUSED"
    default_hint = "make the output fit the table, or migrate the table; then resume"

    def __init__(
        self, message: str, refused: Mapping[tuple[str, str, int], str], *, place: Place | None = None
    ) -> None:
        super().__init__(message, place=place)
        self.refused = refused


class SpawnFailed(TaskError):
    """The system could not start a process; nothing of it has run."""

    code = "SPAWN_FAILED"
    default_hint = "the system has no room: look at `ulimit -a` and free memory, or lower --max-concurrency"


class ProgramNotFound(TaskError):
    code = "PROGRAM_NOT_FOUND"
    default_hint = "install the program, or put its folder on PATH"


class ProcessCrashed(TaskError):
    """A task's process ended without an answer."""

    code = "PROCESS_CRASHED"
    default_hint = "SIGKILL often means out of memory; SIGSEGV and SIGABRT come from native code"


class CrashLoop(TaskError):
    code = "CRASH_LOOP"
    default_hint = "cut off three times while this task ran: look at its memory, its native code and the disk"


class TaskFailed(TaskError):
    """A task failed and nothing below handled it: what a script catches, or what ended the run."""

    code = "TASK_FAILED"
    calls: tuple[Any, ...] = ()
    """Internal: keys of the awaited calls that it comes from."""

    @property
    def node(self) -> str:
        """Which task, with its pass: `draft`, `draft[2]`."""
        return str(self.details.get("node", ""))

    @property
    def failure(self) -> Mapping[str, Any]:
        """The error of its last attempt: `code`, `message`, and `place` where that is known."""
        found: Mapping[str, Any] = self.details.get("error") or {}
        return found


class ApprovalDenied(TaskError):
    """Somebody has denied it."""

    code = "APPROVAL_DENIED"
    default_hint = "a resume asks again: `smithers up --resume RUN`"


class WaitTimedOut(TaskError):
    """Nobody has answered, and no signal has come, in time."""

    code = "WAIT_TIMED_OUT"
    default_hint = "a resume waits again: `smithers up --resume RUN`; or give it more time"


class AnswersUsedUp(TaskError):
    """As many answers as may be did not fit the model."""

    code = "ANSWERS_USED_UP"
    default_hint = "a resume asks again; make the question clearer, or raise max_attempts="


class ScriptFailed(TaskError):
    """The author's own code in a script raised."""

    code = "SCRIPT_FAILED"
    default_hint = "mend the script and resume: what has finished is kept"


class ChildFailed(TaskError):
    """The run of a sub-workflow failed."""

    code = "CHILD_FAILED"
    default_hint = "see `smithers why RUN` of that run; a resume of its parent tries again what failed in it"


class ChildCancelled(TaskError):
    """The run of a sub-workflow was cancelled by itself, and not with the run that it belongs to."""

    code = "CHILD_CANCELLED"
    default_hint = "a resume of the run that it belongs to goes on with it"


class RunFailed(TaskError):
    """The run that was awaited did not finish."""

    code = "RUN_FAILED"


# --- AgentError: the other side of the port -----------------------------------------------------


class AgentError(SmithersError):
    """What an adapter raises; the class tells the retry policy what it means."""

    code = "AGENT_FAILED"
    default_hint = "see the attempt with `smithers inspect RUN`"


class AgentQuota(AgentError):
    """A limit of the account is used up: nothing of it is asked before the reset."""

    code = "AGENT_QUOTA"
    default_hint = "wait for the reset, or add another agent to the task's list"

    @property
    def resets_ms(self) -> int | None:
        """Wall clock of the reset, in milliseconds; None: the agent did not say."""
        found: int | None = self.details.get("resets_ms")
        return found


class AgentThrottled(AgentError):
    """Too many requests at once, or a provider that is overloaded: worth another try in a while."""

    code = "AGENT_THROTTLED"
    default_hint = "nothing to do: it is tried again by itself"

    @property
    def retry_after_s(self) -> float | None:
        """How long the provider wants to be left alone; None: it did not say."""
        found: float | None = self.details.get("retry_after_s")
        return found


class AgentAuth(AgentError):
    code = "AGENT_AUTH"
    default_hint = "sign in to the agent, or add another agent to the task's list"


class AgentMissing(AgentError):
    code = "AGENT_MISSING"
    default_hint = "install the agent's program, or add another agent to the task's list"


class AgentRefusal(AgentError):
    code = "AGENT_REFUSAL"


class AgentStalled(AgentError):
    """It did not begin, or went silent, for longer than it may."""

    code = "AGENT_STALLED"


class AgentTimeout(AgentError):
    """It took longer than it may, however busy it was."""

    code = "AGENT_TIMEOUT"


class AgentSessionLost(AgentError):
    """The conversation that was to be continued is not there: the same can be asked in a new one."""

    code = "AGENT_SESSION_LOST"


class AgentUnfit(AgentError):
    """It cannot do what the task wants of it, and will not be able to: nothing was asked."""

    code = "AGENT_UNFIT"
    default_hint = "leave that option out, or give the task another agent"


class BudgetExceeded(AgentError):
    """There is nothing left in a budget for another call of an agent."""

    code = "BUDGET_EXCEEDED"
    default_hint = (
        "raise the limit in the file, or with --max-usd, and resume the run: what has finished is kept"
    )


class PolicyDenied(AgentError):
    """The workflow's own policy does not let this attempt begin."""

    code = "POLICY_DENIED"
    default_hint = "see `policy=` of the workflow"


# --- StoreError ---------------------------------------------------------------------------------


class StoreError(SmithersError):
    code = "STORE"
    default_hint = "check the file and its disk; resume when the cause is gone"


class StoreNotFound(StoreError):
    code = "STORE_NOT_FOUND"
    default_hint = "pass --store PATH, or start a run with `smithers up`"


class StoreReadOnly(StoreError):
    code = "STORE_READ_ONLY"
    default_hint = "make the .smithers folder writable, or pass --store PATH"


class StoreFull(StoreError):
    code = "STORE_FULL"
    default_hint = "free disk space, then resume the run"


class StoreBusy(StoreError):
    code = "STORE_BUSY"
    default_hint = "try again; if it lasts, `fuser` says who has the file open: a process that was stopped?"


class StoreCorrupt(StoreError):
    code = "STORE_CORRUPT"
    default_hint = "restore the file from a backup; nothing was written to it"


class StoreTooNew(StoreError):
    code = "STORE_TOO_NEW"
    default_hint = "upgrade smithers-orchestrator"


class NotAStore(StoreError):
    code = "NOT_A_STORE"
    default_hint = "pass another --store PATH"


class OutOfResources(StoreError):
    """The machine or a limit of this process gave no memory or no file descriptor."""

    code = "OUT_OF_RESOURCES"
    default_hint = "close other programs, or raise the limit (`ulimit -n`, `ulimit -v`); then resume the run"


class CommitUnknown(StoreError):
    """A commit raised: its rows may or may not be there. The owner rebuilds from rows."""

    code = "COMMIT_UNKNOWN"
    because: SmithersError | None = None
    """What it raised, by its own name: what a user is told when rebuilding has not helped."""


def plain(error: SmithersError) -> SmithersError:
    """What a user is told of an error: of a commit that raised, why it did."""
    return (isinstance(error, CommitUnknown) and error.because) or error


# --- The rest -----------------------------------------------------------------------------------


class LastPartsOwed(SmithersError):
    """A cancel has to run last parts or compensations first, and nobody can: the run stays open."""

    code = "LAST_PARTS_OWED"
    default_hint = (
        "mend the workflow and run `smithers cancel RUN` again, or end it without them: "
        "`smithers cancel RUN --now`"
    )


class NotDelivered(SmithersError):
    code = "NOT_DELIVERED"
    default_hint = "try the ways with `smithers notify test`; what is left is shown by `smithers notify list`"


class LeaseLost(SmithersError):
    """A newer owner drives this run; nothing was written."""

    code = "LEASE_LOST"
    default_hint = "nothing to do: another process continues the run"


class MessagesWaiting(SmithersError):
    """A run was about to be given up while a message for it had arrived; its frame was not stored.

    Whoever left the message saw a living owner and counts on it.
    """

    code = "MESSAGES_WAITING"
    default_hint = "nothing to do: the owner takes the messages and decides again"


class RunSuspended(BaseException):
    """A script is being closed, because its run has left this process: it goes on in another one.

    Not for anybody to catch: a script that goes on all the same gets it again from its next call.
    """


class BugError(SmithersError):
    code = "BUG"
    default_hint = "this is our fault: please report it with the text above"
