"""Unit vectors from Gemini's embedding models."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.gemini_connection import GeminiConnection, closing_responses
from kyrochat.retrieval.gemini_errors import failure_of, too_slow
from kyrochat.retrieval.ports import Embedder, Vector
from kyrochat.retrieval.retries import Retries

DIMENSIONS = 768
MAX_TEXTS_PER_REQUEST = 100  # "at most 100 requests can be in one batch"
QUERY_LONGEST_ASKED_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class GeminiEmbedder:
    """An Embedder. Documents and questions are embedded for their task, so that they meet."""

    connection: GeminiConnection
    model: str
    retries: Retries = field(default_factory=Retries)
    dimensions: int = DIMENSIONS
    batch_timeout_s: float = 120.0
    query_timeout_s: float = 15.0

    @property
    def scheme(self) -> str:
        """Model, dimensions and how the task is told."""
        return f"{self.model}/{self.dimensions}/{'retrieval' if self._has_task_types else 'search-result'}"

    def of_scheme(self, scheme: str) -> Embedder | None:
        """Return an embedder of that scheme over the same connection; None for schemes of other providers."""
        model, _, rest = scheme.rpartition("/")[0].rpartition("/")
        if not model or not rest.isdecimal():
            return None
        other = replace(self, model=model, dimensions=int(rest))
        return other if other.scheme == scheme else None

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text, in the same order; 100 texts a request, one after the other.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        vectors: list[Vector] = []
        for start in range(0, len(texts), MAX_TEXTS_PER_REQUEST):
            batch = texts[start : start + MAX_TEXTS_PER_REQUEST]
            if self._has_task_types:
                vectors += await self._embed(batch, "RETRIEVAL_DOCUMENT", self.retries, self.batch_timeout_s)
            else:
                prefixed = [f"title: none | text: {text}" for text in batch]
                vectors += await self._embed(prefixed, None, self.retries, self.batch_timeout_s)
        return vectors

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, comparable with those of documents.

        Raises:
            ProviderUnavailable: the provider failed after its retries, which are short: somebody is waiting.
        """
        retries = replace(self.retries, longest_asked_pause_s=QUERY_LONGEST_ASKED_PAUSE_S)
        if self._has_task_types:
            vectors = await self._embed([text], "RETRIEVAL_QUERY", retries, self.query_timeout_s)
        else:
            vectors = await self._embed([f"task: search result | query: {text}"], None, retries, self.query_timeout_s)
        return vectors[0]

    @property
    def _has_task_types(self) -> bool:
        """Whether the model takes `task_type`; Gemini's embedding models from 2 on want a prefix instead."""
        name = self.model.rsplit("/", 1)[-1]
        return not name.startswith("gemini-") or name.startswith(("gemini-embedding-001", "gemini-embedding-exp"))

    async def _embed(
        self, texts: Sequence[str], task_type: str | None, retries: Retries, timeout_s: float
    ) -> list[Vector]:
        async def attempt() -> list[Vector]:
            from google.genai import types

            client = await self.connection.client()
            async with closing_responses():
                # Bare strings would be merged into one vector by the models from 2 on.
                contents: list[types.Content] = [types.UserContent(text) for text in texts]
                response = await client.aio.models.embed_content(
                    model=self.model,
                    contents=contents,
                    config=types.EmbedContentConfig(task_type=task_type, output_dimensionality=self.dimensions),
                )
            embeddings = response.embeddings or []
            if len(embeddings) != len(texts):
                raise ProviderUnavailable(f"Gemini sent {len(embeddings)} vectors for {len(texts)} texts. Try again.")
            return [self._unit(embedding.values or []) for embedding in embeddings]

        try:
            async with asyncio.timeout(timeout_s):
                return await retries.run(attempt, failure_of)
        except TimeoutError:
            raise too_slow() from None

    def _unit(self, values: Sequence[float]) -> Vector:
        if len(values) != self.dimensions:
            raise ProviderUnavailable(
                f"{self.model} sends vectors of {len(values)} numbers instead of {self.dimensions}.", retryable=False
            )
        # gemini-embedding-001 normalises at its full 3072 dimensions only.
        norm = math.hypot(*values)
        if not 0 < norm < math.inf:
            raise ProviderUnavailable("Gemini sent a vector without a direction. Try again.")
        return tuple(value / norm for value in values)
