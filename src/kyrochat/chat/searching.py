"""Use cases of searching by hand: what an answer would find, how, and what it would find with other settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.chat import repository
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.errors import NotFound
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search import Retrieval
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.settings_rules import check_settings
from kyrochat.retrieval.trace import FoundPassage, SearchTrace
from kyrochat.rules import Rules

MAX_QUERY_CHARS = 20_000
# An answer has few searches; whatever it has, a request makes no more than these again.
MAX_REPLAYED = 8


@dataclass(frozen=True, slots=True)
class Replay:
    """A search of an answer, and the same one made again with other settings.

    `gained` are passages of the second one of which the first had nothing, `lost` the other way round.
    """

    before: SearchTrace
    after: SearchTrace
    gained: Sequence[FoundPassage]
    lost: Sequence[FoundPassage]


@dataclass(frozen=True, slots=True)
class SearchService:
    """What can be done with a bot's documents by whoever sets it up. All of it is the very path that answers use."""

    database: Database
    retriever: Retriever

    async def search(
        self, viewer: Viewer, bot_id: UUID, question: str, settings: SearchSettings, *, fresh: bool = False
    ) -> Retrieval:
        """Return the passages for a question, best first, and how they were found; `fresh`: by a search made now.

        Raises:
            InvalidInput: the question is empty or too long, or a setting out of range.
            NotFound: the viewer has no such bot.
            ProviderUnavailable: no leg of the search came to its end.
        """
        viewer.must(Act.SEARCH)
        rules = Rules()
        question = rules.text("query", question, max_chars=MAX_QUERY_CHARS, min_chars=1)
        check_settings(rules, settings)
        rules.enforce()
        return await self.retriever.retrieve(await self._bot(viewer, bot_id), question, settings, fresh=fresh)

    async def replay(self, viewer: Viewer, message_id: UUID, settings: SearchSettings) -> Sequence[Replay]:
        """Make the searches of an answer again: as they were made then, but for the settings that are given.

        The documents are those of today.

        Raises:
            InvalidInput: a setting is out of range.
            NotFound: the viewer has no such answer.
            ProviderUnavailable: no leg of a search came to its end.
        """
        viewer.must(Act.REPLAY_SEARCHES)
        rules = Rules()
        check_settings(rules, settings)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            found = await repository.messages(session, [message_id], viewer=viewer)
            rows = await repository.searches(session, [message_id], viewer=viewer)
            conversation = (
                await repository.conversation(session, found[0].conversation_id, viewer=viewer) if found else None
            )
        if conversation is None:
            raise NotFound("answer")
        bot = await self._bot(viewer, conversation.bot_id)
        replays = []
        for row in rows[:MAX_REPLAYED]:
            before = SearchTrace.from_json(row.trace)
            after = (await self.retriever.retrieve(bot, before.query, settings.over(before.settings), fresh=True)).trace
            replays.append(Replay(before, after, _only_in(after, before), _only_in(before, after)))
        return replays

    async def _bot(self, viewer: Viewer, bot_id: UUID) -> Bot:
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bots.get(session, bot_id, reach=viewer.reach)
        if bot is None:
            raise NotFound("bot")
        return bot


def _only_in(trace: SearchTrace, other: SearchTrace) -> list[FoundPassage]:
    return [passage for passage in trace.passages if not any(_overlap(passage, each) for each in other.passages)]


def _overlap(one: FoundPassage, other: FoundPassage) -> bool:
    return (
        (one.document_id, one.document_version) == (other.document_id, other.document_version)
        and one.start < other.end
        and other.start < one.end
    )
