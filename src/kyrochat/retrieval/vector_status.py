"""How bots stand with their vectors, for operators: searched by which, complete or not, and what to do about it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, VectorSet
from kyrochat.db.states import VectorSetState, VectorStore
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval import vector_status_repository as status
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.vector_search import is_indexed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetStatus:
    """A set, how many of the bot's live passages it covers, and whether this process can search it."""

    store: VectorStore
    scheme: str
    state: VectorSetState
    covered: int
    has_index: bool
    is_usable: bool


@dataclass(frozen=True, slots=True)
class BotStatus:
    """A bot with its live passages and its sets; `needs_rebuild` when it is not searched as the settings say."""

    workspace_id: UUID
    bot_id: UUID
    name: str
    passages: int
    sets: tuple[SetStatus, ...]
    needs_rebuild: bool


async def status_of(database: Database, bot: Bot, dense: DenseRetrieval | None) -> BotStatus:
    """Return how a bot stands."""
    passages, found = 0, []
    async with database.begin([bot.workspace_id]) as session:
        sets = await rows.sets_of_bot(session, bot.id)
        for each in sets:
            passages, covered = await rows.coverage(session, each)
            has_index = each.id is not None and await is_indexed(session, each.id)
            usable = dense is not None and dense.can_write(each)
            found.append(SetStatus(each.store, each.scheme, each.state, covered, has_index, usable))
        if not sets:
            passages = await status.count_live(session, bot.id)
    needs = dense is not None and passages > 0 and not _is_as_set(found, passages, dense)
    return BotStatus(bot.workspace_id, bot.id, bot.name, passages, tuple(found), needs)


def _is_as_set(sets: Sequence[SetStatus], passages: int, dense: DenseRetrieval) -> bool:
    wanted = (dense.store, dense.embedders.current.scheme)
    return any(
        each.state is VectorSetState.SERVING and (each.store, each.scheme) == wanted and each.covered == passages
        for each in sets
    )


async def tell_of_other_schemes(database: Database, dense: DenseRetrieval | None) -> None:
    """Log, when a server starts, what bots are searched by that is not what the settings say."""
    if dense is None:
        return
    async with database.begin() as session:
        workspaces = await status.workspace_ids(session)
    async with database.begin(workspaces) as session:
        in_use = await status.in_use(session)
    for store, scheme, bots in in_use:
        if (store, scheme) == (dense.store, dense.embedders.current.scheme):
            continue
        example = VectorSet(store=store, scheme=scheme, dimensions=1)
        how = "which still answer" if dense.can_write(example) else "which cannot be searched here: words only"
        log.warning(
            "%d bots have vectors of %s in %s, %s. To move them: kyrochat index rebuild",
            bots,
            scheme,
            store.label,
            how,
        )
