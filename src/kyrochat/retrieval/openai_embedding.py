"""Unit vectors from any server with OpenAI's `/v1/embeddings`: Ollama, vLLM, llama.cpp, OpenAI itself.

One request with three fields needs no SDK; ours checks what the SDK would pass on.
"""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import httpx2

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.openai_embedding_errors import failure_of, refusal_of
from kyrochat.retrieval.ports import Embedder, Vector
from kyrochat.retrieval.retries import Retries

MAX_TEXTS_PER_REQUEST = 64
QUERY_LONGEST_ASKED_PAUSE_S = 2.0
_PROVIDER = "openai"
_OWN_DIMENSIONS = "own"


@dataclass(frozen=True, slots=True)
class Prefixes:
    """What some models want before a text, to know what it is for: `search_query: `, `search_document: `."""

    query: str = ""
    document: str = ""

    @property
    def key(self) -> str:
        """What stands for them in a scheme."""
        if not self.query and not self.document:
            return "plain"
        return blake2b(f"{self.query}\x00{self.document}".encode(), digest_size=4).hexdigest()


def open_openai_embedder(
    base_url: str,
    api_key: str | None,
    model: str,
    dimensions: int | None = None,
    prefixes: Prefixes | None = None,
    *,
    retries: Retries | None = None,
    silence_s: float = 60.0,
) -> "OpenAIEmbedder":
    """Return the adapter; nothing is connected before the first request.

    `dimensions` None means as many as the model makes by itself, and is not sent.
    """
    client = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        timeout=httpx2.Timeout(silence_s, connect=5.0, pool=10.0),
        limits=httpx2.Limits(max_connections=32, max_keepalive_connections=8),
    )
    return OpenAIEmbedder(
        client, embeddings_url(base_url), model, dimensions, prefixes or Prefixes(), retries or Retries()
    )


def embeddings_url(base_url: str) -> str:
    """Return where embeddings are made: a base URL is given with its version (`/v1`) or without."""
    base = base_url.rstrip("/")
    return f"{base}/embeddings" if re.search(r"/v\d+[a-z0-9]*$", base) else f"{base}/v1/embeddings"


@dataclass(frozen=True, slots=True)
class OpenAIEmbedder:
    """An Embedder."""

    client: httpx2.AsyncClient = field(repr=False)
    url: str
    model: str
    dimensions: int | None
    prefixes: Prefixes
    retries: Retries
    batch_timeout_s: float = 180.0
    query_timeout_s: float = 15.0

    @property
    def scheme(self) -> str:
        """Provider, model, dimensions if they are asked for, and what is put before texts."""
        return f"{_PROVIDER}/{self.model}/{self.dimensions or _OWN_DIMENSIONS}/{self.prefixes.key}"

    def of_scheme(self, scheme: str) -> Embedder | None:
        """Return an embedder of that scheme at the same server; None for schemes that cannot be had here."""
        parts = scheme.split("/")
        if len(parts) < 4 or parts[0] != _PROVIDER:
            return None
        model, dimensions = "/".join(parts[1:-2]), parts[-2]
        wanted = None if dimensions == _OWN_DIMENSIONS else int(dimensions) if dimensions.isdecimal() else -1
        other = replace(self, model=model, dimensions=wanted)
        return other if other.scheme == scheme else None

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text, in the same order; some texts a request, one after the other.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        vectors: list[Vector] = []
        for start in range(0, len(texts), MAX_TEXTS_PER_REQUEST):
            batch = [self.prefixes.document + text for text in texts[start : start + MAX_TEXTS_PER_REQUEST]]
            vectors += await self._embed(batch, self.retries, self.batch_timeout_s)
        return vectors

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, comparable with those of documents.

        Raises:
            ProviderUnavailable: the provider failed after its retries, which are short: somebody is waiting.
        """
        retries = replace(self.retries, longest_asked_pause_s=QUERY_LONGEST_ASKED_PAUSE_S)
        [vector] = await self._embed([self.prefixes.query + text], retries, self.query_timeout_s)
        return vector

    async def _embed(self, texts: Sequence[str], retries: Retries, timeout_s: float) -> list[Vector]:
        body: dict[str, Any] = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions

        async def attempt() -> list[Vector]:
            response = await self.client.post(self.url, json=body)
            if response.status_code != 200:
                raise refusal_of(response)
            return self._vectors(response.json(), len(texts))

        try:
            async with asyncio.timeout(timeout_s):
                return await retries.run(attempt, failure_of)
        except TimeoutError:
            raise ProviderUnavailable("The embedding server took too long. Try again.") from None

    def _vectors(self, answer: Any, count: int) -> list[Vector]:
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
            raise ProviderUnavailable("The embedding server sent an answer that cannot be read. Try again.")
        if len(data) != count:
            raise ProviderUnavailable(f"The embedding server sent {len(data)} vectors for {count} texts. Try again.")
        # Servers say which text a vector is of, and need not keep their order.
        places = [each.get("index", number) for number, each in enumerate(data)]
        if sorted(str(place) for place in places) != sorted(str(place) for place in range(count)):
            raise ProviderUnavailable("The embedding server did not send one vector for each text. Try again.")
        ordered: list[Vector] = [()] * count
        for place, each in zip(places, data, strict=True):
            ordered[place] = _unit(each.get("embedding"))
        lengths = {len(vector) for vector in ordered}
        if self.dimensions is not None and lengths != {self.dimensions}:
            raise ProviderUnavailable(
                f"{self.model} sends vectors of {min(lengths)} numbers instead of {self.dimensions}. "
                "Check KYROCHAT_EMBEDDING_DIMENSIONS.",
                retryable=False,
            )
        if len(lengths) != 1:
            raise ProviderUnavailable("The embedding server sent vectors of different lengths. Try again.")
        return ordered


def _unit(values: Any) -> Vector:
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise ProviderUnavailable("The embedding server sent an answer that cannot be read. Try again.")
    norm = math.hypot(*values)
    # NaN is not greater than 0, and infinity not smaller than itself.
    if not 0 < norm < math.inf:
        raise ProviderUnavailable("The embedding server sent a vector without a direction. Try again.")
    return tuple(value / norm for value in values)
