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
    random short long longer brief main key full new old simple basic potential possible positive negative
    good bad original current previous latest various several general mentioned under over maximum minimum
    least most exactly between produce make provide give generate character characters chars sentence
    sentences validate validates parse parses parseable unknown unspecified expected actual
    improves works""".split()
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
    array number data information info event something thing stuff path file folder directory url link id
    user error issue bug problem task step finding fact tag option choice category class label type change
    update feature fix message comment note question reason reasoning cause decision context product
    function func method module component service action start end finish begin introduction conclusion
    overview subject line company city country source target behavior behaviour occurred found pending john
    jane alice bob validation person people org organisation organization corp inc ltd gmbh llc root child
    children parent grandchild leaf node table query select improvement scope definition term
    package meaning explanation paragraph handler instruction conference journal
    institution benefit paper article study author manuscript transformation""".split()
)
"""Stems of words for things of any kind, and the names of anybody."""
FORMS: Final = frozenset("json schema response".split())
"""Words of who speaks about the form of an answer instead of giving one."""
LINKS: Final = frozenset("of for to".split())
ORDINALS: Final = frozenset("first second third last next".split())
DOTS: Final = ("...", "…")
COUNTING: Final = ORDINALS | {"one", "two", "three", "four"}
GIVEN: Final = frozenset("available provided given specified supplied".split())
ACKNOWLEDGED: Final = frozenset(
    """ok okay done fixed success successful successfully completed complete noted understood
    acknowledged""".split()
)
"""Words of who tells that he has done what was asked."""
SAMPLE_FILES: Final = frozenset(
    """src lib app main index example sample file filename path to foo bar test util utils helper helpers code
    script module my some your project folder dir""".split()
)
"""Words that paths of files are made up of."""
KINDS: Final = frozenset("label category kind type class tag".split())
"""Stems of names of fields for which a word for things of any kind is an answer."""
SHOWN: Final = frozenset("format pattern template example placeholder".split())
"""The same for what shows how something is written."""
NEVER_EMPTY: Final = frozenset("explanation summary description analysis rationale".split())
"""Fields of which none is left empty by who gives an account of something."""
TASKS: Final = frozenset("task work request job analysis review".split())
HANDLED: Final = frozenset(
    """code adjusted adapted changed refactored reformatted rewritten modified ensured ensure updated made now
    minimal must properly correctly successfully done returning have has re""".split()
)
"""Words that go with talk about the asking."""
SCHEMA: Final = frozenset(
    """type title description default properties items required additional any of all one enum const ref defs
    format string integer number boolean array object null minimum maximum max min length examples""".split()
)
"""Words of JSON schema's keywords, and its types."""
KEYWORDS: Final = frozenset(
    """type title description default properties items required additionalProperties anyOf allOf oneOf enum
    const $ref $defs format minimum maximum maxLength minLength examples""".split()
)
TYPES: Final = frozenset("string integer number boolean array object null".split())
PAIRS: Final = {
    "key": frozenset(["value"]),
    "name": frozenset(["value"]),
    "field": frozenset(["value"]),
    "property": frozenset(["value"]),
    "item": frozenset(["value", "description"]),
    "term": frozenset(["definition", "meaning", "explanation", "description"]),
    "word": frozenset(["definition", "meaning", "translation"]),
    "concept": frozenset(["definition", "explanation"]),
    "package": frozenset(["version"]),
    "dependency": frozenset(["version"]),
    "library": frozenset(["version"]),
    "question": frozenset(["answer"]),
    "route": frozenset(["handler"]),
}
"""What mappings are said to map, and to what."""
ABSENT: Final = frozenset(
    ["n/a", "na", "none", "null", "nil", "unknown", "undefined", "not available", "not applicable", "nothing"]
)

NOTHING: Final = re.compile(
    r"(?:none|unknown|n/?a|nil|null|nothing|no|[-\u2013\u2014]+|nie\s+dotyczy|brak|entf[aä]llt|sans\s+objet|n\.?v\.?t"
    r"|none\s+(?:given|specified|provided|available|stated)|no\s+aplica|n[aã]o\s+se\s+aplica|keine?|aucune?|ninguno?|nessuno?|geen|nenhum"
    r"|not\s+(?:known|given|available|applicable|stated|specified))\W*",
    re.IGNORECASE,
)
"""What says that there is nothing."""

# --- Phrases ------------------------------------------------------------------------------------

TEMPLATE: Final = re.compile(
    r"""(?://|\#|--|/\*)\s*(?:TODO|FIXME|TBD)\b.*
      | (?:TODO|FIXME|TBD)\W+(?:put|add|insert|write|fill|describe|enter|provide|replace|complete)\b.*
      | (?:.*\b)?(?:goes|go)\s+here[\W_]*$
      | \W*(?:please\s+)?(?:add|insert|enter|describe|write|put|type|fill\s+in|your)\b.*\bhere[\W_]*$
      | .{0,60}\bhier\s+(?:einf[uü]gen|eintragen|einsetzen)\W*$
      | .{0,40}\b(?:escrib|insert|inser|añad|agreg|coloc|introdu|escrev)\w*\b.{0,40}\baqu[ií]\W*$
      | \W?(?:describ|ins[ei]r|escrib|escrev|añad|agreg|coloc|introdu|complet|indi[cq]|pon)\w*\s+aqu[ií]\b.*
      | (?!.*\b(?:est[aá]|hay|es|fue|falla|ocurre|est[aá]n|h[aá]|[eé]|fica)\b)(?:\w+\s+){1,5}aqu[ií]\W*$
      | .{0,60}\b(?:[aà]\s+(?:d[eé]finir|compl[eé]ter|remplir)|por\s+definir|a\s+definir|da\s+definire)\W*$
      | (?:tu|tutaj)\s+wpisz\b.* | \W?ここに.* | \W?(?:在此|此处|请填写|待填).*
      | .*(?:を記入|を入力|を書く)\W*$
      | to\s+be\s+(?:determined|filled|added|defined|decided|announced|completed)\b | coming\s+soon\W*$
      | additional[_ ]?prop\d*$
      | [A-Za-z]+(?:[_-][A-Za-z]+)*[_-]here$
      | (?:type\s*[:=]\s*)?["']?(?:string|integer|number|boolean|array|object)["']?\s*[,(]\s*
        (?:required|optional|nullable)\W*$
      | (?:please\s+)?replace\s+(?:(?:this|me|it)\s+)?with\s+(?:(?:the|your)\s+)?(?:actual|real)\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
LOREM: Final = re.compile(r"(?:\W*lorem\s+ipsum\W*$|.*lorem\s+ipsum\s+dolor\b)", re.IGNORECASE | re.DOTALL)
BLANK: Final = re.compile(r"<[^\W\d][^<>=\"'/]{0,80}\s[^<>=\"'/]{1,80}>")
"""Words in angle brackets, which are no tag: `<root cause in one sentence>`."""
BRACKETED: Final = re.compile(r"<[^<>]{1,60}>|\[[^\[\]]{1,60}\]|\{\{?[^{}]{1,60}\}\}?|\$[A-Z_]+")

_TASK = r"""(?:access|complet|perform|process|read|find|locat|determin|provid|generat|retriev|load|open
    |inspect|review|evaluat|analy[sz]|translat|summari[sz]|answer|brows|run\b|apply|execut|pars|comply|fulfil
    |assist|verif)\w*"""
# Verbs for what agents are asked to do: that others could not do something may be what is reported.
_CANNOT = r"(?:can\s?not|can['\u2019]t|could\s+not|couldn['\u2019]t)"
EXCUSE: Final = re.compile(
    rf"""\W*(?:please\s+(?:provide|share|paste|send|attach|upload|give\s+me)\b
       |(?:(?:i['\u2019]?\s?a?m\s+|we\s+are\s+)?(?:very\s+)?sorry\b.{{0,40}}?|i\s+apologi[sz]e\b.{{0,40}}?)?
        (?:unfortunately,?\s+|apologies,?\s+|as\s+an\s+ai\b.{{0,60}}?|error\W+)?
        (?:(?:i|we)(?:['\u2019]m|\s+am|\s+are|\s+was|\s+were)?\s+(?:not\s+able\s+to|unable\s+to)
         | (?:i|we)\s+{_CANNOT}
         | (?:i|we)\s+(?:do|did)(?:\s+not|n['\u2019]t)\s+have\s+(?:access|permission|enough)
         | (?:{_CANNOT}|(?:unable|failed|not\s+able)\s+to)\s+{_TASK}
         | (?:\w+\s+){{0,3}}{_CANNOT}\s+be\s+{_TASK}
         | (?:there\s+was\s+)?an\s+error\s+(?:occurred\s+)?(?:while\s+|when\s+)?{_TASK}))""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
ELSEWHERE: Final = re.compile(
    r"\W*(?:n/?a\W+)?(?:(?:please\s+)?see\b|as\b|same\s+as\b|refer\s+to\b).{0,30}\b"
    r"(?:above|previous(?:ly)?|before|earlier|attached|below)(?:\s+\w+)?\W*$",
    re.IGNORECASE,
)
INTENT: Final = re.compile(
    r"""\W*(?:(?:ok(?:ay)?|sure|certainly)\W+)?
        (?:i\s*['\u2019]?\s*(?:ll|will|am\s+going\s+to)|let\s+me|i['\u2019]m\s+going\s+to)\s+(?:now\s+|first\s+)*
        (?:read|inspect|review|analy[sz]e|check|look|start|begin|examine|explore|return|provide|go\s+through|scan)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What announces an answer in place of one."""
ANNOUNCED: Final = re.compile(
    r"""\b(?:just|simply|arbitrarily|randomly)\s+(?:put|pick|use|send|give|choose|return|fill|guess|make|enter|set)\w*
        \s+(?:in\s+)?(?:the\s+|an?\s+|some\s+)?(?:first|random|dummy|placeholder|default|anything|something|[A-D]\b)
       | random\s+(?:letter|value|choice|number|option|one)\b
       | get\s+past\s+(?:the|this|your)\s+(?:validat|schema|check|pars)\w*
       | made[- ]up\s+(?:value|number|data)
       | so\s+that\s+(?:this|it)\s+(?:ends|passes|validates)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What says beforehand that an answer will be none."""
_ANSWER = r"(?:answer|response|message|output|reply|turn|attempt)s?"
_BEFORE = r"(?:previous|prior|earlier|preceding|above|last|first|initial)"
_GIVEN = r"(?:answered|provided|given|listed|described|explained|stated|delivered|submitted|returned)"
ANSWERED: Final = re.compile(
    rf"""\W*(?:(?:i|we)(?:['\u2019]ve|\s+have)?\s+already\s+(?:{_GIVEN}|gave|said|told)
         (?:\s+(?:this|that|it|so|above|before|earlier|(?:the|your)\s+(?:question|{_ANSWER}|detail|task|request)s?
         |(?:in|with)\s+(?:(?:the|my|a|an)\s+)?{_BEFORE}\s+{_ANSWER}))*
       | as\s+(?:discussed|mentioned|noted|said|{_GIVEN})
       | (?:already|previously)\s+{_GIVEN}(?:\s+(?:above|before|earlier))?
       | (?:this|that|it|they|(?:the\s+)?\w+(?:\s+\w+)?)\s+(?:(?:was|were|is|are|has\s+been|have\s+been)\s+)?
         (?:already\s+)?{_GIVEN}\s+(?:already|above|earlier|previously
         |(?:in|with|by)\s+(?:(?:a|an|the|my)\s+)?{_BEFORE}\s+{_ANSWER})
       | (?:(?:please\s+)?(?:see|refer\s+to)\s+|(?:same\s+)?as\s+(?:\w+\s+)?(?:in\s+)?)?
         (?:(?:the|my|your|a)\s+)?(?:previous|prior|earlier|preceding|above)\s+{_ANSWER}(?:\s+for\s+.{{0,30}})?
       | (?:please\s+)?(?:see|refer\s+to)\s+(?:(?:the|my|your)\s+)?{_BEFORE}\s+{_ANSWER}
         (?:\s+for\s+.{{0,30}})?
       | (?:(?:the|full|rest|remaining|of)\s+)*(?:content|text|detail|body|{_ANSWER}|code|rest)s?
         \s+(?:is\s+|was\s+)?(?:omitted|elided|truncated|left\s+out|unchanged)
         (?:\s+for\s+(?:brevity|length|now))?
       | (?<=[\[(<])(?:omitted|elided|truncated|redacted|snip(?:ped)?|unchanged)
      )\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
"""What says where the answer is, or that it was left out."""
_FORM = r"(?:format|schema|structure|shape|specification|output|model|json|response|answer|object|payload)"
_ASKED = (
    r"(?:required|requested|expected|given|provided|specified|valid|minimal|correct|corrected|json|output)"
)
_WANTED = r"(?:required|requested|expected|valid|minimal|corrected)"
_DONE = r"(?:corrected|(?:re)?formatted|fixed|generated|updated|adjusted|validated)"
ASKING: Final = re.compile(
    rf"""(?:(?:in\s+order\s+)?to\s+)?(?:match|satisf|conform|compl[iy]|fit|meet|follow|adher)\w*\s+
         (?:(?:to|with)\s+)?(?:the\s+|your\s+)?(?:{_ASKED}\s+)*{_FORM}\b
       | (?:{_WANTED}\s+)+(?:json\s+)?{_FORM}\b
       | schema[\s-]+(?:validation|complian(?:t|ce))\b
       | (?:output|response|answer|json)\s+(?:(?:was|is|has\s+been)\s+)?{_DONE}\b
       | (?:auto\W?)?{_DONE}\s+(?:as\s+)?(?:valid\s+)?(?:output|response|answer|json)\b
       | (?:according\s+to|following|as\s+per|in\s+line\s+with)\s+(?:the\s+|your\s+)?(?:{_ASKED}\s+)*
         (?:schema|format)\b
       | \ball\s+(?:the\s+|of\s+the\s+)?required\s+(?:fields?|keys?|properties)\b
       | (?:format|sch[eé]ma|esquema|formato)\s+
         (?:demand[eé]|requis|attendu|solicitado|requerido|pedido|richiesto)\b
       | (?:gew[uü]nscht|verlangt|gefordert)e[nms]?\s+(?:format|schema)\b
       | (?:fixed|corrected|adjusted|changed|updated)\s+the\s+(?:json|schema|format|structure)\b
       | \bas\s+(?:requested|required|instructed|expected|asked)\b
       | (?:(?:the|my|your|this)\s+)*(?:{_BEFORE}\s+)?(?:json|schema|{_ANSWER})\s+(?:now\s+|only\s+)?
         (?:(?:is|was|were|did|does|has|have)(?:\s+not|n['\u2019]t)?\s+(?:now\s+|been\s+)?)?
         (?:valid|invalid|malformed|wrong|reject|validat|pass|fail|pars|conform|compl[iy]|match|correct|fix)\w*
       | against\s+(?:the|your|its)\s+{_FORM}\b
       | (?:validation|schema|parsing|format)\s+(?:error|issue|problem|failure|fix|mismatch)(?:e?s)?\b
       | (?:return|send|produce|output|emit|give)\w*\s+(?:only\s+)?(?:a\s+)?(?:valid\s+|correct\s+)+{_FORM}\b
       | (?:allowed|permitted|accepted|valid)\s+(?:enum\s+)?(?:values?|options?|literals?)\b
       | (?:the|my|your)\s+(?:validator|parser|format(?:ting)?|validation|schema)\b
       | (?:minimal|empty|bare|dummy|correct(?:ed)?|valid|right)\s+(?:json\s+)?
         (?:object|json|answer|response|structure|format)\b
       | (?:filled|populated)\s+(?:in\s+)?with\s+(?:defaults?|placeholders?|dummy|default\s+values?)\b
       | (?:default|dummy|placeholder|sample)\s+(?:values?|data|entr(?:y|ies))\b
       | (?:(?:the|your)\s+)?(?:schema|esquema|sch[eé]ma|スキーマ)\s*(?:に合わせ\w*|を満た\w*)
       | (?:cumplir|satisfacer|ajustarse)\w*\s+(?:con\s+|al?\s+)?(?:el\s+)?(?:esquema|formato)\b
       | (?:respecter|satisfaire)\s+(?:le\s+)?(?:sch[eé]ma|format)\b
       | (?:um\s+)?(?:das|dem)\s+schema\s+(?:zu\s+)?(?:erf[uü]llen|entsprechen|gen[uü]gen)\b
       | 仮の値\w* | must\s+be\s+one\s+of\b
       | input\s+should\s+be\b | field\s+required\b | extra\s+inputs?\b
       | (?:that\s+)?you\s+(?:asked|requested|wanted|required)(?:\s+for)?\b
       | i\s+apologi[sz]e\s+for\s+(?:the|my|any)\s+(?:\w+\s+)?(?:\w+\s+)?(?:confusion|mistake|error)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words about how an answer was asked for, which are no part of one."""
ADMITTED: Final = re.compile(
    r"\b(?:only|just|merely|values?|data|answer)\s+(?:(?:here|there|sent|given|used|added)\s+)?to\s+(?:satisfy|pass|fit|match|get\s+past)"
    r"\s+(?:the\s+|your\s+)?(?:\w+\s+)?(?:schema|validat\w+|checks?|parser|format)\b",
    re.IGNORECASE,
)
"""What says of itself that it is none."""
ABOVE: Final = re.compile(
    r"\bas\s+(?:described|discussed|stated|outlined|specified|mentioned)\W*$|"
    r"\b(?:described|given|listed|mentioned|stated|provided|explained|found|said|contained|written|included)\s+"
    r"(?:\w+\s+){0,4}(?:above|earlier|previously|before)\b"
    r"|\b(?:in|see|to)\s+(?:the|my)\s+(?:text|analysis|answer|message|response|report)s?\s+(?:above|in\s+my)\b"
    r"|\b(?:in|see|to)\s+(?:the|my)\s+(?:previous|prior|earlier|last)\s+(?:text|analysis|answer|message|response|reply)\b"
    r"|\b(?:mensaje\s+anterior|message\s+pr[eé]c[eé]dent|messaggio\s+precedente|mensagem\s+anterior"
    r"|respuesta\s+anterior|r[eé]ponse\s+pr[eé]c[eé]dente|risposta\s+precedente|resposta\s+anterior"
    r"|(?:vorherig|vorig|letzt)e[rn]\s+(?:nachricht|antwort)|poprzedni(?:ej|a|m)\s+(?:wiadomo\w+|odpowied\w+))\b"
    r"|\b(?:jak\s+wy[zż]ej|siehe\s+oben|voir\s+(?:ci-dessus|plus\s+haut)|ver\s+(?:arriba|acima)|come\s+sopra)\b"
    r"|参考上面|上面的回答|如上所述|前の回答|先ほどの回答|上記の(?:回答|とおり|通り)",
    re.IGNORECASE,
)
"""Where an answer is said to be."""
LIMITED: Final = re.compile(
    r"\s*\((?:max|min|up\s+to|at\s+(?:most|least)|required|optional)\b[^()]{0,30}\)$", re.IGNORECASE
)
"""What forms say of a field behind its name."""
DENIAL: Final = re.compile(
    r"""\b(?:no|none|nothing|nobody|not|never|neither|nor|without|zero|empty|absent|missing|unable|null|n/a
    |\w{1,9}n['\u2019]t|cannot|clean|fine|good|great|well|ok|okay|lgtm|approved?|sound|harmless|correct|right|safe
    |secure|perfect|happy|clear|solid|unremarkable|only|trivial|unchanged|passes|parameteri[sz]ed|holds?
    |consistent\w*|today|heute|hoy|oggi
    |flat|valid\w*|works?|stable|handles?|properly|expected|intact|should
    |kein\w*|nichts?|ohne|leer|gut|aucune?|rien|pas|sans|vide|bien|ning[uú]n\w*|nada|sin|vac[ií]\w*|nessun\w*
    |niente|geen|niets|nenhum\w*|sem|inga|inget|нет|ничего|не|brak|nic)\b
    |没有|沒有|無|无|なし|ない|없""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words of who found nothing, or nothing to complain of; too many of them only cost a stub."""
ADDRESS: Final = re.compile(
    r"\S+@(?:\S+\.)?(?:example|test|bar|foo|domain|email|mail|company|unknown|a)\.[a-z]{1,4}$"
    r"|https?://(?:\w+\.)?example\.\w+(?:/\S*)?$",
    re.IGNORECASE,
)

PATTERN: Final = re.compile(
    r"(?:[A-Z]{2,}[-_])+(?:X{2,}|Y{4}|N{3,}|#{2,})(?:[-_](?:[XYN#]+|\d+))*$|[./~]*path/to/\S+$|\w+\.ext$|YYYY(?:-MM)?(?:-DD\S*)?$"
    r"|[A-Z]{1,4}(?:[/_-][X#]{2,})+$|[vV]?(?:X\.Y(?:\.Z)?|x\.y(?:\.z)?)$|HH:MM(?::SS)?$|type(?:\(scope\))?:\s*(?:subject|description|summary)$"
)
"""What shows how something is written: `CVE-YYYY-NNNN`, `path/to/file.ext:LINE`."""
ZERO: Final = re.compile(
    r"CVE-0000-0+$|0{6,}$|127\.0\.0\.1$|0\.0\.0\.0(?:/0)?$|v?[01](?:\.0){2,}$|\d{4}-01-01(?:T00:00:00(?:\.0+)?(?:Z|\+00:00)?)?$|0000-00-00$|[0-]{36}$"
)
"""What stands for no version, no day, no id, or for any: the first of a year."""
NO_CODE: Final = re.compile(r"[A-Z]{2,}-0+-0+|0{7,}|0{8}-0000-0000-0000-0{12}")
"""Codes of nothing: no release, no commit, no flaw has them."""
PERSON: Final = re.compile(
    r"(?:john|jane|joe|max|maxine|erika|jean|juan|mario|ivan)\s+"
    r"(?:[a-z]\.?\s+)?(?:doe|smith|public|bloggs|mustermann|musterfrau|dupont|p[eé]rez|rossi|ivanov)$",
    re.IGNORECASE,
)
"""Nobody, by the names that forms call him."""
QUERY: Final = re.compile(
    r"select\s+(?:1|\*\s+from\s+(?:(?:my|your|some|the)_?)?(?:table|users?)(?:_?name)?)\s*;?$", re.IGNORECASE
)
"""What is asked of a database for want of a question."""

# --- Shapes -------------------------------------------------------------------------------------

CODE: Final = re.compile(r"(?=\S*\d)[^\s@]*$|[a-z]{2}(?:-[A-Z]{2})?$|[A-Z]{2,4}$")
"""What stands for something without being a word: `v1.2`, `a1b2`, `en-US`, `LGTM`."""
COUNTED: Final = re.compile(r"[A-Za-z]{3,}(?:[ _-][A-Za-z]+)*[ _-]?\d?$")
"""Words with at most one digit: `value1` is no code."""
ENUMERATED: Final = re.compile(r"\d+$|\b[A-Za-z]$|(?<=_)[a-z]+$")
LETTERS: Final = re.compile(r"[a-z](?:[\s.,-]+[a-z])*")
OUTLINED: Final = re.compile(
    r"(?:(?:an?|the|brief|short|detailed)\s+)*(?:explanation|description|summary|overview|rationale|reason|list|details)"
    r"\s+(?:of|for|why|about)\b|(?:an?\s+)?(?:example|sample|dummy|mock)\s+\w+\s+(?:of|for)\b",
    re.IGNORECASE,
)
"""What begins by naming what should stand there: `Explanation of why these were chosen`."""
LEFT: Final = re.compile(r"(?:n/?a|none|unknown)\s*[-\u2013\u2014:,(]\s*placeholder\b", re.IGNORECASE)
SAMPLE: Final = re.compile(
    r"\b(?:ejemplo|exemplo|exemple|esempio|beispiel\w*|musterfirma|mustermann|musterstadt|przyk[lł]ad\w*|voorbeeld\w*)\b",
    re.IGNORECASE,
)
"""Other languages' words for an example, and for whoever is one."""
FIRST: Final = re.compile(r"[a-z]{3,}(?:[ _-][a-z]{3,})?[ _-]1", re.IGNORECASE)
"""What seems to be the first of many: `benchmark_1`."""
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
    if word.endswith(("xes", "ches", "shes", "sses")) and len(word) > 4:
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
