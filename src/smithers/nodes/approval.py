"""A decision that a person makes before the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from typing_extensions import Unpack

from smithers.errors import InvalidNode, Place
from smithers.records import WaitKind

from .option import check_limit
from .span import Span
from .wait import Question, Text, WaitNode, WaitOptions, check_text, check_word, said, wait_ms

if TYPE_CHECKING:
    from .decision import ApprovalDecision  # noqa: F401 - in the text of the base class

BY_RULE: Final = "smithers:auto"
"""Who decides by a rule of the workflow."""
ON_DENY: Final = ("fail", "continue", "skip")
ON_EXPIRE: Final = ("deny", "approve", "fail", "skip")


@dataclass(frozen=True, slots=True)
class ApprovalOption:
    """What can be chosen, or ranked."""

    key: str
    label: str | None = None
    summary: str | None = None


OptionLike: TypeAlias = "str | ApprovalOption | Mapping[str, Any]"
Options: TypeAlias = SequenceOf[OptionLike] | Callable[..., SequenceOf[OptionLike]]


@dataclass(frozen=True, slots=True)
class AutoApprove:
    """When nobody has to be asked: made by `auto_approve`."""

    condition: bool | Callable[..., bool]
    audit: bool


def auto_approve(*, condition: bool | Callable[..., bool] = True, audit: bool = True) -> AutoApprove:
    """Let an approval be given by the run itself.

    Args:
        condition: when; a function of the `deps` is called when its turn comes.
        audit: the run's log says so, in a line for people; the decision is stored either way.
    """
    return AutoApprove(condition, audit)


class Approval(WaitNode["ApprovalDecision"]):
    """Wait for a person's decision, which is the output.

    Args:
        id: stable and unique, as of a task.
        title: what is asked, in a line; `summary`: what there is to know before one decides. Functions of the
            `deps` are called when its turn comes.
        request: the same as a mapping with `title` and `summary`, or a function that returns one.
        mode: `"approve"`: yes or no; `"select"` one of the `options`; `"rank"` all of them.
        options: what can be chosen; keys, `ApprovalOption`, or mappings with `key`, `label` and `summary`.
        on_deny: `"fail"`; `"continue"` with a decision that is not approved; or `"skip"` it, and what needs
            its output.
        allowed_users: who may decide; empty: everybody who can reach the store.
        allowed_scopes: which scopes a program's token must have to decide over the network.
        auto_approve: when nobody has to be asked; see `auto_approve`.
        expires_in: how long it waits for a decision.
        on_expire: what then counts: `"deny"`, as `on_deny` says; `"approve"`; `"fail"`; or `"skip"`.
        remind_every: how often people are told again that it waits.
        quorum: how many different people must approve; a single one denies.
        options_: see `WaitOptions`.
    """

    __slots__ = (
        "after_ms",
        "allowed_scopes",
        "allowed_users",
        "auto",
        "choice",
        "choices",
        "on_deny",
        "on_expire",
        "quorum",
        "remind_ms",
        "request",
        "summary",
        "wording",
    )

    def __init__(
        self,
        id: str,
        *,
        title: Text | None = None,
        summary: Text | None = None,
        request: Mapping[str, Any] | Callable[..., Mapping[str, Any]] | None = None,
        mode: Literal["approve", "select", "rank"] = "approve",
        options: Options = (),
        on_deny: Literal["fail", "continue", "skip"] = "fail",
        allowed_users: SequenceOf[str] = (),
        allowed_scopes: SequenceOf[str] = (),
        auto_approve: AutoApprove | None = None,
        expires_in: Span | None = None,
        on_expire: Literal["deny", "approve", "fail", "skip"] = "deny",
        remind_every: Span | None = None,
        quorum: int = 1,
        **options_: Unpack[WaitOptions],
    ) -> None:
        from . import decision  # pydantic is not imported before it is needed

        super().__init__(id, decision.ApprovalDecision, options_)
        place = self.place
        for name, text in (("title", title), ("summary", summary)):
            check_text(text, name, place)
        if request is not None and not isinstance(request, Mapping) and not callable(request):
            raise InvalidNode(f"request={request!r} is neither a mapping nor a function", place=place)
        check_word(mode, "mode", ("approve", "select", "rank"), place)
        check_word(on_deny, "on_deny", ON_DENY, place)
        check_word(on_expire, "on_expire", ON_EXPIRE, place)
        check_limit(quorum, "quorum", place)
        if mode == "approve" and options:
            raise InvalidNode(f'{self!r}: options= are for mode="select" and mode="rank"', place=place)
        if mode != "approve" and not callable(options):
            _read_options(options, mode, place)
        if mode != "approve" and (quorum != 1 or on_expire == "approve"):
            raise InvalidNode(
                f'{self!r}: quorum= and on_expire="approve" are for mode="approve"',
                hint="what is chosen is chosen by one",
                place=place,
            )
        self.wording, self.summary, self.request = title, summary, request
        self.choice, self.choices = mode, options
        self.on_deny, self.on_expire, self.quorum = on_deny, on_expire, quorum
        self.allowed_users = _names(allowed_users, "allowed_users", place)
        self.allowed_scopes = _names(allowed_scopes, "allowed_scopes", place)
        people = len(set(self.allowed_users))
        if people and quorum > people:
            raise InvalidNode(f"quorum={quorum} of {people} allowed users", place=place)
        self.auto = auto_approve
        if auto_approve is not None and not isinstance(auto_approve, AutoApprove):
            raise InvalidNode(
                f"auto_approve={auto_approve!r}",
                hint="write auto_approve=auto_approve(condition=…)",
                place=place,
            )
        self.after_ms = wait_ms(expires_in, "expires_in", place)
        self.remind_ms = wait_ms(remind_every, "remind_every", place)

    def question(self, args: tuple[Any, ...]) -> Question:
        request = self.request(*args) if callable(self.request) else self.request or {}
        if not isinstance(request, Mapping):
            raise InvalidNode(f"request= gave {request!r}, which is not a mapping", place=self.place)
        wording, about = self.wording or request.get("title"), self.summary or request.get("summary")
        title = said(wording, args, "title", self.place) or self.title
        summary = said(about, args, "summary", self.place)
        spec: dict[str, Any] = {
            "title": title,
            "summary": summary,
            "mode": self.choice,
            "on_deny": self.on_deny,
            "on_expire": self.on_expire,
            "quorum": self.quorum,
        }
        if self.choice != "approve":
            choices = self.choices(*args) if callable(self.choices) else self.choices
            spec["options"] = _read_options(choices, self.choice, self.place)
        for name in ("allowed_users", "allowed_scopes"):
            if getattr(self, name):
                spec[name] = list(getattr(self, name))
        if self.remind_ms is not None:
            spec["remind_ms"] = self.remind_ms
        decided = self._by_rule(args, spec)
        facts = {"audit": self.auto.audit} if self.auto is not None and decided is not None else {}
        return Question(WaitKind.APPROVAL, spec, self.after_ms, decided=decided, facts=facts)

    def _by_rule(self, args: tuple[Any, ...], spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What it comes to without anybody being asked; None: somebody has to be."""
        if self.auto is None:
            return None
        condition = self.auto.condition
        if not (condition(*args) if callable(condition) else condition):
            return None
        return by_rule(BY_RULE, spec)


class ApprovalGate(Approval):
    """An approval that is asked for only when it is needed.

    Args:
        id: stable and unique, as of a task.
        when: whether somebody has to be asked; a function of the `deps` is called when its turn comes.
        options: as of `Approval`.
    """

    __slots__ = ("when",)

    def __init__(self, id: str, *, when: bool | Callable[..., bool], **options: Any) -> None:
        super().__init__(id, **options)
        if not isinstance(when, bool) and not callable(when):
            raise InvalidNode(f"when={when!r} is neither a bool nor a function", place=self.place)
        self.when = when

    def _by_rule(self, args: tuple[Any, ...], spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if not (self.when(*args) if callable(self.when) else self.when):
            return by_rule("smithers:not-needed", spec)
        return super()._by_rule(args, spec)


def by_rule(by: str, spec: Mapping[str, Any], note: str | None = None) -> dict[str, Any]:
    """An approval without a person: the first option, or all of them as they stand."""
    keys = [option["key"] for option in spec.get("options", ())]
    found: dict[str, Any] = {"approved": True, "by": by}
    if spec["mode"] == "select":
        found["selected"] = keys[0]
    if spec["mode"] == "rank":
        found["ranking"] = keys
    return {**found, "note": note} if note else found


def _names(values: SequenceOf[str], name: str, place: Place | None) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) and value for value in values):
        raise InvalidNode(f"{name}={values!r} is not a list of names", place=place)
    return tuple(values)


def _read_options(values: SequenceOf[OptionLike], mode: str, place: Place | None) -> list[dict[str, Any]]:
    """The options as they are stored."""
    found: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, str):
            option = ApprovalOption(value)
        elif isinstance(value, Mapping):
            option = ApprovalOption(str(value.get("key", "")), value.get("label"), value.get("summary"))
        else:
            option = value
        if not isinstance(option, ApprovalOption) or not option.key:
            raise InvalidNode(f"{value!r} is not an option: it has no key", place=place)
        words = {"key": option.key, "label": option.label, "summary": option.summary}
        found.append({name: word for name, word in words.items() if word is not None})
    keys = [option["key"] for option in found]
    if not keys or len(set(keys)) < len(keys):
        raise InvalidNode(
            "there are no options to choose from" if not keys else f"options have the same key: {keys}",
            place=place,
        )
    for key in keys if mode == "rank" else ():
        if "," in key or key != key.strip():
            raise InvalidNode(
                f"options are ranked by keys with commas between: {key!r} cannot be one",
                hint="give it a short key, and say the rest by label=",
                place=place,
            )
    return found
