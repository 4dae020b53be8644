"""What both OpenAI wires share: their errors."""

from __future__ import annotations

from tests.agents.model_server.reply import Refuse
from tests.agents.model_server.wire import Refusal

_TYPES = {
    "authentication": ("invalid_request_error", "invalid_api_key"),
    "permission": ("invalid_request_error", "unsupported_country_region_territory"),
    "not_found": ("invalid_request_error", "model_not_found"),
    "invalid": ("invalid_request_error", None),
    "rate_limit": ("requests", "rate_limit_exceeded"),
    "usage_limit": ("usage_limit_reached", None),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "server": ("server_error", None),
    "overloaded": ("server_error", "server_is_overloaded"),
}


def refusal(refuse: Refuse, now: float) -> Refusal:
    """The error's object; a plan that is used up also says when it resets."""
    kind, code = _TYPES[refuse.fault]
    error: dict[str, object] = {"message": refuse.message, "type": kind, "param": None, "code": code}
    if refuse.resets_in is not None:
        error |= {
            "plan_type": "plus",
            "resets_at": int(now) + refuse.resets_in,
            "resets_in_seconds": refuse.resets_in,
        }
    return Refusal({"error": error}, {"x-request-id": "req_0001"})
