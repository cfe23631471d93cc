"""Compares the vectors that stores hold with the rows that say so, for one workspace, and mends what differs."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorSetState, VectorStore
from kyrochat.retrieval import vector_check_repository as held
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.dense import EMBEDDED_AT_ONCE, DenseRetrieval
from kyrochat.retrieval.ports import StoredVector
from kyrochat.retrieval.vector_stores import VectorStores


@dataclass(frozen=True, slots=True)
class VectorDifferences:
    """What differs: vectors that no row knows; by set, chunks whose vector was lost; documents that lack some."""

    strays: tuple[StoredVector, ...] = ()
    lost: tuple[tuple[int, UUID], ...] = ()
    incomplete: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorCheck:
    """Looks into stores and rows. Without `dense`, missing vectors cannot be made, and are none of its business."""

    database: Database
    stores: VectorStores
    dense: DenseRetrieval | None = None

    async def find(self, workspace_id: UUID) -> VectorDifferences:
        """Return what differs in a workspace.

        Raises:
            ProviderUnavailable: a store does not answer.
        """
        # Rows come before their vectors, and go after them: so the stores are read first.
        stored = {vector async for vector in self.stores.stored(workspace_id)}
        async with self.database.begin([workspace_id]) as session:
            sets = await rows.sets_of_workspace(session, workspace_id)
            elsewhere = [each for each in sets if each.store is VectorStore.PINECONE and each.id is not None]
            noted = {each.id: await held.noted(session, each.id) for each in elsewhere if each.id is not None}
            bots = await held.bots_of_chunks(session, workspace_id)
        schemes: dict[UUID, set[str]] = defaultdict(set)
        for each in elsewhere:
            schemes[each.bot_id].add(each.scheme)
        strays = [
            vector
            for vector in stored
            if vector.chunk_id not in bots or vector.scheme not in schemes[bots[vector.chunk_id]]
        ]
        lost = [
            (each.id, chunk_id)
            for each in elsewhere
            if each.id is not None
            for chunk_id in noted[each.id]
            if StoredVector(chunk_id, each.scheme) not in stored
        ]
        incomplete = await self._incomplete(workspace_id, sets, {chunk_id for _, chunk_id in lost})
        return VectorDifferences(tuple(sorted(strays)), tuple(sorted(lost)), incomplete)

    async def mend(self, workspace_id: UUID, found: VectorDifferences) -> None:
        """Delete strays, and make the vectors that are missing.

        Raises:
            ProviderUnavailable: a provider failed; what is done is done.
        """
        if found.strays:
            await self.stores.delete_stored(workspace_id, found.strays)
        by_set: dict[int, list[UUID]] = defaultdict(list)
        for set_id, chunk_id in found.lost:
            by_set[set_id].append(chunk_id)
        async with self.database.begin([workspace_id]) as session:
            for set_id, chunk_ids in by_set.items():
                await rows.forget_vectors(session, set_id, chunk_ids=chunk_ids)
            sets = await rows.sets_of_workspace(session, workspace_id)
        for target in self._writable(sets):
            await self._complete(target)

    async def _complete(self, target: VectorSet) -> None:
        assert self.dense is not None
        while True:
            async with self.database.begin([target.workspace_id]) as session:
                sets = await rows.sets_of_bot(session, target.bot_id)
                if target.id not in {each.id for each in self._writable(sets)}:
                    return  # the bot is searched by another one by now: this one would never be complete
                missing = await rows.live_without_vector(session, target, EMBEDDED_AT_ONCE)
                texts = await rows.texts(session, missing)
            if not texts:
                return
            await self.dense.fill(target, texts)

    async def _incomplete(self, workspace_id: UUID, sets: Sequence[VectorSet], lost: set[UUID]) -> tuple[UUID, ...]:
        documents: set[UUID] = set()
        async with self.database.begin([workspace_id]) as session:
            for target in self._writable(sets):
                documents |= set(await held.documents_without_vector(session, target, lost))
        return tuple(sorted(documents))

    def _writable(self, sets: Sequence[VectorSet]) -> list[VectorSet]:
        if self.dense is None:
            return []
        return [each for each in sets if each.state is VectorSetState.SERVING and self.dense.can_write(each)]
