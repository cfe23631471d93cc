"""Finds the words of a passage that bear out a claim."""

import re
from collections import Counter
from collections.abc import Sequence
from math import log

from kyrochat.retrieval.languages import AUTO, resolve_language
from kyrochat.retrieval.sentences import sentence_spans
from kyrochat.retrieval.tokens import tokenize

MIN_SUPPORT = 0.4
"""Share of a claim's weight that must be in the span. Paraphrases reach .5 and more, chance stays below .3."""

MIN_SHARED_TERMS = 2
NUMBER_WEIGHT = 2.0
WORTHWHILE_GAIN = 0.15
MAX_SENTENCES = 3
SHORT_PASSAGE_CHARS = 400
MAX_SPAN_SHARE = 0.75
"""A quote of nearly all of a long passage points at nothing."""

MIN_VERBATIM_CHARS = 8

_MARKER = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
_GAP = r"(?:\[\d{1,3}\])*\s+(?:\[\d{1,3}\]\s*)*"
_CLOSING = re.compile("[.!?。！？]+")
_LIST_MARK = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_HAS_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def best_span(passage_text: str, claim: str, language: str = AUTO) -> tuple[int, int] | None:
    """Return (start, end) of the words in the passage that best support the claim, None if nothing does.

    That is the claim itself where the passage holds it (white space and case aside), else one to three sentences in a
    row. Of a passage above `SHORT_PASSAGE_CHARS` it is never the whole.
    """
    whole = _LIST_MARK.sub("", claim).strip().strip('*_"“”').strip()
    claim = _LIST_MARK.sub("", _MARKER.sub("", claim)).strip().strip('*_"“”').strip()
    if not claim:
        return None
    # Brackets with a number may be the passage's own.
    verbatim = (_verbatim(passage_text, whole) if whole != claim else None) or _verbatim(passage_text, claim)
    if verbatim and _points_at_something(passage_text, *verbatim) and not _cuts_number(passage_text, *verbatim):
        return verbatim
    return _supporting_sentences(passage_text, claim, resolve_language(language, passage_text))


def _verbatim(passage_text: str, claim: str) -> tuple[int, int] | None:
    """Find the claim whole; white space may be of any kind and length."""
    if len(claim) < MIN_VERBATIM_CHARS or len(claim) > 2 * len(passage_text):
        return None
    start = passage_text.find(claim)
    if start >= 0:
        closing = _CLOSING.match(passage_text, start + len(claim))
        return start, closing.end() if closing else start + len(claim)
    words = claim.split()
    if words[-1].rstrip(".!?"):
        words[-1] = words[-1].rstrip(".!?")  # a model may end a quoted clause with a full stop of its own
    # The text may hold markers of its own between the words, which an answer leaves out.
    pattern = _GAP.join(re.escape(word) for word in words) + "[.!?]*"
    found = re.search(pattern, passage_text, re.IGNORECASE)
    return found.span() if found else None


def _cuts_number(passage_text: str, start: int, end: int) -> bool:
    """Say whether the span begins or ends within a number: of 2,000 neither 2 nor 000 is what the text says."""
    numbers = _NUMBER.finditer(passage_text)
    return any(number.start() < edge < number.end() for number in numbers for edge in (start, end))


def _supporting_sentences(passage_text: str, claim: str, language: str) -> tuple[int, int] | None:
    spans = sentence_spans(passage_text)
    held = [set(tokenize(passage_text[start:end], language)) for start, end in spans]
    wanted = _weights(set(tokenize(claim, language)), held)
    total = sum(wanted.values())
    if not total:
        return None
    best: tuple[float, int, int] | None = None  # (share, first sentence, sentence after the last)
    for first in range(len(spans)):
        terms: set[str] = set()
        for last in range(first, min(first + MAX_SENTENCES, len(spans))):
            if not _points_at_something(passage_text, spans[first][0], spans[last][1]):
                break
            terms |= held[last]
            share = sum(weight for term, weight in wanted.items() if term in terms) / total
            # Another sentence has to earn its place.
            value = share - WORTHWHILE_GAIN * (last - first)
            if best is None or value > best[0]:
                best = (value, first, last + 1)
    if best is None:
        return None
    _, first, after = best
    shared = set(wanted) & set[str]().union(*held[first:after])
    support = sum(wanted[term] for term in shared) / total
    if support < MIN_SUPPORT or len(shared) < min(MIN_SHARED_TERMS, len(wanted)):
        return None
    return spans[first][0], spans[after - 1][1]


def _weights(claim_terms: set[str], held: Sequence[set[str]]) -> dict[str, float]:
    """Weigh a claim's terms: rare in the passage is telling, and a number is hardly there by chance."""
    frequencies = Counter(term for terms in held for term in terms)
    count = len(held)
    return {
        term: log(1 + (count + 1) / (frequencies[term] + 0.5)) * (NUMBER_WEIGHT if _HAS_DIGIT.search(term) else 1)
        for term in claim_terms
    }


def _points_at_something(passage_text: str, start: int, end: int) -> bool:
    length = len(passage_text)
    return length <= SHORT_PASSAGE_CHARS or end - start <= MAX_SPAN_SHARE * length
