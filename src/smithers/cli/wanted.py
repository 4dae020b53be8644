"""What a command line of `up` asks for, checked by its words alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smithers.errors import UsageRefused

if TYPE_CHECKING:
    from smithers.engine.verdict import Wish


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for."""

    file: str
    given: Any
    run_id: str | None
    resume: str | None
    """None: start; `""`: the newest unfinished run, or `run_id`; else a run id."""
    limit: int | None
    rehearse: bool
    linger_ms: int
    is_json: bool
    store: str | None
    rerun: tuple[str, ...] = ()
    """Finished tasks to execute again, or `changed`."""
    retry: tuple[str, ...] = ()
    strict: bool = False
    hot: bool = False
    """Edits of the workflow's files are taken over while it runs."""

    agent_tools: Literal["explicit-only"] | None = None
    """`explicit-only`: an agent whose tools nobody lists gets none."""

    max_usd: float | None = None
    """What the run's agents may spend."""

    stays: bool = False
    """It is driven here while it waits for people and messages, too."""

    def words(self) -> list[str]:
        """The options that say what is executed again."""
        found = [word for name in self.rerun for word in ("--rerun", name)]
        found += [word for name in self.retry for word in ("--retry", name)]
        return [*found, "--strict"] if self.strict else found

    def wish(self) -> Wish:
        from smithers.engine.verdict import Wish

        return Wish.of(self.rerun, self.retry, strict=self.strict)


def check_words(
    resume: str | None,
    *,
    is_plan: bool,
    rerun: tuple[str, ...],
    retry: tuple[str, ...],
    detach: bool,
    hot: bool,
) -> None:
    """Refuse what means nothing without a run that is resumed."""
    if resume is None and (is_plan or rerun or retry):
        option = "--plan" if is_plan else "--rerun" if rerun else "--retry"
        hint = "what a new run would begin with shows `smithers graph FILE`" if is_plan else None
        raise UsageRefused(f"{option} is about a run that is resumed: add --resume", hint=hint)
    if is_plan and (detach or hot):
        what = "detach" if detach else "reload"
        raise UsageRefused(f"--plan only looks; there is nothing to {what}")


def resume_word(resume: str | None, run_id: str | None) -> str | None:
    """`--resume`, `--resume true`, `--resume ID`; `--resume false` is as if it were not there."""
    if resume is None or resume == "false":
        return None
    if resume in ("true", ""):
        return run_id or ""
    if Path(resume).exists():
        raise UsageRefused(
            f"--resume took {resume!r}, which is a file, for a run id",
            hint=f"put the file first: `smithers up {resume} --resume`",
        )
    if run_id is not None and run_id != resume:
        raise UsageRefused(f"--run-id {run_id} and --resume {resume} name two runs")
    return resume
