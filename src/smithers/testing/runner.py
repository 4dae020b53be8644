"""What the fixture `run_workflow` is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from smithers.authoring import RunResult, Workflow
from smithers.engine.host import Host
from smithers.engine.hosts import close_host, known_host, lend_host
from smithers.errors import RunNotFound, StoreNotFound
from smithers.ports import Agent

from .clock import HurriedClock
from .crash import Asked, Crashes, CrashReport, Unrunnable
from .look import RunLook, read_run

In = TypeVar("In")
Out = TypeVar("Out")


class WorkflowRunner:
    """Runs workflows to their ends, all on one store, and waits for no back-off: its wall clock hurries.

        def test_the_report_is_written(run_workflow: WorkflowRunner) -> None:
            run = run_workflow(flow, agents=ScriptedAgent({"text": "fine"}))
            assert run.status == "finished"

    Args:
        store: database file; made when it is first used.
        crash_everywhere: whether each call is also tried with a death at each operation of the store.
        crash_sample: how many sites of a call are tried at most; None: all.
        folders: what the test's workflows may write in; put back after each trial.
    """

    def __init__(
        self,
        store: Path,
        *,
        crash_everywhere: bool = False,
        crash_sample: int | None = None,
        folders: Iterable[Path] = (),
    ) -> None:
        self.store = store
        self.crashes: list[CrashReport] = []
        """What the deaths of each call came to."""
        self._crash_everywhere = crash_everywhere
        self._crash_sample = crash_sample
        self._folders = tuple(folders)
        self._clock = HurriedClock()
        self._count = 0
        self._last: str | None = None

    def __call__(
        self,
        flow: Workflow[In, Out],
        input: In | Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        agents: Agent | Mapping[str, Agent] | None = None,
        rehearse: bool = False,
        max_concurrency: int | None = None,
        files: Path | None = None,
        crash_everywhere: bool | None = None,
    ) -> RunLook[Out]:
        """Run a workflow to its end.

        Args:
            run_id: default: `r1`, `r2`, … in the order of the calls.
            agents: who plays every agent, or by the id of a task who plays its agents.
            rehearse: a rehearsal agent plays every agent.
            files: a folder whose files are part of the end that deaths must not change.
            crash_everywhere: whether deaths are tried; default: as pytest was told.
        Raises:
            PromiseBroken: a death changed the end, or had something finished executed again.
            SmithersError: as `Workflow.run_sync`.
        """
        __tracebackhide__ = True
        self._count += 1
        options = {"rehearse": rehearse, "max_concurrency": max_concurrency}
        asked = Asked(_cast(flow, agents), self.store, run_id or f"r{self._count}", input, options)
        return self._carry_out(asked, files, crash_everywhere)

    def resume(
        self,
        flow: Workflow[In, Out],
        input: In | Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        agents: Agent | Mapping[str, Agent] | None = None,
        rehearse: bool = False,
        max_concurrency: int | None = None,
        rerun: Iterable[str] = (),
        retry: Iterable[str] = (),
        files: Path | None = None,
        crash_everywhere: bool | None = None,
    ) -> RunLook[Out]:
        """Resume a run, with the same workflow or an edited one.

        Args:
            run_id: default: that of the last call.
            rerun: as of `Workflow.run`; so is `retry`.
        Raises:
            PromiseBroken: as for a call.
            SmithersError: as `Workflow.run_sync`.
        """
        __tracebackhide__ = True
        name = run_id or self._last
        if name is None:
            raise RunNotFound(
                "nothing was run here that could be resumed", hint="call run_workflow(flow) first"
            )
        options: dict[str, Any] = {
            "resume": True,
            "rehearse": rehearse,
            "max_concurrency": max_concurrency,
            "rerun": tuple(rerun),
            "retry": tuple(retry),
        }
        asked = Asked(_cast(flow, agents), self.store, name, input, options)
        return self._carry_out(asked, files, crash_everywhere)

    def _carry_out(self, asked: Asked, files: Path | None, crash_everywhere: bool | None) -> RunLook[Any]:
        __tracebackhide__ = True
        unrunnable: Unrunnable | None = None
        if self._crash_everywhere if crash_everywhere is None else crash_everywhere:
            try:
                self._crash(asked, files)
            except Unrunnable as error:
                unrunnable = error  # it fails here as well, and then its own error says more
        self._last = asked.run_id
        since = self._frame(asked.run_id)
        durability = asked.flow.definition.durability
        if known_host(self.store, durability) is None:
            host = Host(self.store, durability="normal", clock=self._clock, random=Random(self._count))
            lend_host(self.store, durability, host)
        result = asked.carry_out()
        if unrunnable is not None:
            raise unrunnable
        return RunLook(
            **{one.name: getattr(result, one.name) for one in fields(RunResult)},
            store=self.store,
            since=since,
        )

    def _crash(self, asked: Asked, files: Path | None) -> None:
        __tracebackhide__ = True
        close_host(self.store)  # its threads must have ended when this process is copied
        with TemporaryDirectory(prefix="smithers-crash-") as scratch:
            report = Crashes(asked, self._folders, files, Path(scratch)).everywhere(self._crash_sample)
        self.crashes.append(report)
        report.check()

    def _frame(self, run_id: str) -> int:
        """The last frame of a run; 0: it is not stored."""
        try:
            return read_run(self.store, run_id, lambda reader, _: reader.run(run_id).frame)
        except (RunNotFound, StoreNotFound):
            return 0


def _cast(flow: Workflow[In, Out], agents: Agent | Mapping[str, Agent] | None) -> Workflow[In, Out]:
    return flow if agents is None else flow.played_by(agents)
