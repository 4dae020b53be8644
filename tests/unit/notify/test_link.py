"""Links that decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smithers.errors import LinkExpired, LinkInvalid
from smithers.notify.link import Link, sign, verify

SECRET = b"k" * 32
LINK = Link("r1", "ship", "outer=2", 1, 0, 3, "approve", "ada", 2_000, "n0")


def test_a_link_says_what_was_signed() -> None:
    assert verify(SECRET, sign(SECRET, LINK), 1_999) == LINK
    nobody = replace(LINK, by=None, run="r\u00fc\udc80")
    assert verify(SECRET, sign(SECRET, nobody), 0) == nobody


def test_a_link_can_stand_in_a_path_and_says_its_version() -> None:
    token = sign(SECRET, replace(LINK, node="a/b?c"))
    assert token.startswith("s1.")
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_link_is_void_from_its_end_on() -> None:
    with pytest.raises(LinkExpired) as caught:
        verify(SECRET, sign(SECRET, LINK), 2_000)
    assert caught.value.code == "LINK_EXPIRED"


def test_an_altered_link_is_invalid_even_if_it_is_too_old() -> None:
    with pytest.raises(LinkInvalid):
        verify(SECRET, sign(SECRET, LINK)[:-1] + "!", 3_000)


@pytest.mark.parametrize(
    "token", ["", ".", "s1", "s1..", "s1.e30.", "\udc80.x.y", "ü.ü.ü", "s1." + "A" * 10_000, "s1.\n."]
)
def test_what_is_no_link_is_invalid(token: str) -> None:
    with pytest.raises(LinkInvalid) as caught:
        verify(SECRET, token, 0)
    assert caught.value.code == "LINK_INVALID"


def test_the_key_of_another_project_opens_nothing() -> None:
    with pytest.raises(LinkInvalid):
        verify(b"o" * 32, sign(SECRET, LINK), 0)


def test_a_link_of_another_version_is_invalid_although_it_is_signed() -> None:
    from smithers.notify.link import _mac

    head = "s2." + sign(SECRET, LINK).split(".")[1]
    with pytest.raises(LinkInvalid, match="another version, s2"):
        verify(SECRET, f"{head}.{_mac(SECRET, head)}", 0)
