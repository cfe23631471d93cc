"""The words of evaluation: questions with what they should find, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and what a search for it should find.

    `documents` are titles, ids or addresses, `quotes` words of theirs. With quotes, a passage must hold one (and be of
    one of the documents, if some are named); without, any passage of a document will do. With neither, nothing should
    be found: the question cannot be answered. `filter` narrows the search, in the words of the API's
    `DocumentFilterInput`.
    """

    key: str
    text: str
    documents: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    filter: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_answerable(self) -> bool:
        """Whether there is anything to find."""
        return bool(self.documents or self.quotes)

    @property
    def needs(self) -> tuple[str, ...]:
        """What is to be found, one by one: each weighs the same."""
        return self.quotes or self.documents


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage as evaluation sees it: its document by all `names` that a question may call it by, and its text."""

    document: str
    title: str
    text: str
    score: float
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a question's ranking, from 1: a document, or a passage where quotes are looked for.

    `met` are the needs that it is the first to meet.
    """

    document: str
    title: str
    score: float
    met: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What a search has found for a question, best first.

    Without a leg that was late or down it is `degraded`; None where nobody tells.
    """

    hits: tuple[Hit, ...]
    milliseconds: float
    degraded: bool | None = False


@dataclass(frozen=True, slots=True)
class Scored:
    """One question's outcome. `measures` is empty where nothing was to be found."""

    question: Question
    ranking: tuple[Found, ...]
    measures: Mapping[str, float]
    milliseconds: float
    degraded: bool | None = False

    @property
    def missed(self) -> tuple[str, ...]:
        """The needs that nothing has met."""
        met = {need for found in self.ranking for need in found.met}
        return tuple(need for need in self.question.needs if need not in met)


@dataclass(frozen=True, slots=True)
class Run:
    """Questions that were asked of a bot with some settings. `settings` is what was asked for, as JSON."""

    name: str
    settings: Mapping[str, Any]
    results: tuple[Scored, ...]
    started_at: str = ""
    remarks: tuple[str, ...] = ()
