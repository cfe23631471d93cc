"""`kyrochat index …`: what operators look at and do when models or stores change."""

from collections.abc import Callable, Sequence
from typing import Any

from kyrochat.db.models import Bot
from kyrochat.db.states import VectorSetState
from kyrochat.errors import Conflict, KyroError, NotFound, ProviderRefused
from kyrochat.graphql.ids import split_id
from kyrochat.local import opened
from kyrochat.retrieval.rebuild import Rebuild
from kyrochat.retrieval.vector_status import BotStatus, SetStatus, status_of
from kyrochat.retrieval.vector_status_repository import bots as all_bots
from kyrochat.retrieval.vector_status_repository import workspace_ids
from kyrochat.runtime import Runtime
from kyrochat.settings import Settings

Echo = Callable[..., Any]

# A line each time that so much of a bot is done.
TOLD_EVERY = 0.05
_PARTS = {
    VectorSetState.SERVING: "searched by",
    VectorSetState.BUILDING: "being built",
    VectorSetState.RETIRED: "to be removed",
}


async def status(settings: Settings, echo: Echo, names: Sequence[str]) -> None:
    """Print how bots stand with their vectors.

    Raises:
        KyroError: some are not searched as the settings say.
        NotFound: there is no bot of one of the names.
    """
    async with opened(settings, workers=0) as runtime:
        dense = runtime.retriever.dense
        if dense is None:
            echo("Nothing makes vectors here, or nothing keeps them: bots are searched by words.")
        else:
            echo(f"New bots get vectors of {dense.embedders.current.scheme} in {dense.store.label}.")
        waiting = 0
        for bot in await _bots(runtime, names):
            found = await status_of(runtime.database, bot, dense)
            for line in _lines(found):
                echo(line)
            waiting += found.needs_rebuild
    if waiting:
        raise KyroError(f"{waiting:,} bots are not searched as the settings say. Move them: kyrochat index rebuild")


async def rebuild(settings: Settings, echo: Echo, names: Sequence[str]) -> None:
    """Move bots to the model and store of the settings, one after the other.

    Raises:
        KyroError: nothing makes vectors, or a provider failed: the same command goes on from there.
        NotFound: there is no bot of one of the names.
    """
    async with opened(settings, workers=0) as runtime:
        dense = runtime.retriever.dense
        if dense is None:
            raise KyroError(
                "Nothing makes vectors here: set KYROCHAT_GEMINI_API_KEY or KYROCHAT_EMBEDDING_BASE_URL, and "
                "KYROCHAT_VECTOR_STORE to something else than off."
            )
        echo(f"To {dense.embedders.current.scheme} in {dense.store.label}:")
        left = 0
        for bot in await _bots(runtime, names):
            try:
                await _rebuild(Rebuild(runtime.database, dense, runtime.indexing, dense.store), echo, bot)
            except (Conflict, ProviderRefused) as error:
                # What became of one bot is no reason to leave the others where they are.
                echo(f"{bot.name}: {error.message}")
                left += 1
        await runtime.indexing.drop_orphans()
    if left:
        raise KyroError(f"{left:,} bots were left as they are. See: kyrochat index status")


async def _rebuild(rebuild: Rebuild, echo: Echo, bot: Bot) -> None:
    told = -1.0
    async for progress in rebuild.run(bot):
        share = progress.done / progress.total if progress.total else 1.0
        if share >= 1 or share >= told + TOLD_EVERY:
            told = share
            echo(f"{bot.name}: {progress.done:,} of {progress.total:,} passages")
    echo(f"{bot.name}: searched by the new vectors")


async def _bots(runtime: Runtime, names: Sequence[str]) -> list[Bot]:
    async with runtime.database.begin() as session:
        workspaces = await workspace_ids(session)
    found: list[Bot] = []
    for workspace_id in workspaces:
        async with runtime.database.begin([workspace_id]) as session:
            found += await all_bots(session)
    if not names:
        return found
    chosen: dict[Any, Bot] = {}
    for name in names:
        known = split_id(name)
        wanted = str(known[1]) if known is not None and known[0] == "Bot" else name
        matching = [bot for bot in found if wanted.casefold() in (bot.name.casefold(), str(bot.id))]
        if not matching:
            raise NotFound(f"bot as {name!r}")
        chosen |= {bot.id: bot for bot in matching}
    return list(chosen.values())


def _lines(bot: BotStatus) -> list[str]:
    lines = [f"{bot.name} ({bot.bot_id}): {bot.passages:,} passages"]
    lines += [f"  {_PARTS[each.state]}: {_set(each, bot.passages)}" for each in bot.sets]
    if not any(each.state is VectorSetState.SERVING and each.is_usable for each in bot.sets):
        lines.append("  searched by words only")
    return lines


def _set(found: SetStatus, passages: int) -> str:
    how = ", HNSW index" if found.has_index else ""
    away = "" if found.is_usable or found.state is VectorSetState.RETIRED else ", which is not set up here"
    return f"{found.scheme} in {found.store.label}, {found.covered:,} of {passages:,} passages{how}{away}"
