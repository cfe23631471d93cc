"""One handle on the Pinecone index for the process; the index is made when the first vectors are stored."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone_errors import answer_within, shutting_down

if TYPE_CHECKING:
    from pinecone import AsyncIndex, AsyncPinecone
    from pinecone.models.indexes.index import IndexModel

T = TypeVar("T")

DEFAULT_HOST = "https://api.pinecone.io"
# The one region that every plan may use.
CLOUD, REGION = "aws", "us-east-1"
EMBEDDING_FIELD = "embedding"
TERMS_FIELD = "terms"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for one attempt of one request, and deadlines for whole calls; `poll_s` passes between two looks.

    `create_s` and `verify_s` wait for work that Pinecone does in the background: an index takes up to a minute to
    be ready, a deletion about as long to show. New vectors, which mostly show after some seconds, get `visible_s`.
    """

    attempt_s: float = 5.0
    search_s: float = 8.0
    write_attempt_s: float = 15.0
    write_s: float = 60.0
    create_s: float = 120.0
    verify_s: float = 90.0
    visible_s: float = 30.0
    poll_s: float = 1.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """The index that is used, and how it is created where it is missing."""

    name: str
    dimensions: int
    cloud: str = CLOUD
    region: str = REGION

    @property
    def schema(self) -> dict[str, dict[str, dict[str, object]]]:
        """Its fields. A schema is final, so the sparse one is there before anything uses it; documents may lack it."""
        return {
            "fields": {
                EMBEDDING_FIELD: {"type": "dense_vector", "dimension": self.dimensions, "metric": "dotproduct"},
                TERMS_FIELD: {"type": "sparse_vector"},
            }
        }

    def check(self, found: "IndexModel") -> None:
        """Refuse an index that holds something else.

        Raises:
            ProviderUnavailable: its vectors have another length, metric or field. Trying again does not help.
        """
        from pinecone.models.indexes.schema import DenseVectorField

        field = found.schema.fields.get(EMBEDDING_FIELD)
        if isinstance(field, DenseVectorField) and (field.dimension, field.metric) == (self.dimensions, "dotproduct"):
            return
        raise ProviderUnavailable(
            f"The Pinecone index {self.name!r} was not made for vectors of {self.dimensions} dimensions by KyroChat. "
            "Set KYROCHAT_PINECONE_INDEX to a name that is free.",
            retryable=False,
        )


class PineconeConnection:
    """The SDK's client, made on first use: importing it takes half a second of CPU and 37 MB."""

    def __init__(self, api_key: str, host: str | None, plan: IndexPlan, timeouts: Timeouts) -> None:
        self.plan = plan
        self._api_key = api_key
        self._host = host or DEFAULT_HOST
        self.timeouts = timeouts
        self._opening: asyncio.Task[AsyncPinecone] | None = None
        self._index: AsyncIndex | None = None
        # By host: each handle has connections of its own, and is only as good as its host.
        self._handles: dict[str, AsyncIndex] = {}
        self._closed = False
        # The number of the last write of this process, by namespace.
        self.writes: dict[str, int] = {}

    async def find(self) -> "AsyncIndex | None":
        """Return the index, or None when it does not exist.

        Raises:
            ProviderUnavailable: it is not ready yet, holds something else, or Pinecone cannot be asked.
        """
        if self._closed:
            raise shutting_down()
        if self._index is not None:
            return self._index
        found = await self._describe()
        return None if found is None else self._use(found)

    async def find_or_create(self) -> "AsyncIndex":
        """Return the index; if it does not exist, create it and wait until it is ready.

        Raises:
            ProviderUnavailable: it could not be created, was not ready in time, or holds something else.
        """
        return await answer_within(self.timeouts.create_s, self._find_or_create)

    async def ask(self, index: "AsyncIndex", request: Callable[[], Awaitable[T]]) -> T | None:
        """Return the answer to a request to the index, or None when its namespace does not exist yet.

        Raises:
            ProviderUnavailable: the index itself has gone. The next call looks for it again.
            PineconeError: as the request raises it.
        """
        from pinecone.errors import NotFoundError, PineconeConnectionError

        try:
            return await request()
        except NotFoundError:
            pass
        except PineconeConnectionError:
            # An index that was deleted, or made anew, has left its host.
            self._index = None
            raise
        found = await self._describe()
        if found is not None and found.host == index.host:
            return None
        self._index = None
        raise ProviderUnavailable("The Pinecone index has gone. Try again.")

    async def close(self) -> None:
        """Close all connections; requests in flight end with ProviderUnavailable."""
        self._closed = True
        for index in self._handles.values():
            await index.close()
        if self._opening is not None:
            await asyncio.wait([self._opening])
            if self._opening.exception() is None:
                await self._opening.result().close()

    async def _find_or_create(self) -> "AsyncIndex":
        if (index := self._index) is not None and not self._closed:
            return index
        found = await self._describe()
        if found is None:
            await self._create()
            found = await self._describe()
        # A new index may take a moment until it can even be described.
        while found is None or not found.status.ready:
            if found is not None and found.status.state == "InitializationFailed":
                raise ProviderUnavailable("Pinecone could not create the index.", retryable=False)
            await self.timeouts.sleep(self.timeouts.poll_s)
            found = await self._describe()
        return self._use(found)

    async def _create(self) -> None:
        from pinecone.errors import ConflictError

        client = await self._client()
        try:
            await client.indexes.create(
                name=self.plan.name,
                schema={**self.plan.schema},
                deployment={"deployment_type": "managed", "cloud": self.plan.cloud, "region": self.plan.region},
                # Our own wait asks more often, and ends with the deadline.
                timeout=-1,
            )
        except ConflictError:
            # Another process was faster, or a lost answer made the SDK ask again; whose index it is does not matter.
            return

    async def _describe(self) -> "IndexModel | None":
        client = await self._client()
        # Imported late, since the first import happens in the thread.
        from pinecone.errors import NotFoundError

        try:
            found = await client.indexes.describe(self.plan.name)
        except NotFoundError:
            return None
        self.plan.check(found)
        return found

    def _use(self, found: "IndexModel") -> "AsyncIndex":
        """Return the process's one handle. Nothing is awaited here, so two callers cannot make two."""
        from pinecone import AsyncIndex

        if self._closed:
            raise shutting_down()
        if not found.status.ready or found.host is None:
            raise ProviderUnavailable("The Pinecone index is not ready yet. Try again in a minute.")
        if found.host not in self._handles:
            self._handles[found.host] = AsyncIndex(
                host=found.host, api_key=self._api_key, timeout=self.timeouts.attempt_s
            )
        self._index = self._handles[found.host]
        return self._index

    async def _client(self) -> "AsyncPinecone":
        if self._closed:
            raise shutting_down()
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            # In a thread, so that answers in flight keep flowing; as a task, so that whoever stops waiting stops alone.
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        return await asyncio.shield(self._opening)

    def _open(self) -> "AsyncPinecone":
        from pinecone import AsyncPinecone
        from pinecone.async_client import async_index, documents, indexes  # noqa: F401  (the SDK imports these late)

        # Whatever is left out here the SDK reads from the environment, which is the settings' business.
        return AsyncPinecone(api_key=self._api_key, host=self._host, timeout=self.timeouts.attempt_s)
