"""Nobody makes a link that decides, or a signed webhook, but who has the key."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from smithers.errors import LinkInvalid
from smithers.notify.link import Link, sign, verify
from smithers.notify.webhook import signature

texts = st.text(max_size=30)
numbers = st.integers(0, 2**53)
links = st.builds(
    Link, texts, texts, texts, numbers, numbers, numbers, texts, st.none() | texts,
    st.integers(1, 2**53), texts,
)  # fmt: skip
secrets = st.binary(min_size=1, max_size=64)


@given(links, st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_what_is_read(link: Link, secret: bytes) -> None:
    assert verify(secret, sign(secret, link), 0) == link


@given(links, st.binary(min_size=32, max_size=32), st.data())
def test_any_flipped_byte_is_refused(link: Link, secret: bytes, data: st.DataObject) -> None:
    token = bytearray(sign(secret, link).encode())
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LinkInvalid):
        verify(secret, token.decode("utf-8", "surrogateescape"), 0)


@given(links, st.binary(min_size=32, max_size=32), st.data())
def test_any_other_text_is_refused(link: Link, secret: bytes, data: st.DataObject) -> None:
    token = sign(secret, link)
    begin = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(begin, len(token)))
    other = token[:begin] + data.draw(st.text(max_size=5)) + token[end:]
    assume(other != token)
    with pytest.raises(LinkInvalid):
        verify(secret, other, 0)


@given(links, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_another_key_is_refused(link: Link, secret: bytes, other: bytes) -> None:
    assume(secret != other)
    with pytest.raises(LinkInvalid):
        verify(other, sign(secret, link), 0)


@given(st.text(min_size=1, max_size=40), st.binary(max_size=100), st.integers(0, 2**33), st.data())
@example("s", b"", 0, None)
def test_a_signature_holds_for_one_body_at_one_time_under_one_secret(
    secret: str, body: bytes, at: int, data: st.DataObject | None
) -> None:
    assume(not any("\ud800" <= one <= "\udfff" for one in secret))
    found = signature(secret, str(at), body)
    assert found.startswith("v1=")
    assert len(found) == 3 + 64
    assert found == signature(secret, str(at), body)
    assert found != signature(secret, str(at + 1), body)
    assert found != signature(secret + "x", str(at), body)
    assert found != signature(secret, str(at), body + b"\0")
    if data is not None and body:
        changed = bytearray(body)
        changed[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
        assert found != signature(secret, str(at), bytes(changed))
