"""The client for programs without an event loop, and for notebooks: the other one, in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kyrochat.client.answers import PATIENCE_S, Answer
from kyrochat.client.asynchronous import AsyncKyroChat
from kyrochat.client.types import Bot, Citation, Document, Passage

# What was interrupted has so long to end.
ENDING_S = 5.0

T = TypeVar("T")


class KyroChat:
    """A KyroChat server. Give it an API key, or `login`; see AsyncKyroChat."""

    def __init__(
        self, url: str = "http://127.0.0.1:8000", api_key: str | None = None, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kyrochat-client", daemon=True)
        self._thread.start()
        self._client = self._run(_made(url, api_key, patience_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and end the thread."""
        if self._thread.is_alive():
            self._run(self._client.close())
            self._run(self._loop.shutdown_asyncgens())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def register(self, email: str, password: str, **fields: Any) -> None:
        """Make an account, and sign in."""
        self._run(self._client.register(email, password, **fields))

    def login(self, email: str, password: str) -> None:
        """Sign in. The session is renewed by itself."""
        self._run(self._client.login(email, password))

    def create_bot(self, name: str, **fields: Any) -> Bot:
        """Create a bot; `fields` are the other ones of `CreateBotInput`."""
        return self._run(self._client.create_bot(name, **fields))

    def bots(self) -> list[Bot]:
        """Return all bots, newest first."""
        return self._run(self._client.bots())

    def add_text(self, bot: Bot | str, title: str, text: str) -> Document:
        """Add a text to a bot, and return the document as it is now: `until_ready` waits for it."""
        return self._run(self._client.add_text(bot, title, text))

    def add_page(self, bot: Bot | str, url: str, **fields: Any) -> Document:
        """Add a page of the web to a bot."""
        return self._run(self._client.add_page(bot, url, **fields))

    def add_file(self, bot: Bot | str, path: str | Path, *, title: str | None = None) -> Document:
        """Add a file to a bot. It is read into memory."""
        return self._run(self._client.add_file(bot, path, title=title))

    def until_ready(self, document: Document | str) -> Document:
        """Wait until the document can be searched, and return it; one that has failed is returned as well."""
        return self._run(self._client.until_ready(document))

    def delete_document(self, document: Document | str) -> None:
        """Delete a document: nothing finds it from now on."""
        self._run(self._client.delete_document(document))

    def search(self, bot: Bot | str, query: str, limit: int = 8) -> list[Passage]:
        """Return the passages for a question, best first, by the very path that answers use."""
        return self._run(self._client.search(bot, query, limit))

    def ask(self, bot: Bot | str, question: str, *, conversation: str | None = None) -> "SyncAnswer":
        """Ask a bot. Iterate over the answer for its text while it is written, or call `whole()`."""
        return SyncAnswer(self, self._client.ask(bot, question, conversation=conversation))

    def answer(self, message_id: str, *, after: int = 0) -> "SyncAnswer":
        """Watch an answer that was asked for somewhere else, or before, from the event after `after` on."""
        return SyncAnswer(self, self._client.answer(message_id, after=after))

    def ask_again(self, answer: "SyncAnswer | str") -> "SyncAnswer":
        """Have the question of an answer answered once more; the first one stays beside it."""
        return SyncAnswer(self, self._client.ask_again(_id(answer)))

    def rate(self, answer: "SyncAnswer | str", *, helped: bool, comment: str | None = None) -> None:
        """Say whether an answer helped, in the place of what was said before."""
        self._run(self._client.rate(_id(answer), helped=helped, comment=comment))

    def execute(self, document: str, variables: dict[str, Any] | None = None) -> Any:
        """Run a GraphQL document of your own with one root field, and return that field's value."""
        return self._run(self._client.execute(document, variables))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        ended = threading.Event()
        running = asyncio.run_coroutine_threadsafe(_told(work, ended), self._loop)
        try:
            return running.result()
        except KeyboardInterrupt:
            # Nothing goes on for who waits no longer.
            running.cancel()
            ended.wait(ENDING_S)
            raise


class SyncAnswer:
    """The answer to one question: iterate over it for its text, as it is written. See Answer."""

    def __init__(self, client: KyroChat, answer: Answer) -> None:
        self._client, self._answer = client, answer

    def __iter__(self) -> Iterator[str]:
        pieces = self._answer.pieces()
        try:
            while (piece := self._client._run(_next(pieces))) is not None:
                yield piece
        finally:
            self._client._run(pieces.aclose())

    def whole(self) -> Self:
        """Wait for the end, and return the answer itself."""
        self._client._run(self._answer.whole())
        return self

    def stop(self) -> None:
        """End the answer with the text so far."""
        self._client._run(self._answer.stop())

    @property
    def id(self) -> str:
        """The id of the message, once the question was sent."""
        return self._answer.id

    @property
    def conversation_id(self) -> str:
        """The id of the conversation, once the question was sent."""
        return self._answer.conversation_id

    @property
    def text(self) -> str:
        """What has come of the text."""
        return self._answer.text

    @property
    def citations(self) -> list[Citation]:
        """What has come of the citations."""
        return self._answer.citations

    @property
    def status(self) -> str:
        """Where the answer stands."""
        return self._answer.status

    @property
    def grounded(self) -> bool | None:
        """Whether the documents held an answer; None as long as nobody knows."""
        return self._answer.grounded


def _id(answer: SyncAnswer | str) -> str:
    return answer if isinstance(answer, str) else answer.id


async def _made(url: str, api_key: str | None, patience_s: float) -> AsyncKyroChat:
    return AsyncKyroChat(url, api_key, patience_s=patience_s)


async def _told(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


async def _next(pieces: AsyncGenerator[str, None]) -> str | None:
    return await anext(pieces, None)
