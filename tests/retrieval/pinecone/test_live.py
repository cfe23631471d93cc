"""The same adapter against the real Pinecone. Makes an index of its own, and removes it again."""

import asyncio
import math
import os
from uuid import uuid4

import pytest

from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorStore
from kyrochat.retrieval.pinecone import open_pinecone

API_KEY = os.environ.get("PINECONE_API_KEY", "")
DIMENSIONS = 8


@pytest.mark.live
@pytest.mark.timeout(400)
@pytest.mark.skipif(not API_KEY, reason="needs PINECONE_API_KEY")
async def test_vectors_are_stored_found_and_verifiably_deleted() -> None:
    from pinecone import AsyncPinecone

    name = f"kyrochat-test-{uuid4().hex[:8]}"
    workspace, bot, document, chunk = uuid4(), uuid4(), uuid4(), uuid4()
    vector = [1 / math.sqrt(DIMENSIONS)] * DIMENSIONS
    target = VectorSet(
        id=1, workspace_id=workspace, bot_id=bot, store=VectorStore.PINECONE, scheme="live", dimensions=DIMENSIONS
    )
    index = open_pinecone(API_KEY, None, name, dimensions=DIMENSIONS)
    try:
        assert await index.delete_document(workspace, document) == 0
        await index.upsert(target, document, 1, [(chunk, vector)])
        assert await index.delete_document(uuid4(), document) == 0  # no such namespace

        async with asyncio.timeout(120):
            while not (found := await index.search(target, vector, 5)):
                await asyncio.sleep(1)
        ((chunk_id, score),) = found
        assert (chunk_id, round(score, 3)) == (chunk, 1.0)

        assert await index.delete_document(workspace, document) == 1
        assert await index.search(target, vector, 5) == []
    finally:
        await index.close()
        async with AsyncPinecone(api_key=API_KEY) as client:
            if await client.indexes.exists(name):
                await client.indexes.delete(name, timeout=-1)
