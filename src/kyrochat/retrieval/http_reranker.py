"""A reranker behind HTTP: `/rerank` as Cohere, Jina, Voyage, vLLM and llama.cpp have it, or as Hugging Face's TEI does.

One attempt, without repeats: somebody is waiting, and the search has an order already.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from kyrochat.errors import ProviderUnavailable

# An answer has a number for each passage, and perhaps their texts.
MAX_ANSWER_BYTES = 2 << 20

log = logging.getLogger(__name__)


def open_http_reranker(url: str, model: str, api_key: str | None, *, timeout_s: float) -> "HttpReranker":
    """Return the adapter; nothing is connected before the first request. TEI has one model, so it is not named."""
    client = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 2.0)),
        limits=httpx2.Limits(max_connections=32, max_keepalive_connections=8),
    )
    return HttpReranker(client, url, model)


@dataclass(frozen=True, slots=True)
class HttpReranker:
    """A Reranker."""

    client: httpx2.AsyncClient = field(repr=False)
    url: str
    model: str

    @property
    def scheme(self) -> str:
        """What a trace calls it."""
        return self.model or "rerank"

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def rerank(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """Return how well each text answers the question, from 0 to 1, in their order.

        Raises:
            ProviderUnavailable: there is no answer, or one that cannot be read.
        """
        if not texts:
            return ()
        try:
            response = await self.client.post(self.url, json=self._body(question, texts))
            is_answer = response.status_code == 200 and _is_short(response)
            scores = _scores(response.json(), len(texts)) if is_answer else None
        # The last two: brackets without end, and a number that no float can hold.
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError, OverflowError) as error:
            log.warning("Asking the reranker failed: %s", type(error).__name__)
            raise ProviderUnavailable("The reranker could not be reached, or broke off.") from None
        if response.status_code != 200:
            log.warning("The reranker refused a request: %d", response.status_code)
            raise ProviderUnavailable(f"The reranker answered with status {response.status_code}.")
        if scores is None:
            raise ProviderUnavailable("The reranker sent an answer that cannot be read.")
        return _shares(scores)

    def _body(self, question: str, texts: Sequence[str]) -> dict[str, Any]:
        if not self.model:
            return {"query": question, "texts": list(texts), "truncate": True}
        return {"model": self.model, "query": question, "documents": list(texts), "top_n": len(texts)}


def _is_short(response: httpx2.Response) -> bool:
    return len(response.content) <= MAX_ANSWER_BYTES


def _scores(answer: Any, count: int) -> list[float] | None:
    """Return one score for each text; None unless there is exactly that."""
    if isinstance(answer, dict):
        answer = answer.get("results", answer.get("data"))
    if not isinstance(answer, list) or len(answer) != count:
        return None
    scores: dict[int, float] = {}
    for each in answer:
        if not isinstance(each, dict):
            return None
        place, score = each.get("index"), each.get("relevance_score", each.get("score"))
        if type(place) is not int or not isinstance(score, int | float) or not math.isfinite(score):
            return None
        scores[place] = float(score)
    return [scores[place] for place in range(count)] if scores.keys() == set(range(count)) else None


def _shares(scores: Sequence[float]) -> list[float]:
    """Return the scores from 0 to 1: some servers send what their model says before it is squeezed into that."""
    if all(0 <= score <= 1 for score in scores):
        return list(scores)
    return [1 / (1 + math.exp(-max(min(score, 60.0), -60.0))) for score in scores]
