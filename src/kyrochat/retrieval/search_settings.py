"""How to search: what a bot has of its own, what one search asks for, and what came of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentSource
from kyrochat.retrieval.fusion import ALPHA

MetadataValue = str | bool | int | float


class Leg(StrEnum):
    """A part of a search: two that find, and one that puts what they found in order anew."""

    LEXICAL = "LEXICAL"
    DENSE = "DENSE"
    RERANK = "RERANK"


ALL_LEGS = tuple(Leg)


@dataclass(frozen=True, slots=True)
class MetadataCondition:
    """What a document's metadata must say under `key`; all conditions that are given must hold.

    `equals` and `any_of` look into lists of strings, too. `at_least` and `at_most` compare numbers with numbers, and
    texts with texts by their code points, which suits dates like 2026-11-26.
    """

    key: str
    equals: MetadataValue | None = None
    any_of: tuple[MetadataValue, ...] | None = None
    exists: bool | None = None
    at_least: str | int | float | None = None
    at_most: str | int | float | None = None


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents to search; None: no condition. An empty list matches no document."""

    document_ids: tuple[UUID, ...] | None = None
    sources: tuple[DocumentSource, ...] | None = None
    any_tags: tuple[str, ...] | None = None
    all_tags: tuple[str, ...] | None = None
    metadata: tuple[MetadataCondition, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON that `from_json` reads."""
        plain: dict[str, Any] = _filters().dump_python(self, mode="json", exclude_defaults=True)
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "DocumentFilter":
        """Return what `to_json` made JSON of.

        Raises:
            ValueError: this is no filter.
        """
        return _filters().validate_python(dict(data))


NO_FILTER = DocumentFilter()


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What one search asks for; None: as the bot has it.

    `min_score` is compared with `Passage.score`, `alpha` is the weight of the dense leg, from 0 to 1.
    """

    top_k: int | None = None
    min_score: float | None = None
    alpha: float | None = None
    legs: tuple[Leg, ...] | None = None
    filter: DocumentFilter = NO_FILTER

    def resolved(self, bot: Bot) -> "UsedSettings":
        """Return the settings with the bot's own in the place of what is None."""
        return UsedSettings(
            top_k=bot.top_k if self.top_k is None else self.top_k,
            min_score=bot.min_score if self.min_score is None else self.min_score,
            alpha=self.alpha if self.alpha is not None else ALPHA if bot.alpha is None else bot.alpha,
            legs=ALL_LEGS if self.legs is None else self.legs,
            filter=self.filter,
        )

    def over(self, used: "UsedSettings") -> "SearchSettings":
        """Return the settings with those that were used in the place of what is None."""
        return SearchSettings(
            top_k=used.top_k if self.top_k is None else self.top_k,
            min_score=used.min_score if self.min_score is None else self.min_score,
            alpha=used.alpha if self.alpha is None else self.alpha,
            legs=used.legs if self.legs is None else self.legs,
            filter=used.filter if self.filter == NO_FILTER else self.filter,
        )


@dataclass(frozen=True, slots=True)
class UsedSettings:
    """The settings of a search as they were used."""

    top_k: int
    min_score: float = 0.0
    alpha: float = ALPHA
    legs: tuple[Leg, ...] = ALL_LEGS
    filter: DocumentFilter = NO_FILTER


@cache
def _filters() -> TypeAdapter[DocumentFilter]:
    return TypeAdapter(DocumentFilter)
