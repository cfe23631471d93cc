"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx2

from kyrochat.client import operations
from kyrochat.client.answers import PASSING, PATIENCE_S, Answer, Patience, again
from kyrochat.client.connection import Connection, StreamBroken
from kyrochat.client.types import Bot, Document, KyroChatError, Passage, document_from, passage_from


class AsyncKyroChat:
    """A KyroChat server. Give it an API key, or `login`.

    `patience_s` is how long the server may be away before an operation is given up. `http` is for own proxies,
    certificates and timeouts; it stays open.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._connection = Connection(url, api_key, http)
        self._patience_s = patience_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def register(self, email: str, password: str, **fields: Any) -> None:
        """Make an account, and sign in."""
        account = {"email": email, "password": password, **fields}
        self._connection.use_session(await self._connection.run(operations.REGISTER, {"input": account}))

    async def login(self, email: str, password: str) -> None:
        """Sign in. The session is renewed by itself."""
        account = {"email": email, "password": password}
        self._connection.use_session(await self._connection.run(operations.LOGIN, {"input": account}))

    async def create_bot(self, name: str, **fields: Any) -> Bot:
        """Create a bot; `fields` are the other ones of `CreateBotInput`."""
        bot = await self._connection.run(operations.CREATE_BOT, {"input": {"name": name, **fields}})
        return Bot(bot["id"], bot["name"])

    async def bots(self) -> list[Bot]:
        """Return all bots, newest first."""
        found: list[Bot] = []
        after = None
        while True:
            page = await self._retrying(operations.BOTS, {"after": after})
            found += [Bot(bot["id"], bot["name"]) for bot in page["nodes"]]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    async def add_text(self, bot: Bot | str, title: str, text: str) -> Document:
        """Add a text to a bot, and return the document as it is now: `until_ready` waits for it."""
        fields = {"botId": _id(bot), "title": title, "text": text}
        return document_from(await self._connection.run(operations.ADD_TEXT, {"input": fields}))

    async def add_page(self, bot: Bot | str, url: str, **fields: Any) -> Document:
        """Add a page of the web to a bot."""
        entered = {"botId": _id(bot), "url": url, **fields}
        return document_from(await self._connection.run(operations.ADD_PAGE, {"input": entered}))

    async def add_file(self, bot: Bot | str, path: str | Path, *, title: str | None = None) -> Document:
        """Add a file to a bot. It is read into memory."""
        path = Path(path)
        content = await asyncio.to_thread(path.read_bytes)
        fields = {"botId": _id(bot), "file": None} | ({} if title is None else {"title": title})
        return document_from(await self._connection.upload(operations.UPLOAD, {"input": fields}, path.name, content))

    async def until_ready(self, document: Document | str) -> Document:
        """Wait until the document can be searched, and return it; one that has failed is returned as well."""
        patience = Patience(self._patience_s)
        last = None if isinstance(document, str) else document
        while last is None or not last.is_settled:
            try:
                async with aclosing(self._connection.watch(operations.PROGRESS, {"id": _id(document)})) as states:
                    async for state in states:
                        patience.renew()
                        last = document_from(state)
                if last is None or not last.is_settled:
                    raise KyroChatError("The document was deleted.", "NotFoundProblem")
            except (httpx2.TransportError, StreamBroken) as error:
                await patience.wait(error)
            except KyroChatError as error:
                if error.code not in PASSING:
                    raise
                await patience.wait(error)
        return last

    async def delete_document(self, document: Document | str) -> None:
        """Delete a document: nothing finds it from now on."""
        await self._connection.run(operations.DELETE_DOCUMENT, {"id": _id(document)})

    async def search(self, bot: Bot | str, query: str, limit: int = 8) -> list[Passage]:
        """Return the passages for a question, best first, by the very path that answers use."""
        found = await self._retrying(operations.SEARCH, {"bot": _id(bot), "query": query, "first": limit})
        return [passage_from(fields) for fields in found]

    def ask(self, bot: Bot | str, question: str, *, conversation: str | None = None) -> Answer:
        """Ask a bot. Iterate over the answer for its text while it is written, or await `whole()`.

        A connection that breaks costs nothing: the server owns the answer, and this goes on where it was. To go on in
        a conversation, give the `conversation_id` of an earlier answer.
        """
        # One key for all tries: however often the question is sent, it is asked once.
        key, place = str(uuid4()), conversation

        async def begin() -> tuple[str, str]:
            nonlocal place
            place = place or await self.start_conversation(bot)  # where the key is good
            fields = {"conversationId": place, "text": question, "idempotencyKey": key}
            exchange = await self._retrying(operations.SEND, {"input": fields})
            return exchange["answer"]["id"], place

        return Answer(self._connection, begin, self._patience_s)

    def answer(self, message_id: str, *, after: int = 0) -> Answer:
        """Watch an answer that was asked for somewhere else, or before, from the event after `after` on."""

        async def begin() -> tuple[str, str]:
            return message_id, ""

        return Answer(self._connection, begin, self._patience_s, sequence=after)

    def ask_again(self, answer: Answer | str) -> Answer:
        """Have the question of an answer answered once more; the first one stays beside it."""
        key = str(uuid4())

        async def begin() -> tuple[str, str]:
            exchange = await self._retrying(operations.REGENERATE, {"id": _id(answer), "key": key})
            return exchange["answer"]["id"], exchange["answer"]["conversation"]["id"]

        return Answer(self._connection, begin, self._patience_s)

    async def rate(self, answer: Answer | str, *, helped: bool, comment: str | None = None) -> None:
        """Say whether an answer helped, in the place of what was said before."""
        fields = {"messageId": _id(answer), "rating": "UP" if helped else "DOWN", "comment": comment}
        await self._retrying(operations.RATE, {"input": fields})

    async def start_conversation(self, bot: Bot | str, title: str | None = None) -> str:
        """Begin a conversation, and return its id."""
        fields = {"botId": _id(bot)} | ({} if title is None else {"title": title})
        conversation = await self._retrying(operations.START, {"input": fields})
        return str(conversation["id"])

    async def execute(self, document: str, variables: dict[str, Any] | None = None) -> Any:
        """Run a GraphQL document of your own with one root field, and return that field's value.

        Raises:
            KyroChatError: there are errors, or the field is a `Problem` whose `__typename` was selected.
        """
        return await self._connection.run(document, variables)

    async def subscribe(self, document: str, variables: dict[str, Any] | None = None) -> AsyncGenerator[Any, None]:
        """Yield the values of a subscription of your own with one root field. It does not resume by itself."""
        async with aclosing(self._connection.watch(document, variables or {})) as values:
            async for value in values:
                yield value

    async def _retrying(self, document: str, variables: dict[str, Any]) -> Any:
        return await again(lambda: self._connection.run(document, variables), self._patience_s)


def _id(named: Bot | Document | Answer | str) -> str:
    return named if isinstance(named, str) else named.id
