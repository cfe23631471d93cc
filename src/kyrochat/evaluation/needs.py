"""Tells which passages are what a question was to find."""

from collections.abc import Sequence
from unicodedata import normalize

from kyrochat.evaluation.types import Found, Hit, Question

# A passage may end in the middle of a quote: this much of its beginning, or its end, will do.
HALF = 0.5
MIN_PART_CHARS = 30


def plain(text: str) -> str:
    """Return a text as it is compared: in lower case, white space as one space, accents as one with their letters."""
    return " ".join(normalize("NFC", text).lower().split())


def ranking(question: Question, hits: Sequence[Hit]) -> tuple[Found, ...]:
    """Return the places of a search's passages, best first, each with the needs that it is the first to meet.

    Where documents are looked for, each takes one place, however many passages it has.
    """
    open_needs = {need: plain(need) for need in question.needs}
    documents = frozenset(plain(name) for name in question.documents)
    places: list[Found] = []
    seen: set[str] = set()
    for hit in hits:
        if not question.quotes:
            if hit.document in seen:
                continue
            seen.add(hit.document)
        met = [need for need, wanted in open_needs.items() if _meets(question, documents, hit, wanted)]
        for need in met:
            del open_needs[need]
        places.append(Found(hit.document, hit.title, hit.score, tuple(met)))
    return tuple(places)


def _meets(question: Question, documents: frozenset[str], hit: Hit, wanted: str) -> bool:
    names = {plain(name) for name in (hit.document, hit.title, *hit.names)}
    if not question.quotes:
        return wanted in names
    return (not documents or not documents.isdisjoint(names)) and _holds(plain(hit.text), wanted)


def _holds(text: str, quote: str) -> bool:
    """Say whether a text holds a quote, or at least half of it at one of its ends."""
    if quote in text:
        return True
    least = max(MIN_PART_CHARS, int(len(quote) * HALF))
    longest = min(len(quote) - 1, len(text))
    return any(
        text.endswith(quote[:length]) or text.startswith(quote[-length:]) for length in range(least, longest + 1)
    )
