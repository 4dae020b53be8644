"""Reading a run's state: `ctx` in a workflow, `current()` inside a running task. Pure."""

from __future__ import annotations

from smithers.ids import passes_of as passes_of

from .calls import Calls as Calls
from .context import Context as Context
from .context import LoopPass as LoopPass
from .context import decode as decode
from .context import from_stored as from_stored
from .context import model_of as model_of
from .current import Current as Current
from .current import current as current
from .current import running_as as running_as
from .inline import InlineContext as InlineContext
from .record import Fields as Fields
from .record import Record as Record
from .record import wrap as wrap
from .rows import OutputText as OutputText
from .rows import Rows as Rows
from .script import Script as Script
from .script import script_of as script_of
from .view import Spending as Spending
from .view import Standing as Standing
from .view import State as State
from .view import Subject as Subject
from .view import View as View
from .view import ambient as ambient
