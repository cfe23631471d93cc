"""A search on its way: what its parts need to know of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.models import Bot
from kyrochat.retrieval.search_settings import UsedSettings


@dataclass(frozen=True, slots=True)
class Search:
    """A question to a bot. `documents` are the only ones to look into; None: all."""

    bot: Bot
    question: str
    used: UsedSettings
    documents: Sequence[UUID] | None = None
