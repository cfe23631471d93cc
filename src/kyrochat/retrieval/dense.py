"""Dense retrieval: embeddings of chunks, and which of a bot's sets of them is written and searched.

It joins the lexical leg and never stands in its way. Vectors of two models never meet: each set has one scheme, a
question is embedded under the scheme of the set that it is compared with, or the leg is left out.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.engine import Database
from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorSetState, VectorStore
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.ports import Embedder, Vector
from kyrochat.retrieval.postgres_vectors import PostgresVectors, copied
from kyrochat.retrieval.repository import count_change
from kyrochat.retrieval.vector_repository import ChunkText
from kyrochat.retrieval.vector_search import EXACT_LIMIT
from kyrochat.retrieval.vector_stores import VectorStores, dimensions_of

# Old and deleted versions are still in Pinecone for a while: ask for more than is needed.
DENSE_CANDIDATES = 100
EMBEDDED_AT_ONCE = 100
# An answer waits no longer than this for its dense leg.
BUDGET_S = 4.0

log = logging.getLogger(__name__)


class NoVectors(Exception):
    """The bot cannot be searched by meaning; the message says why, for logs and traces."""


@dataclass(frozen=True, slots=True)
class DenseRetrieval:
    """The embedders and stores of this process. New bots get vectors of `embedders.current` in `store`."""

    database: Database
    embedders: Embedders
    stores: VectorStores
    store: VectorStore = VectorStore.PGVECTOR
    budget_s: float = BUDGET_S
    # The most vectors of a bot that are searched without an index, for long.
    exact_limit: int = EXACT_LIMIT
    _told: set[str] = field(default_factory=set)

    async def search(self, workspace_id: UUID, bot_id: UUID, question: str) -> Sequence[tuple[UUID, float]]:
        """Return (chunk id, score), best first. Hits may be stale. Whoever calls decides how long to wait: `budget_s`.

        Raises:
            NoVectors: the bot has none that can be searched here.
            ProviderUnavailable: a provider is down.
        """
        target, embedder = await self.serving(workspace_id, bot_id)
        return await self.find(target, embedder, question)

    async def find(self, target: VectorSet, embedder: Embedder, question: str) -> Sequence[tuple[UUID, float]]:
        """Return what `search` does, from what `serving` has returned."""
        return await self.nearest(target, await embedder.embed_query(question), DENSE_CANDIDATES)

    async def serving(self, workspace_id: UUID, bot_id: UUID) -> tuple[VectorSet, Embedder]:
        """Return the set that the bot is searched by, and the embedder for questions.

        Raises:
            NoVectors: there is none, or this process has no way to it or to its model.
        """
        async with self.database.begin([workspace_id]) as session:
            target = await rows.serving(session, bot_id)
        if target is None or target.dimensions is None:
            raise NoVectors("The bot has no vectors yet.")
        embedder = self.embedders.of(target.scheme)
        reason = ""
        if embedder is None:
            reason = f"The bot's vectors are of {target.scheme}, which is not set up here. Run: kyrochat index rebuild"
        elif self.stores.of(target.store, target.dimensions) is None:
            reason = f"The bot's vectors are in {target.store.label}, which is not set up here."
        if embedder is None or reason:
            self._tell(reason)
            raise NoVectors(reason)
        return target, embedder

    async def nearest(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[UUID] | None = None
    ) -> Sequence[tuple[UUID, float]]:
        """Return up to `limit` (chunk id, score) of the set, best first. Hits may be stale, or of other `documents`.

        Raises:
            ProviderUnavailable: its store did not answer.
        """
        index = self.stores.of(target.store, target.dimensions or 0)
        if index is None or len(query) != target.dimensions:
            raise ProviderUnavailable("The embedding model has changed behind its name.", retryable=False)
        return await index.search(target, query, limit, documents)

    async def scores(self, target: VectorSet, query: Vector, chunk_ids: Sequence[UUID]) -> dict[UUID, float]:
        """Return the scores of chunks; nothing where their store cannot tell them."""
        index = self.stores.of(target.store, target.dimensions or 0)
        return await index.scores(target, query, chunk_ids) if isinstance(index, PostgresVectors) else {}

    async def written(self, workspace_id: UUID, bot_id: UUID) -> list[VectorSet]:
        """Return the sets of the bot into which this process can write; a bot without any gets its first one.

        A bot that answers already without vectors gets one that is not searched: it would find the new documents
        only. `kyrochat index rebuild` completes it.
        """
        async with self.database.begin([workspace_id]) as session:
            found = [each for each in await rows.sets_of_bot(session, bot_id) if each.state in rows.WRITTEN]
            if not found:
                has_chunks = await rows.has_live_chunks(session, bot_id)
                state = VectorSetState.BUILDING if has_chunks else VectorSetState.SERVING
                await rows.add_set(session, bot_id, workspace_id, self.store, self.embedders.current.scheme, state)
                found = [each for each in await rows.sets_of_bot(session, bot_id) if each.state in rows.WRITTEN]
        writable = [each for each in found if self.can_write(each)]
        for each in found:
            if each not in writable:
                self._tell(f"Vectors of {each.scheme} cannot be made or stored here. Run: kyrochat index rebuild")
        return writable

    def can_write(self, target: VectorSet) -> bool:
        """Say whether this process has the model and the store of a set."""
        return (
            self.embedders.of(target.scheme) is not None
            and self.stores.of(target.store, target.dimensions or 0) is not None
        )

    async def store_chunks(self, workspace_id: UUID, bot_id: UUID, chunks: Sequence[ChunkText]) -> None:
        """Embed chunks and store their vectors in each set of the bot; those that are stored already cost nothing.

        Raises:
            ProviderUnavailable: not all of them are stored. What is stays, and is not made again.
        """
        for target in await self.written(workspace_id, bot_id):
            for start in range(0, len(chunks), EMBEDDED_AT_ONCE):
                await self.fill(target, chunks[start : start + EMBEDDED_AT_ONCE])

    async def settle(self, workspace_id: UUID, bot_id: UUID) -> None:
        """Wait until searches find what was stored for the bot; a store that takes long, or is down, is not waited for.

        Words find it meanwhile.
        """
        for target in await self.written(workspace_id, bot_id):
            await self.settle_set(target)

    async def settle_set(self, target: VectorSet) -> None:
        """Wait, as `settle` does, for one set."""
        index = self.stores.of(target.store, target.dimensions or 0)
        try:
            if index is None:
                return
            if await index.settle(target):
                if target.store is not VectorStore.PGVECTOR:  # those were found from their commit on, and counted by it
                    async with self.database.begin([target.workspace_id]) as session:
                        await count_change(session, target.bot_id)
            else:
                log.info("%s does not show new vectors yet; they are found a little later", target.store.label)
        except ProviderUnavailable:
            log.info("%s does not say whether it shows new vectors", target.store.label)

    async def is_complete(self, session: AsyncSession, bot_id: UUID, document_id: UUID, version: int) -> bool:
        """Say whether all chunks of a version have their vectors in the bot's sets, as far as this process can help.

        No set of the bot changes its state until the transaction ends: what is complete for one that is searched
        afterwards is complete for it when the version goes live.
        """
        for target in await rows.sets_of_bot(session, bot_id, keep=True):
            is_ours = target.state in rows.WRITTEN and self.can_write(target)
            if is_ours and await rows.without_vector(session, target.id or 0, document_id, version):
                return False
        return True

    async def complete(self, workspace_id: UUID, bot_id: UUID, document_id: UUID, version: int) -> None:
        """Make the vectors that chunks of a version lack in the bot's sets.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        for target in await self.written(workspace_id, bot_id):
            async with self.database.begin([workspace_id]) as session:
                missing = sorted(await rows.without_vector(session, target.id or 0, document_id, version))
            for start in range(0, len(missing), EMBEDDED_AT_ONCE):
                async with self.database.begin([workspace_id]) as session:
                    texts = await rows.texts(session, missing[start : start + EMBEDDED_AT_ONCE])
                await self.fill(target, texts)

    async def renew(self, workspace_id: UUID, bot_id: UUID, chunk_ids: Sequence[UUID]) -> None:
        """Make the vectors of chunks once more, since what is embedded of them has changed, in each set of the bot.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        for target in await self.written(workspace_id, bot_id):
            for start in range(0, len(chunk_ids), EMBEDDED_AT_ONCE):
                async with self.database.begin([workspace_id]) as session:
                    texts = await rows.texts(session, chunk_ids[start : start + EMBEDDED_AT_ONCE])
                if texts:
                    await self._keep(target, texts, await self._made(target, texts))
            await self.settle_set(target)

    async def fill(self, target: VectorSet, chunks: Sequence[ChunkText]) -> int:
        """Embed those of the chunks that have no vector in the set yet, and store them; return how many.

        Vectors of the same scheme that lie in PostgreSQL for another set are copied, for making them costs.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        assert target.id is not None
        by_version: dict[tuple[UUID, int], list[ChunkText]] = defaultdict(list)
        for chunk in chunks:
            by_version[chunk.document_id, chunk.version].append(chunk)
        missing: list[ChunkText] = []
        async with self.database.begin([target.workspace_id]) as session:
            for (document_id, version), group in by_version.items():
                ids = [chunk.chunk_id for chunk in group]
                without = await rows.without_vector(session, target.id, document_id, version, ids)
                missing += [chunk for chunk in group if chunk.chunk_id in without]
            made = dict(await copied(session, target, [chunk.chunk_id for chunk in missing]))
        if not missing:
            return 0
        if unmade := [chunk for chunk in missing if chunk.chunk_id not in made]:
            made |= await self._made(target, unmade)
        await self._keep(target, missing, made)
        return len(missing)

    async def _made(self, target: VectorSet, chunks: Sequence[ChunkText]) -> dict[UUID, Vector]:
        embedder = self.embedders.of(target.scheme)
        if embedder is None:
            raise ProviderUnavailable(f"The model of {target.scheme} is not set up here.", retryable=False)
        vectors = await embedder.embed_documents([embedded_text(chunk) for chunk in chunks])
        return {chunk.chunk_id: vector for chunk, vector in zip(chunks, vectors, strict=True)}

    async def _keep(self, target: VectorSet, chunks: Sequence[ChunkText], made: dict[UUID, Vector]) -> None:
        """Store vectors; those whose title has changed while they were made are made and stored once more.

        Whoever made them for the new title may have stored them first: then these have taken their place.
        """
        while chunks:
            chunks = await self._stored(target, chunks, made)
            made = await self._made(target, chunks) if chunks else {}

    async def _stored(
        self, target: VectorSet, chunks: Sequence[ChunkText], made: dict[UUID, Vector]
    ) -> Sequence[ChunkText]:
        """Store vectors, and return the chunks whose documents have another title by now, with that.

        Of documents that were deleted meanwhile none stay.
        """
        target = await dimensions_of(self.database, target, len(next(iter(made.values()))))
        index = self.stores.of(target.store, target.dimensions or 0)
        if index is None:
            raise ProviderUnavailable(f"{target.store.label} is not set up here.", retryable=False)
        by_version: dict[tuple[UUID, int], list[tuple[UUID, Vector]]] = defaultdict(list)
        for chunk in chunks:
            by_version[chunk.document_id, chunk.version].append((chunk.chunk_id, made[chunk.chunk_id]))
        for (document_id, version), pairs in by_version.items():
            await index.upsert(target, document_id, version, pairs)
        # Noted when they are stored, wherever that is: what comes after a crash in between is stored once more.
        async with self.database.begin([target.workspace_id]) as session:
            await rows.store(session, target, [chunk.chunk_id for chunk in chunks])
            titles = await rows.titles(session, {document_id for document_id, _ in by_version})
            # Chunks may be searched already, by their words: what was found meanwhile is out of date.
            await count_change(session, target.bot_id)
        for document_id in {document_id for document_id, _ in by_version} - titles.keys():
            # Its purge may have looked for vectors already, and found none.
            await index.delete_document(target.workspace_id, document_id)
        named = [replace(chunk, title=titles.get(chunk.document_id, chunk.title)) for chunk in chunks]
        return [chunk for chunk, before in zip(named, chunks, strict=True) if chunk.title != before.title]

    def _tell(self, reason: str) -> None:
        """Log a reason once: it holds for every question until somebody does something about it."""
        if reason not in self._told:
            self._told.add(reason)
            log.warning("A bot is searched by words only, or misses vectors: %s", reason)


def embedded_text(chunk: ChunkText) -> str:
    """Return what is embedded of a chunk: where it stands, and what it says."""
    return "\n".join(part for part in (chunk.title, chunk.heading, chunk.text) if part)
