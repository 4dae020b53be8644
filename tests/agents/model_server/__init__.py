"""A fake model provider, spoken to by the real agent programs: `with ModelServer(writes()) as server: …`.

`script` and `reply` say what the model does, independent of the wire; `anthropic`, `responses`, `chat` and
`gemini` are the wires; `log` keeps what was asked.
"""

from __future__ import annotations

from .asked import Message as Message
from .log import Request as Request
from .log import RequestLog as RequestLog
from .reply import Call as Call
from .reply import Cut as Cut
from .reply import Empty as Empty
from .reply import Garbage as Garbage
from .reply import Hang as Hang
from .reply import Output as Output
from .reply import Refuse as Refuse
from .reply import Say as Say
from .reply import Write as Write
from .script import CUT as CUT
from .script import EMPTY as EMPTY
from .script import FORBIDDEN as FORBIDDEN
from .script import GARBAGE as GARBAGE
from .script import HANG as HANG
from .script import HANG_AFTER_FIRST as HANG_AFTER_FIRST
from .script import OUT_OF_QUOTA as OUT_OF_QUOTA
from .script import OVERLOADED as OVERLOADED
from .script import RATE_LIMITED as RATE_LIMITED
from .script import SERVER_ERROR as SERVER_ERROR
from .script import UNAUTHORIZED as UNAUTHORIZED
from .script import UNAUTHORIZED_BARE as UNAUTHORIZED_BARE
from .script import Script as Script
from .script import flaky as flaky
from .script import retry_after as retry_after
from .script import says as says
from .script import text as text
from .script import usage_limit as usage_limit
from .script import writes as writes
from .server import ModelServer as ModelServer
