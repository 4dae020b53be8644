"""Words and phrases that fill a place without saying anything. Pure.

In English: so are field names. In other languages an answer is judged by what surrounds its words alone.
"""

from __future__ import annotations

import re
from typing import Final

# --- Words --------------------------------------------------------------------------------------

FUNCTION: Final = frozenset(
    """a an the this that these it its is are was were be been being of for to in on at by with from as and or
    no not any some all each one two three first second third next last another other my your our their his
    her here there goes go what which who how why when where do does made given provided i you we they just
    only also if then so than about into out up because""".split()
)
"""Words that say nothing without others."""
IDLE: Final = FUNCTION | frozenset(
    """valid format available default generic insert enter satisfy satisfies match matches conform conforms
    required requested retry retrying return returned corrected updated fixed sure below following above
    random short long longer brief main key full new simple basic potential possible positive negative good
    bad""".split()
)
"""Those, and words that add nothing to the ones below, though each may be an answer by itself."""
BLANKS: Final = frozenset(
    "placeholder placeholders tbd tba fixme dummy lorem ipsum nan blah additionalprop".split()
)
"""Words for a place that is still empty."""
EMPTY: Final = BLANKS | frozenset("string str todo mock undefined untitled whatever".split())
"""Those, and others for it that may also stand in a statement."""
FILLERS: Final = frozenset(
    """test tests testing foo bar baz qux quux foobar abc abcd xyz asdf asdfgh qwerty qwer xxx aaa bbb hello
    world temp tmp filler stub fake example sample doe acme""".split()
)
"""Words that are written for want of any."""
SAMPLES: Final = frozenset("content description example sample response text".split())
"""Stems of words that go with what should stand there: `Sample text`, `Description of the step`."""
THINGS: Final = SAMPLES | frozenset(
    """schema output json heading body value key item entry field name title detail input result object list
    array number data information info event something thing stuff path file folder directory url link id user
    error issue bug problem task step finding fact tag option choice category class label type change update
    feature fix message comment note question reason reasoning cause decision context product function func
    method module component service action start end finish begin introduction conclusion overview subject
    line company city country source target behavior behaviour occurred found pending john jane alice
    bob""".split()
)
"""Stems of words for things of any kind, and the names of anybody."""
FORMS: Final = frozenset("json schema response".split())
"""Words of who speaks about the form of an answer instead of giving one."""
LINKS: Final = frozenset("of for to".split())
ORDINALS: Final = frozenset("first second third last next".split())
GIVEN: Final = frozenset("available provided given specified supplied".split())
ABSENT: Final = frozenset(
    ["n/a", "na", "none", "null", "nil", "unknown", "undefined", "not available", "not applicable", "nothing"]
)

# --- Phrases ------------------------------------------------------------------------------------

TEMPLATE: Final = re.compile(
    r"""(?:.*\b)?(?:goes|go)\s+here[\W_]*$
      | (?:please\s+)?(?:add|insert|enter|describe|write|put|type|fill\s+in|your)\b.*\bhere[\W_]*$
      | to\s+be\s+(?:determined|filled|added|defined|decided|announced|completed)\b | coming\s+soon\W*$
      | additional[_ ]?prop\d*$""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
LOREM: Final = re.compile(r"\W*lorem\s+ipsum\b", re.IGNORECASE)
BRACKETED: Final = re.compile(r"<[^<>]{1,60}>|\[[^\[\]]{1,60}\]|\{\{?[^{}]{1,60}\}\}?|\$[A-Z_]+")

_TASK = r"""(?:access|complet|perform|process|read|find|locat|determin|provid|generat|retriev|load|open
    |inspect|review|evaluat|analy[sz]|translat|summari[sz]|answer|brows|run\b|apply|execut|pars|comply|fulfil
    |assist|verif)\w*"""
# Verbs for what agents are asked to do: that others could not do something may be what is reported.
_CANNOT = r"(?:can\s?not|can['\u2019]t|could\s+not|couldn['\u2019]t)"
EXCUSE: Final = re.compile(
    rf"""\W*(?:(?:i['\u2019]?\s?a?m\s+|we\s+are\s+)?(?:very\s+)?sorry\b.{{0,40}}?|i\s+apologi[sz]e\b.{{0,40}}?)?
        (?:unfortunately,?\s+|apologies,?\s+|as\s+an\s+ai\b.{{0,60}}?|error\W+)?
        (?:(?:i|we)(?:['\u2019]m|\s+am|\s+are|\s+was|\s+were)?\s+(?:not\s+able\s+to|unable\s+to)
         | (?:i|we)\s+{_CANNOT}
         | (?:i|we)\s+(?:do|did)(?:\s+not|n['\u2019]t)\s+have\s+(?:access|permission|enough)
         | (?:{_CANNOT}|(?:unable|failed|not\s+able)\s+to)\s+{_TASK}
         | (?:\w+\s+){{0,3}}{_CANNOT}\s+be\s+{_TASK}
         | (?:there\s+was\s+)?an\s+error\s+(?:occurred\s+)?(?:while\s+|when\s+)?{_TASK})""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
ELSEWHERE: Final = re.compile(
    r"\W*(?:(?:please\s+)?see\b|as\b|same\s+as\b|refer\s+to\b).{0,30}\b"
    r"(?:above|previous(?:ly)?|before|earlier|attached|below)(?:\s+\w+)?\W*$",
    re.IGNORECASE,
)
ADDRESS: Final = re.compile(
    r"\S+@(?:\S+\.)?(?:example|test|bar|foo|domain|email|mail|company|unknown|a)\.[a-z]{1,4}$"
    r"|https?://(?:www\.)?example\.\w+(?:/\S*)?$",
    re.IGNORECASE,
)

# --- Shapes -------------------------------------------------------------------------------------

CODE: Final = re.compile(r"(?=\S*\d)[^\s@]*$|[a-z]{2}(?:-[A-Z]{2})?$|[A-Z]{2,4}$")
"""What stands for something without being a word: `v1.2`, `a1b2`, `en-US`, `LGTM`."""
COUNTED: Final = re.compile(r"[A-Za-z]{3,}(?:[ _-][A-Za-z]+)*[ _-]?\d?$")
"""Words with at most one digit: `value1` is no code."""
ENUMERATED: Final = re.compile(r"\d+$|\b[A-Za-z]$|(?<=_)[a-z]+$")
LETTERS: Final = re.compile(r"[a-z](?:[\s.,-]+[a-z])*")
REPEATED: Final = re.compile(r"(\w)\1{3,}")
SIGNS: Final = re.compile(r"[^\w\s.,;:!?'()-]")
SUFFIX: Final = re.compile(r"(?<=\w)\.[a-z]{1,4}$")
SYNTAX: Final = re.compile(r"\w[(\[{<=+^]|[)\]}>]\w|[:=]{2}|: '")
"""Marks that stand in code, not in prose."""

_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(text: str) -> list[str]:
    """The words of a text in lower case; names in code fall into theirs, digits away."""
    return [word.lower() for word in _WORD.findall(_HUMP.sub(" ", text))]


def stem(word: str) -> str:
    """A word without the ending of its plural, roughly."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
