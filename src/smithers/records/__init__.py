"""Stored facts: the rows the engine writes and the readers return. No behaviour, no SQL."""

from __future__ import annotations

from .budget import WHOLE_RUN as WHOLE_RUN
from .budget import BudgetRow as BudgetRow
from .budget import ChildSpent as ChildSpent
from .cache import CacheEntry as CacheEntry
from .cache import CachePlace as CachePlace
from .cache import CacheRow as CacheRow
from .cache import Lookup as Lookup
from .cache import LookupRow as LookupRow
from .cache import LookupVerdict as LookupVerdict
from .call import CallRow as CallRow
from .call import ParkedAccount as ParkedAccount
from .frame import AttemptEnd as AttemptEnd
from .frame import AttemptStart as AttemptStart
from .frame import BlockMove as BlockMove
from .frame import EventRow as EventRow
from .frame import FrameWrite as FrameWrite
from .frame import HeartbeatRow as HeartbeatRow
from .frame import Mount as Mount
from .frame import NodeEnd as NodeEnd
from .frame import OutputRef as OutputRef
from .frame import OutputRow as OutputRow
from .frame import PassEnd as PassEnd
from .frame import RunChange as RunChange
from .frame import Wakeup as Wakeup
from .kin import ALONE as ALONE
from .kin import ChildRow as ChildRow
from .kin import KeptChild as KeptChild
from .kin import Kin as Kin
from .kin import NewChild as NewChild
from .kin import ParentRef as ParentRef
from .notice import WANTED as WANTED
from .notice import NoticeKind as NoticeKind
from .notice import NoticeRow as NoticeRow
from .notice import NoticeWrite as NoticeWrite
from .place import PlaceRow as PlaceRow
from .place import PlaceWanted as PlaceWanted
from .process import ProcessRow as ProcessRow
from .process import ProcessStart as ProcessStart
from .revival import Revival as Revival
from .revival import Standing as Standing
from .row import AttemptRow as AttemptRow
from .row import BlockRow as BlockRow
from .row import FrameRow as FrameRow
from .row import History as History
from .row import InboxRow as InboxRow
from .row import MountRow as MountRow
from .row import NewRun as NewRun
from .row import NodeRow as NodeRow
from .row import Owner as Owner
from .row import OwnerHealth as OwnerHealth
from .row import PassRow as PassRow
from .row import RunFilter as RunFilter
from .row import RunRow as RunRow
from .row import StoredRun as StoredRun
from .shape import JsonPath as JsonPath
from .shape import OutputShape as OutputShape
from .shape import UserColumn as UserColumn
from .shape import UserRow as UserRow
from .shape import UserTable as UserTable
from .spending import UNSPENT as UNSPENT
from .spending import Spending as Spending
from .state import BLOB_LIMIT_BYTES as BLOB_LIMIT_BYTES
from .state import IN_PART as IN_PART
from .state import INPUT_LIMIT_BYTES as INPUT_LIMIT_BYTES
from .state import STATE_LIMIT_BYTES as STATE_LIMIT_BYTES
from .state import SUSPECT as SUSPECT
from .state import TOLERATED as TOLERATED
from .state import AttemptState as AttemptState
from .state import EventType as EventType
from .state import FailureClass as FailureClass
from .state import InboxKind as InboxKind
from .state import NodeState as NodeState
from .state import RunState as RunState
from .state import Verdict as Verdict
from .usage import NOTHING as NOTHING
from .usage import Usage as Usage
from .wait import SignalRow as SignalRow
from .wait import Vote as Vote
from .wait import Voted as Voted
from .wait import VoteRow as VoteRow
from .wait import WaitEnd as WaitEnd
from .wait import WaitKind as WaitKind
from .wait import WaitRef as WaitRef
from .wait import WaitRow as WaitRow
from .wait import WaitState as WaitState
from .wait import WaitWrite as WaitWrite

__all__ = [
    "ALONE",
    "BLOB_LIMIT_BYTES",
    "INPUT_LIMIT_BYTES",
    "IN_PART",
    "NOTHING",
    "STATE_LIMIT_BYTES",
    "SUSPECT",
    "TOLERATED",
    "UNSPENT",
    "WANTED",
    "WHOLE_RUN",
    "AttemptEnd",
    "AttemptRow",
    "AttemptStart",
    "AttemptState",
    "BlockMove",
    "BlockRow",
    "BudgetRow",
    "CacheEntry",
    "CachePlace",
    "CacheRow",
    "CallRow",
    "ChildRow",
    "ChildSpent",
    "EventRow",
    "EventType",
    "FailureClass",
    "FrameRow",
    "FrameWrite",
    "HeartbeatRow",
    "History",
    "InboxKind",
    "InboxRow",
    "JsonPath",
    "KeptChild",
    "Kin",
    "Lookup",
    "LookupRow",
    "LookupVerdict",
    "Mount",
    "MountRow",
    "NewChild",
    "NewRun",
    "NodeEnd",
    "NodeRow",
    "NodeState",
    "NoticeKind",
    "NoticeRow",
    "NoticeWrite",
    "OutputRef",
    "OutputRow",
    "OutputShape",
    "Owner",
    "OwnerHealth",
    "ParentRef",
    "ParkedAccount",
    "PassEnd",
    "PassRow",
    "PlaceRow",
    "PlaceWanted",
    "ProcessRow",
    "ProcessStart",
    "Revival",
    "RunChange",
    "RunFilter",
    "RunRow",
    "RunState",
    "SignalRow",
    "Spending",
    "Standing",
    "StoredRun",
    "Usage",
    "UserColumn",
    "UserRow",
    "UserTable",
    "Verdict",
    "Vote",
    "VoteRow",
    "Voted",
    "WaitEnd",
    "WaitKind",
    "WaitRef",
    "WaitRow",
    "WaitState",
    "WaitWrite",
    "Wakeup",
]
