"""What a question asks for: which of its terms tell most, and what kind of thing would answer it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import Turn

_GENERIC_WORDS = """
many much number name named type kind call called use used year time times happen happened make made first
one two people person place part take took find found become became give gave given get got long know known
include including main way group say said another different word term thing new also would could often
usually instead besides following large amount percentage percent reason purpose example come came see work
go went allow cause form help begin began start started show shown describe described according mean want
need document documents policy policies information detail details process procedure rule rules instruction
instructions cost costs price cuántos qué nombre año tipo parte cosa
wieviel viele jahr name art teil heißt combien nom année type partie сколько год году называется назывался
является
"""
_CJK_FUNCTION = frozenset(
    "的了是在有和与之为于以被把从到对什么哪谁多少几何个些这那吗呢么怎样如何のにはをがでとたてるすかいつどこ誰何"
)
_ARABIC_WORDS = "ما ماذا من هو هي كم أين متى كيف لماذا أي التي الذي في على إلى عن هل كان كانت مع هذا هذه"
_ARABIC_FUNCTION = frozenset(tokenize(_ARABIC_WORDS, "arabic"))
_GENERIC = frozenset(tokenize(_GENERIC_WORDS, "english")) | frozenset(tokenize(_GENERIC_WORDS, "none"))

GENERIC_WEIGHT = 0.25
FOCUS_WEIGHT = 0.6
NAME_WEIGHT = 1.5
EARLIER_WEIGHT = 0.5
SINGLE_CHARACTER_WEIGHT = 0.3

_NAME = re.compile(r"(?<=\s)[^\W_a-zß-öø-ÿа-яё][\w'’-]*")
_FOCUS = re.compile(r"\b(?:what|which|whose)\s+(?:\w+\s+of\s+)?(\w+)", re.IGNORECASE)
_REFERS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|he|him|his|she|her|that|this|those|these|one)\b|"
    r"^(?:and|or|so|what about|how about)\b",
    re.IGNORECASE,
)

_ASKING = re.compile(
    r"\bhow (?:many|much|long|old|far|often|big|large|tall|high|fast)\b|"
    r"\b(?:please|(?:tell|show|give) me|explain|describe|list)\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"(?:and |so |but )?(?:do|does|did|is|are|was|were|can|could|will|would|should|may|must|has|have|had)\b",
    re.IGNORECASE,
)

_MONTH = "jan(?:uary)?|feb(?:ruary)?|march|april|may|june|july|august|sept(?:ember)?|october|november|december"
_SMALL_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|dozens?"
)
_TIME = re.compile(
    rf"\b(?:1\d{{3}}|20\d\d)\b|\b(?i:{_MONTH}|century|centuries|decade|monday|tuesday|wednesday|thursday|friday|"
    r"saturday|sunday|noon|midnight|o'clock)\b|\b\d{1,2}:\d\d\b"
)
_NUMBER = re.compile(
    rf"\d|%|\b(?i:{_SMALL_NUMBERS}|thousands?|millions?|billions?|half|third|quarter|none|once|twice)\b"
)
_PLACE = re.compile(r"\b(?:in|at|from|near|to|into|outside|across|of)\s+(?:the\s+)?[A-ZÄÖÜ]\w+")
_CAPITALISED = re.compile(r"(?<=[\w,;:(]\s)[A-ZÄÖÜÉ]\w+|^[A-ZÄÖÜÉ]\w+\s[A-ZÄÖÜÉ]\w+")
_REASON = re.compile(
    r"\b(?:because|since|due to|so that|in order to|as a result|therefore|reason|caused?|thus|to avoid)\b",
    re.IGNORECASE,
)

_DEFINITION = re.compile(
    r"\b(?:is|are|was|were)\s+(?:an?|the|one of)\b|\b(?:means?|refers? to|defined as|stands for)\b", re.IGNORECASE
)

_EXPECTED: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (
        re.compile(
            r"\b(?:when|what (?:year|date|day|month|century|decade|time)|which year|how long ago)\b|"
            r"\bwann\b|\bcuándo\b"
        ),
        _TIME,
    ),
    (
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|large|big|high|fast|often)\b|\bpercent|\bwhat number\b|"
            r"\bwie ?viele?\b|\bcuánt[oa]s?\b|\bcombien\b|\bсколько\b"
        ),
        _NUMBER,
    ),
    (re.compile(r"\bwhere\b|\bwhat (?:city|country|state|place|region)\b|\bwo\b|\bdónde\b"), _PLACE),
    (re.compile(r"\bwh(?:o|om|ose)\b|\bwer\b|\bquién\b"), _CAPITALISED),
    (re.compile(r"\bwhy\b|\bwarum\b|\bpor qué\b"), _REASON),
    (re.compile(r"^(?:and |so )?(?:what|who) (?:is|are|was|were) (?:an? |the )?[\w-]+(?: [\w-]+)?\W*$"), _DEFINITION),
)


@dataclass(frozen=True, slots=True)
class Question:
    """Terms with their weights (above 0), neighbouring terms, and how to recognise the expected kind of answer."""

    weights: Mapping[str, float]
    pairs: Sequence[tuple[str, str]]
    expected: Callable[[str], int] | None
    yes_or_no: bool = False

    @property
    def total(self) -> float:
        """All weights together."""
        return sum(self.weights.values())


def understand(text: str, history: Sequence[Turn], language: str) -> Question:
    """Weigh a question's terms; one that refers back takes the terms of the last question along."""
    tokens = tokenize(_ASKING.sub(" ", text), language)
    names = set(tokenize(" ".join(_NAME.findall(text)), language)) if language == "english" else set[str]()
    focus = set(tokenize(" ".join(_FOCUS.findall(text)), language)) - names
    weights = {term: _weight(term, names, focus) for term in dict.fromkeys(tokens)}
    if _REFERS_BACK.search(text):
        earlier = next((turn.text for turn in reversed(history) if turn.role == "user"), "")
        for term in tokenize(_ASKING.sub(" ", earlier), language):
            weights.setdefault(term, EARLIER_WEIGHT * _weight(term, set(), set()))
    if not weights:
        tokens = tokenize(text, language)
        weights = {term: _weight(term, names, focus) for term in tokens}
    pairs = [pair for pair in dict.fromkeys(pairwise(tokens)) if pair[0] != pair[1]]
    lowered = text.lower()
    expected = next((sign for cue, sign in _EXPECTED if cue.search(lowered)), None)
    return Question(
        weights, pairs, None if expected is None else _counter(expected, text), bool(_YES_OR_NO.match(text))
    )


def _weight(term: str, names: set[str], focus: set[str]) -> float:
    weight = min(1.0, 0.4 + len(term) / 10)  # long words are rarer, and no better statistics are at hand
    if not term.isascii() and term[0] > "\u3000":
        inner = sum(character in _CJK_FUNCTION for character in term)
        weight = SINGLE_CHARACTER_WEIGHT if len(term) == 1 else 1.0
        return weight * (0.1 if inner == len(term) else 0.4 if inner else 1.0)
    if term in _GENERIC or term in _ARABIC_FUNCTION:
        weight *= GENERIC_WEIGHT
    if term in names:
        weight *= NAME_WEIGHT
    return weight * (FOCUS_WEIGHT if term in focus else 1.0)


def _counter(sign: re.Pattern[str], question: str) -> Callable[[str], int]:
    """Return a function that counts signs of an answer in a sentence which the question does not hold itself."""
    asked = question.lower()
    return lambda sentence: sum(found.lower() not in asked for found in sign.findall(sentence))
